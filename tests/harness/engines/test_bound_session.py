"""Inputs and outputs on the device: what is allocated when, and which time is whose."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path

bound_session: Any = import_module("harness.engines.ort.bound_session")


class Value:
    """An OrtValue on the device."""

    made: list[Value]

    def __init__(self, array: Any, *device: Any) -> None:
        self.array, self.device, self.updates = array.copy(), device, 0
        Value.made.append(self)

    def update_inplace(self, array: Any) -> None:
        assert array.shape == self.array.shape
        self.array, self.updates = array.copy(), self.updates + 1

    def numpy(self) -> Any:
        CLOCK.pass_ns(7)
        return self.array


class Clock:
    """Stands still but for what is done."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        return self.now

    def pass_ns(self, ns: int) -> None:
        self.now += ns


CLOCK = Clock()


class Session:
    """Doubles its input; copying in takes 3 ns, computing 100."""

    def __init__(self) -> None:
        self.bindings = 0
        self.inputs: dict[str, Value] = {}
        self.places: dict[str, tuple[Any, ...]] = {}
        self.steps: list[str] = []

    def io_binding(self) -> Session:
        self.bindings += 1
        return self

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.inputs[name] = value

    def bind_output(self, name: str, *device: Any) -> None:
        self.places[name] = device

    def synchronize_inputs(self) -> None:
        CLOCK.pass_ns(3)

    def run_with_iobinding(self, binding: Session) -> None:
        assert binding is self
        CLOCK.pass_ns(60)

    def synchronize_outputs(self) -> None:
        CLOCK.pass_ns(40)

    def get_outputs(self) -> list[Any]:
        return [Value(2 * self.inputs["input"].array)]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    Value.made = []
    module = type("Module", (), {"OrtValue": type("O", (), {"ortvalue_from_numpy": Value})})
    monkeypatch.setitem(import_module("sys").modules, "onnxruntime", module)
    monkeypatch.setattr(bound_session, "clock", CLOCK)
    return Session()


def batch(rows: int, value: float) -> dict[str, Any]:
    return {"input": np.full((rows, 2), value, np.float32)}


def test_both_ends_are_on_the_device_and_each_phase_has_its_time(session: Session) -> None:
    bound = bound_session.BoundSession(session, ["input"], ["logits"], "cuda", 1)
    outputs, phases = bound.run(batch(4, 1))
    np.testing.assert_array_equal(outputs["logits"], np.full((4, 2), 2))
    assert phases == (3, 100, 7)
    assert session.inputs["input"].device == ("cuda", 1)
    assert session.places == {"logits": ("cuda", 1)}


def test_memory_is_allocated_for_other_shapes_only(session: Session) -> None:
    bound = bound_session.BoundSession(session, ["input"], ["logits"], "cuda", 0)
    for rows, value, bindings in ((4, 1, 1), (4, 2, 1), (3, 3, 2), (4, 4, 3)):
        outputs, _ = bound.run(batch(rows, value))
        np.testing.assert_array_equal(outputs["logits"], np.full((rows, 2), 2 * value))
        assert session.bindings == bindings
    assert [value.updates for value in Value.made if value.device] == [1, 0, 0]
