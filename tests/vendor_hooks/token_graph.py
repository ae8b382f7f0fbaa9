"""A language model as a tiny ONNX graph: logits are the sum of all tokens' rows, so that the past decides them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.harness.job_folder import GUEST, write_files
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.vendor_job import vendor_job

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.harness.job_folder import JobFolder, Outcome

VOCABULARY, WIDTH, PROMPT, TOKENS = 24, 8, 10, 5
INT64 = 7
SIZES = {"context": 64, "hidden": WIDTH, "layers": 1, "heads": 1, "kv_heads": 1, "head_size": WIDTH}


def rows() -> NDArray[np.float32]:
    """Return the row of each token, [VOCABULARY, WIDTH]."""
    return np.random.RandomState(7).standard_normal((VOCABULARY, WIDTH)).astype(np.float32)


def windows(count: int = 10) -> NDArray[np.int32]:
    """Return the dataset: windows of random tokens."""
    random = np.random.RandomState(3)
    return random.randint(VOCABULARY, size=(count, PROMPT + TOKENS)).astype("<i4")


def expected_logits(window: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the logits of each scored token, [TOKENS, VOCABULARY]."""
    states = 2 * np.cumsum(rows()[window[:-1]], axis=0)[PROMPT - 1 :]
    return (states @ rows().T).astype(np.float32)


def generation_job(folder: Path, vendor: str, engine: str, **changes: Any) -> JobFolder:
    """Return a job of ``engine`` that generates with this graph."""
    job = vendor_job(
        folder,
        vendor,
        engine,
        task="text-generation",
        inputs=[{"name": "input_ids", "shape": [], "dtype": "int64"}],
        outputs=[{"name": "logits", "shape": [VOCABULARY]}],
        generation={**SIZES, "prompt": PROMPT, "tokens": TOKENS},
        **changes,
    )
    (folder / "case").unlink()
    (folder / "case").symlink_to(GUEST / "generation_case")
    (folder / "model" / "model.onnx").write_bytes(graph())
    write_files(job.data, [window.tobytes() for window in windows()])
    return job


def assert_generates(outcome: Outcome) -> None:
    """Assert that the whole loop's logits are right, and that the core loop's agree with them."""
    assert outcome.ok.core_agreement == 1.0
    logits = np.array([expected_logits(window) for window in windows(6)])
    np.testing.assert_allclose(outcome.npz("raw.npz")["logits"], logits, rtol=1e-4, atol=1e-3)


def graph() -> bytes:
    """Return the model: input_ids [batch, sequence] and one layer's past → logits and that layer's present."""
    past = ("batch", 1, "past", WIDTH)
    body = b"".join(
        (
            wire.message(1, wire.node("Gather", ["rows", "input_ids"], "found")),
            wire.message(1, wire.node("Unsqueeze", ["found", "first"], "new")),
            *(wire.message(1, _concat(kind)) for kind in ("key", "value")),
            *(wire.message(1, _summed(kind)) for kind in ("key", "value")),
            wire.message(1, wire.node("Add", ["key", "value"], "state")),
            wire.message(1, wire.node("MatMul", ["state", "head"], "logits")),
            wire.message(2, "sums"),
            wire.message(5, wire.initializer("rows", rows())),
            wire.message(5, wire.initializer("head", rows().T)),
            wire.message(5, _integers("first", [1])),
            wire.message(5, _integers("summed", [1, 2])),
            wire.message(11, _tokens()),
            wire.message(11, wire.value_info("past_key_values.0.key", past)),
            wire.message(11, wire.value_info("past_key_values.0.value", past)),
            wire.message(12, wire.value_info("logits", ("batch", VOCABULARY))),
            wire.message(12, wire.value_info("present.0.key", ("batch", 1, "total", WIDTH))),
            wire.message(12, wire.value_info("present.0.value", ("batch", 1, "total", WIDTH))),
        )
    )
    opset = wire.message(1, "") + wire.number(2, wire.OPSET)
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + wire.message(8, opset)


def _concat(kind: str) -> bytes:
    inputs = [f"past_key_values.0.{kind}", "new"]
    return wire.node("Concat", inputs, f"present.0.{kind}", _attribute("axis", 2))


def _summed(kind: str) -> bytes:
    return wire.node("ReduceSum", [f"present.0.{kind}", "summed"], kind, _attribute("keepdims", 0))


def _attribute(name: str, value: int) -> bytes:
    return wire.message(5, wire.message(1, name) + wire.number(3, value) + wire.number(20, 2))


def _integers(name: str, values: list[int]) -> bytes:
    raw = np.array(values, "<i8").tobytes()
    return (
        wire.number(1, len(values))
        + wire.number(2, INT64)
        + wire.message(8, name)
        + wire.message(9, raw)
    )


def _tokens() -> bytes:
    dims = b"".join(wire.message(1, wire.message(2, name)) for name in ("batch", "sequence"))
    tensor_type = wire.number(1, INT64) + wire.message(2, dims)
    return wire.message(1, "input_ids") + wire.message(2, wire.message(1, tensor_type))
