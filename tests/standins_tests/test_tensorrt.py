"""The stand-in of TensorRT and of CUDA's runtime: the v3 API as a hook uses it, and its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.standins_tests import tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.standins_tests.conftest import Import


class Log:
    """A logger of one's own, as a hook has it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        self.lines.append(f"{severity.name}: {message}")


@pytest.fixture
def trt(standin: Import) -> Any:
    return standin("nvidia", "tensorrt")


@pytest.fixture
def cudart(standin: Import) -> Any:
    runtime = standin("nvidia", "cuda.bindings.runtime")
    runtime.cudaDeviceReset()
    return runtime


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def build(trt: Any, log: Log, tmp_path: Path) -> Callable[..., Any]:
    """Build an engine of the tiny model as a hook does."""

    def make(*flags: str, clear: str = "TF32", profile: bool = True, **model: Any) -> Any:
        builder = trt.Builder(log)
        flag = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        network = builder.create_network(flag)
        parser = trt.OnnxParser(network, log)
        if not parser.parse_from_file(str(tiny_model.write(tmp_path, **model))):
            return [str(parser.get_error(i)) for i in range(parser.num_errors)]
        config = builder.create_builder_config()
        assert config.get_flag(trt.BuilderFlag.TF32)
        for name in filter(None, clear.split()):
            config.clear_flag(trt.BuilderFlag[name])
        for name in flags:
            config.set_flag(trt.BuilderFlag[name])
        if profile:
            shapes = builder.create_optimization_profile()
            shapes.set_shape("image", (1, 3, 8, 8), (4, 3, 8, 8), (8, 3, 8, 8))
            assert config.add_optimization_profile(shapes) == 0
        return builder.build_serialized_network(network, config)

    return make


def infer(trt: Any, cudart: Any, engine: Any, batch: Any, *, synchronise: bool = True) -> Any:
    """Run one batch as a hook does; returns the outputs."""
    context = engine.create_execution_context()
    assert context.set_input_shape("image", batch.shape)
    out = np.zeros(tuple(context.get_tensor_shape("logits")), np.float32)
    _, stream = cudart.cudaStreamCreate()
    pointers = {}
    for name, array in (("image", batch), ("logits", out)):
        error, pointers[name] = cudart.cudaMalloc(array.nbytes)
        assert error == cudart.cudaError_t.cudaSuccess
        assert context.set_tensor_address(name, pointers[name])
    error, pinned = cudart.cudaMallocHost(out.nbytes)
    kind = cudart.cudaMemcpyKind
    cudart.cudaMemcpyAsync(
        pointers["image"], batch.ctypes.data, batch.nbytes, kind.cudaMemcpyHostToDevice, stream
    )
    assert context.execute_async_v3(int(stream))
    cudart.cudaMemcpyAsync(
        pinned, pointers["logits"], out.nbytes, kind.cudaMemcpyDeviceToHost, stream
    )
    if synchronise:
        assert cudart.cudaStreamSynchronize(stream) == (cudart.cudaError_t.cudaSuccess,)
    import ctypes

    ctypes.memmove(out.ctypes.data, pinned, out.nbytes)
    return out


def test_engine_computes_what_the_model_computes(
    trt: Any, cudart: Any, log: Log, build: Callable[..., Any]
) -> None:
    engine = trt.Runtime(log).deserialize_cuda_engine(build())
    batch = tiny_model.images(5)
    got = infer(trt, cudart, engine, batch)
    np.testing.assert_allclose(got, tiny_model.reference(batch), atol=1e-5)


def test_tf32_is_on_until_it_is_cleared(
    trt: Any, cudart: Any, log: Log, build: Callable[..., Any]
) -> None:
    batch = tiny_model.images(8)
    exact = tiny_model.reference(batch)
    errors = []
    for clear in ("TF32", ""):
        engine = trt.Runtime(log).deserialize_cuda_engine(build(clear=clear))
        errors.append(np.abs(infer(trt, cudart, engine, batch) - exact).max())
    assert errors[0] < 1e-5 < errors[1]


def test_names_modes_and_shapes_are_told(trt: Any, log: Log, build: Callable[..., Any]) -> None:
    engine = trt.Runtime(log).deserialize_cuda_engine(build("FP16"))
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    assert names == ["image", "logits"]
    assert engine.get_tensor_mode("image") == trt.TensorIOMode.INPUT
    assert engine.get_tensor_shape("image") == (-1, 3, 8, 8)
    assert engine.get_tensor_dtype("logits") == trt.float32
    assert trt.nptype(trt.float32) is np.float32
    assert engine.get_tensor_profile_shape("image", 0)[2] == (8, 3, 8, 8)
    assert not hasattr(engine, "num_bindings")


def test_without_synchronising_the_outputs_are_not_there(
    trt: Any, cudart: Any, log: Log, build: Callable[..., Any]
) -> None:
    engine = trt.Runtime(log).deserialize_cuda_engine(build())
    got = infer(trt, cudart, engine, tiny_model.images(5), synchronise=False)
    assert np.isnan(got).all()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("fail", "Could not find any implementation"), ("compile:oom", "OutOfMemory")],
)
def test_builder_gives_none_and_says_why(
    build: Callable[..., Any], log: Log, monkeypatch: pytest.MonkeyPatch, fault: str, expected: str
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", fault)
    assert build() is None
    assert expected in log.lines[-1]


def test_builder_warns_and_succeeds(
    build: Callable[..., Any], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "warn")
    assert build() is not None
    assert log.lines[-1].startswith("WARNING: Skipping tactic")


def test_dynamic_model_needs_a_profile(build: Callable[..., Any], log: Log) -> None:
    assert build(profile=False) is None
    assert "no optimization profile has been defined" in log.lines[-1]


def test_parser_refuses_a_cut_file_and_an_unknown_operator(
    trt: Any, build: Callable[..., Any], log: Log, tmp_path: Path
) -> None:
    assert "No importer registered for op: NotAnOperator" in build(operator="NotAnOperator")[0]
    path = tiny_model.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    parser = trt.OnnxParser(trt.Builder(log).create_network(1), log)
    assert not parser.parse_from_file(str(path))
    assert "not a whole ONNX model" in parser.get_error(0).desc()


def test_external_data_needs_parse_from_file(trt: Any, log: Log, tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path, external=True)
    parser = trt.OnnxParser(trt.Builder(log).create_network(1), log)
    assert not parser.parse(path.read_bytes())
    assert "model.data" in parser.get_error(0).desc()
    parser.clear_errors()
    assert parser.parse_from_file(str(path))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CHIP", "T4", "expecting compute 7.5 got compute 8.0"),
        ("TENSORRT", "8.5.1", "expecting library version 8.5.1 got 8.6.1"),
    ],
)
def test_engine_of_another_chip_or_version_is_refused(
    trt: Any, log: Log, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
    name: str, value: str, expected: str,
) -> None:  # fmt: skip
    engine = build()
    monkeypatch.setenv(f"ASSAY_STANDIN_{name}", value)
    assert trt.Runtime(log).deserialize_cuda_engine(engine) is None
    assert expected in log.lines[-1]


@pytest.mark.parametrize("data", [b"", b"a real engine", None])
def test_bytes_that_are_no_engine_are_refused(
    trt: Any, log: Log, build: Callable[..., Any], data: bytes | None
) -> None:
    cut = build()[:-5] if data is None else data
    assert trt.Runtime(log).deserialize_cuda_engine(cut) is None
    assert "Magic tag does not match" in log.lines[-1]


def test_shape_outside_of_the_profile_is_refused(
    trt: Any, log: Log, build: Callable[..., Any]
) -> None:
    context = trt.Runtime(log).deserialize_cuda_engine(build()).create_execution_context()
    assert not context.set_input_shape("image", (9, 3, 8, 8))
    assert "out of the profile" in log.lines[-1]
    assert not context.execute_async_v3(0)
    assert context.set_input_shape("image", (2, 3, 8, 8))
    assert context.get_tensor_shape("logits") == (2, 10)
    assert not context.execute_async_v3(0)
    assert "Address is not set" in log.lines[-1]


def test_wrong_buffer_is_an_illegal_address(
    trt: Any, cudart: Any, log: Log, build: Callable[..., Any]
) -> None:
    context = trt.Runtime(log).deserialize_cuda_engine(build()).create_execution_context()
    context.set_input_shape("image", (4, 3, 8, 8))
    for name in ("image", "logits"):
        context.set_tensor_address(name, cudart.cudaMalloc(64)[1])
    _, stream = cudart.cudaStreamCreate()
    assert context.execute_async_v3(int(stream))
    (error,) = cudart.cudaStreamSynchronize(stream)
    assert error.name == "cudaErrorIllegalAddress"


def test_timing_cache_is_kept(trt: Any, log: Log, tmp_path: Path) -> None:
    builder = trt.Builder(log)
    network = builder.create_network(1)
    trt.OnnxParser(network, log).parse_from_file(str(tiny_model.write(tmp_path, batch=2)))
    config = builder.create_builder_config()
    empty = config.create_timing_cache(b"")
    assert config.set_timing_cache(empty, ignore_mismatch=False)
    assert builder.build_serialized_network(network, config) is not None
    kept = bytes(config.get_timing_cache().serialize())
    assert len(kept) > len(bytes(config.create_timing_cache(b"").serialize()))
    again = builder.create_builder_config().create_timing_cache(kept)
    assert bytes(again.serialize()) == kept
    assert config.create_timing_cache(b"somebody else's") is None


@pytest.mark.parametrize(
    ("title", "taken", "taken_regardless"),
    [
        ("8.6.1 NVIDIA A100-SXM4-40GB", True, True),
        ("8.6.1 Tesla T4", False, True),
        ("8.5.1 NVIDIA A100-SXM4-40GB", False, False),
    ],
)
def test_timing_cache_of_another_version_or_device_is_refused(
    trt: Any, log: Log, title: str, taken: bool, taken_regardless: bool
) -> None:
    config = trt.Builder(log).create_builder_config()
    cache = config.create_timing_cache(f"ASSAY-STANDIN-TIMING {title}\ntf32 0123".encode())
    assert config.set_timing_cache(cache, False) is taken
    assert (config.get_timing_cache() is cache) is taken
    assert config.set_timing_cache(cache, True) is taken_regardless


@pytest.mark.parametrize(
    ("release", "flags"),
    [
        ("8.6.1", {"FP16", "INT8", "FP8"}),
        ("10.3.0", {"FP16", "INT8", "FP8", "BF16"}),
        ("11.1.0", set()),
    ],
)
def test_precision_flags_are_those_of_the_release(
    standin: Import, monkeypatch: pytest.MonkeyPatch, release: str, flags: set[str]
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_TENSORRT", release)
    trt = standin("nvidia", "tensorrt")
    assert trt.__version__ == release
    named = {"FP16", "INT8", "FP8", "BF16"}
    assert named & set(trt.BuilderFlag.__members__) == flags
    explicit = "EXPLICIT_BATCH" in trt.NetworkDefinitionCreationFlag.__members__
    assert explicit is bool(flags)


def test_numpy_has_no_bfloat16(standin: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_TENSORRT", "11.1.0")
    trt = standin("nvidia", "tensorrt")
    with pytest.raises(TypeError, match="equivalent numpy datatype"):
        trt.nptype(trt.DataType.BF16)


def test_copy_beyond_an_allocation_is_invalid(cudart: Any) -> None:
    _, pointer = cudart.cudaMalloc(16)
    host = np.zeros(32, np.uint8)
    kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
    assert cudart.cudaMemcpy(pointer, host.ctypes.data, 17, kind)[0].name == "cudaErrorInvalidValue"
    assert cudart.cudaMemcpy(pointer + 8, host.ctypes.data, 8, kind)[0] == 0
    assert cudart.cudaFree(pointer)[0] == 0
    assert cudart.cudaFree(pointer)[0].name == "cudaErrorInvalidValue"


def test_more_memory_than_the_chip_has_is_refused(
    cudart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cudart.cudaMalloc(1 << 50)[0].name == "cudaErrorMemoryAllocation"
    _, _, total = cudart.cudaMemGetInfo()
    assert total == 40960 << 20
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "oom")
    assert cudart.cudaMalloc(16)[0].name == "cudaErrorMemoryAllocation"


def test_events_order_streams_and_tell_times(cudart: Any) -> None:
    _, first = cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking)
    _, second = cudart.cudaStreamCreate()
    events = [cudart.cudaEventCreate()[1] for _ in range(2)]
    _, device = cudart.cudaMalloc(8)
    source, target = cudart.cudaMallocHost(8)[1], cudart.cudaMallocHost(8)[1]
    import ctypes

    ctypes.memset(source, 7, 8)
    kind = cudart.cudaMemcpyKind
    cudart.cudaEventRecord(events[0], first)
    cudart.cudaMemcpyAsync(device, source, 8, kind.cudaMemcpyHostToDevice, first)
    cudart.cudaEventRecord(events[1], first)
    cudart.cudaStreamWaitEvent(second, events[1])
    cudart.cudaMemcpyAsync(target, device, 8, kind.cudaMemcpyDeviceToHost, second)
    assert cudart.cudaEventQuery(events[1])[0].name == "cudaErrorNotReady"
    assert cudart.cudaEventElapsedTime(*events)[0].name == "cudaErrorNotReady"
    assert cudart.cudaStreamSynchronize(second)[0] == 0
    assert ctypes.string_at(target, 8) == b"\x07" * 8
    error, elapsed_ms = cudart.cudaEventElapsedTime(*events)
    assert (error, elapsed_ms >= 0) == (0, True)


def test_every_module_says_what_it_is(standin: Import) -> None:
    for name in ("tensorrt", "cuda", "cuda.cudart", "cuda.bindings.runtime"):
        assert standin("nvidia", name).__assay_standin__ is True
