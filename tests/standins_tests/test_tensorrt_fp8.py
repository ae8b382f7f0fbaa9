"""fp8 in the stand-in of TensorRT: the quantizers of the graph round, and what TensorRT refuses is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.job_folder import CLASSES, SIDE
from tests.standins_tests.test_tensorrt import Log
from tests.vendor_hooks.cpu.tiny_onnx import colour_weights
from tests.vendor_hooks.vendor_job import quantized_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.standins_tests.conftest import Import


@pytest.fixture
def build(
    standin: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[Any, Log]]:
    """Return what builds the colours' graph with quantizers: engine bytes or None, and the log."""

    def make(release: str, chip: str, *flags: str) -> tuple[Any, Log]:
        monkeypatch.setenv("ASSAY_STANDIN_TENSORRT", release)
        monkeypatch.setenv("ASSAY_STANDIN_CHIP", chip)
        trt, log = standin("nvidia", "tensorrt"), Log()
        builder = trt.Builder(log)
        network = builder.create_network(0 if release >= "10" else 1)
        path = tmp_path / "model.fp8.onnx"
        path.write_bytes(quantized_graph("fp8", batch=4, opset=16))
        trt.OnnxParser(network, log).parse_from_file(str(path))
        config = builder.create_builder_config()
        for name in flags:
            config.set_flag(trt.BuilderFlag[name])
        return builder.build_serialized_network(network, config), log

    return make


def e4m3(array: NDArray[Any]) -> NDArray[Any]:
    """Round to 3 bits of mantissa, ties to even: steps of 2**-9 below 2**-6, at most 448."""
    exponents = np.maximum(np.frexp(array)[1] - 1, -6)
    steps = np.ldexp(1.0, exponents - 3)
    rounded: NDArray[Any] = np.clip(np.round(array / steps) * steps, -448, 448)
    return rounded


@pytest.mark.parametrize(("release", "flags"), [("10.16.1", ["FP8"]), ("11.1.0", [])])
def test_activations_and_weights_are_numbers_of_e4m3(
    standin: Import, build: Callable[..., tuple[Any, Log]], release: str, flags: list[str]
) -> None:
    engine, log = build(release, "H100", *flags)
    assert log.lines == []
    execution = standin("nvidia", "assay_standin.execution")
    build_of = standin("nvidia", "assay_standin.tensorrt_build")
    pixels = np.random.default_rng(5).normal(0, 0.5, (4, 3, SIDE, SIDE)).astype(np.float32)
    loaded = execution.Execution(build_of.open_engine(engine))
    (logits,) = loaded.run({"input": pixels})
    means, weights = pixels.mean(axis=(2, 3)), colour_weights(CLASSES)
    expected = e4m3(means * 448) / 448 @ (e4m3(weights * 448) / 448)
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    assert np.abs(logits - means @ weights).max() > 1e-3, "nothing was rounded"


@pytest.mark.parametrize(
    ("release", "chip", "flags", "message"),
    [
        ("8.6.1", "H100", ["FP8"], "Unsupported ONNX data type: FLOAT8E4M3FN"),
        ("10.16.1", "A100-SXM4-40GB", ["FP8"], "require hardware with FP8 support"),
        ("11.1.0", "T4", [], "require hardware with FP8 support"),
        ("10.16.1", "L4", ["INT8"], "fp8 is not configured in the builder"),
    ],
)
def test_what_tensorrt_refuses_is_refused(
    build: Callable[..., tuple[Any, Log]], release: str, chip: str, flags: list[str], message: str
) -> None:
    engine, log = build(release, chip, *flags)
    assert engine is None
    assert any(message in line for line in log.lines), log.lines
