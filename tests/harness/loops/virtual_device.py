"""A device in virtual time: it only enqueues, and waiting is what moves the clock."""

from __future__ import annotations

from types import SimpleNamespace
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


class Eager(VirtualDevice):
    """A device whose submit computes: the clock moves before its ticket is there."""

    def submit(self, inputs: Any) -> tuple[int, Any]:
        ticket = super().submit(inputs)
        self.clock.ns = max(self.clock.ns, ticket[0])
        return ticket


class Turns(modules.core_pool.Feed):  # type: ignore[misc]
    """Batches in turn; asserts that they are released in the order in which they were taken."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self.released = 0

    def first(self) -> int:
        return 0

    def take(self) -> int:
        self.taken += 1
        return (self.taken - 1) % self.count

    def release(self) -> None:
        self.released += 1
        assert self.released <= self.taken


def measure(**changes: Any) -> SimpleNamespace:
    """Return the settings of measuring, as job.json has them, with ``changes``."""
    settings = {
        "min_seconds": 1.0,
        "warmup_min_calls": 3,
        "warmup_max_seconds": 30.0,
        "steady_tolerance": 0.05,
        "latency_min_calls": 1,
        "latency_max_seconds": 0.1,
    }
    return SimpleNamespace(**{**settings, **changes})
