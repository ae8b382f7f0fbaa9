"""Where the keys and values of a language model stay between the steps of a graph: the provider's device."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path

graph_steps: Any = import_module("harness.engines.graph_steps")


@pytest.mark.parametrize(
    ("provider", "options", "given", "device"),
    [
        ("CPUExecutionProvider", {}, None, ("cpu", 0)),
        ("OpenVINOExecutionProvider", {"device_id": "1"}, None, ("cpu", 0)),
        ("CUDAExecutionProvider", {}, None, ("cuda", 0)),
        ("TensorrtExecutionProvider", {"device_id": "3"}, None, ("cuda", 3)),
        ("CANNExecutionProvider", {"device_id": "0"}, None, ("cann", 0)),
        ("QNNExecutionProvider", {"device_id": "2"}, "npu", ("npu", 2)),
    ],
)
def test_a_provider_s_past_is_on_its_device(
    provider: str, options: dict[str, str], given: str | None, device: tuple[str, int]
) -> None:
    assert graph_steps.device_of(provider, options, given) == device


class Node:
    def __init__(self, name: str, kind: str = "tensor(float16)") -> None:
        self.name, self.type, self.shape = name, kind, ["batch", 2, "past", 4]


class Session:
    """Records what is bound where; its logits are of half precision."""

    def __init__(self) -> None:
        self.bound: dict[str, tuple[Any, ...]] = {}

    def get_inputs(self) -> list[Node]:
        return [Node("input_ids", "tensor(int64)"), Node("past.key"), Node("past.value")]

    def get_outputs(self) -> list[Node]:
        return [Node("logits"), Node("present.key"), Node("present.value")]

    def io_binding(self) -> Session:
        return self

    def bind_cpu_input(self, name: str, array: Any) -> None:
        self.bound[name] = (array.shape,)

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.bound[name] = (value,)

    def bind_output(self, name: str, *device: Any) -> None:
        self.bound[name] = device

    def run_with_iobinding(self, binding: Session) -> None:
        assert binding is self


def test_logits_come_to_the_host_and_the_past_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    steps = graph_steps.GraphSteps(session, "cuda", 1)

    class Made:
        def numpy(self) -> Any:
            return np.zeros((3, 5), np.float16)

    monkeypatch.setattr(session, "get_outputs", lambda: [Made(), "keys", "values"])
    assert steps.step(np.zeros((3, 2), np.int64)).dtype == np.float32
    assert session.bound["logits"] == ("cpu",)
    assert session.bound["present.key"] == session.bound["present.value"] == ("cuda", 1)
    steps.step(np.zeros((3, 1), np.int64))
    assert (session.bound["past.key"], session.bound["past.value"]) == (("keys",), ("values",))
    assert session.bound["input_ids"] == ((3, 1),)
