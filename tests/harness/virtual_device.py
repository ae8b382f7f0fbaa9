"""A device in virtual time: it only enqueues, and waiting is what moves the clock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import modules


class VirtualClock:
    """Nanoseconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.ns = 1_000

    def install(self, monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
        """Become the harness' clock."""
        monkeypatch.setattr(modules.clock, "now_ns", lambda: self.ns)
        return self


class VirtualDevice(modules.engine.Engine):  # type: ignore[misc]
    """Executes batches one after the other, ``call_ns(n)`` for the n-th; remembers what happened."""

    def __init__(self, clock: VirtualClock, *, call_ns: Any, in_flight: int = 1) -> None:
        self.clock = clock
        self.in_flight = in_flight
        self.call_ns = call_ns if callable(call_ns) else lambda number: call_ns
        self.free_at = 0
        self.submitted: list[Any] = []
        self.waited = 0
        self.most_outstanding = 0

    def submit(self, inputs: Any) -> tuple[int, Any]:
        begin = max(self.clock.ns, self.free_at)
        self.free_at = begin + self.call_ns(len(self.submitted))
        self.submitted.append(inputs)
        self.most_outstanding = max(self.most_outstanding, len(self.submitted) - self.waited)
        return self.free_at, inputs

    def wait(self, ticket: tuple[int, Any]) -> Any:
        self.clock.ns = max(self.clock.ns, ticket[0])
        self.waited += 1
        return {"logits": ticket[1]}
