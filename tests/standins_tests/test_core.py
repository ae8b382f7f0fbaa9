"""What the stand-ins share: ONNX read without a package, precision truly lowered, faults on demand."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.standins_tests import tiny_model

if TYPE_CHECKING:
    from tests.standins_tests.conftest import Import


@pytest.fixture
def core(standin: Import) -> Any:
    standin("nvidia", "assay_standin.execution")
    standin("nvidia", "assay_standin.program")
    return standin("nvidia", "assay_standin.onnx_file")


def run(core: Any, path: Path, precision: str, batch: Any) -> Any:
    assay_standin = importlib.import_module("assay_standin")

    compiled = assay_standin.program.compile_model(core.read(str(path)), {"tool": "t"}, precision)
    loaded = assay_standin.program.loads(compiled.tobytes())
    return assay_standin.execution.Execution(loaded).run({"image": batch})[0]


@pytest.mark.parametrize("external", [False, True])
def test_arithmetic_is_onnx_runtimes(core: Any, tmp_path: Path, external: bool) -> None:
    onnxruntime = importlib.import_module("onnxruntime")

    path = tiny_model.write(tmp_path, external=external)
    batch = tiny_model.images(5)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": batch})[0]
    np.testing.assert_allclose(run(core, path, "fp32", batch), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(expected, tiny_model.reference(batch), rtol=0, atol=1e-5)


def test_lower_precision_differs_a_little_and_in_its_order(core: Any, tmp_path: Path) -> None:
    path, batch = tiny_model.write(tmp_path), tiny_model.images(16)
    exact = tiny_model.reference(batch)
    errors = {
        precision: float(np.abs(run(core, path, precision, batch) - exact).max())
        for precision in ("fp32", "tf32", "fp16", "bf16", "int8")
    }
    assert errors["fp32"] < 1e-5 < errors["fp16"] < errors["bf16"] < errors["int8"] < 0.2
    assert errors["tf32"] == pytest.approx(errors["fp16"], rel=0.5)


def test_graph_is_read_without_the_onnx_package(core: Any, tmp_path: Path) -> None:
    model = core.read(str(tiny_model.write(tmp_path, opset=13)))
    assert (model.opset, model.operators) == (13, ["Flatten", "MatMul", "Add"])
    assert model.inputs[0].dims == ("batch", 3, 8, 8)
    assert model.dynamic
    assert not core.read(str(tiny_model.write(tmp_path, batch=2))).dynamic


def test_onnx_cut_short_anywhere_is_refused(core: Any, tmp_path: Path) -> None:
    whole = tiny_model.write(tmp_path).read_bytes()
    for length in [0, 1, 17, len(whole) // 2, len(whole) - 1]:
        path = tmp_path / "cut.onnx"
        path.write_bytes(whole[:length])
        with pytest.raises(core.OnnxError, match="not a whole ONNX model"):
            core.read(str(path))


def test_external_data_cut_short_or_missing_is_refused(core: Any, tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path, external=True)
    data = tmp_path / "model.data"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(core.OnnxError, match="cut short"):
        core.read(str(path))
    data.unlink()
    with pytest.raises(core.OnnxError, match="is not there"):
        core.read(str(path))


def test_compiled_file_cut_short_is_refused(standin: Import, core: Any, tmp_path: Path) -> None:
    module = standin("nvidia", "assay_standin.program")
    data = module.compile_model(core.read(str(tiny_model.write(tmp_path))), {}, "fp16").tobytes()
    assert data.startswith(b"ASSAY-STANDIN-PROGRAM")
    for length in (0, 10, 200, len(data) - 1):
        with pytest.raises(module.NotAProgram):
            module.loads(data[:length])


def test_weights_go_back_into_the_graph_for_an_old_onnx_runtime(
    standin: Import, core: Any, tmp_path: Path
) -> None:
    onnxruntime = importlib.import_module("onnxruntime")

    program = standin("nvidia", "assay_standin.program")
    execution = standin("nvidia", "assay_standin.execution")
    path, batch = tiny_model.write(tmp_path, external=True), tiny_model.images(3)
    compiled = program.compile_model(core.read(str(path)), {}, "fp32")
    graph = execution._inline(compiled)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": batch})[0]
    np.testing.assert_allclose(got, tiny_model.reference(batch), atol=1e-5)


def test_nan_and_drift_are_in_the_outputs(
    core: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, batch = tiny_model.write(tmp_path), tiny_model.images(4)
    right = run(core, path, "fp32", batch)
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "nan")
    assert np.isnan(run(core, path, "fp32", batch)).any()
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "infer:drift")
    first = np.abs(run(core, path, "fp32", batch) - right).max()
    for _ in range(20):
        last = np.abs(run(core, path, "fp32", batch) - right).max()
    assert 0 < first < last


def test_fault_at_another_place_does_nothing(
    standin: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = standin("nvidia", "assay_standin.faults")
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "compile:oom,nan")
    assert faults.asked("load") == set()
    assert faults.asked("compile") == {"oom"}
    assert faults.asked("infer") == {"nan"}


@pytest.mark.parametrize("text", ["explode", "nowhere:nan", "nan:infer"])
def test_unknown_fault_is_refused(
    standin: Import, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    faults = standin("nvidia", "assay_standin.faults")
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", text)
    with pytest.raises(SystemExit, match="is known"):
        faults.asked("infer")


def test_the_clock_of_tools_is_the_hosts(standin: Import) -> None:
    clock = standin("nvidia", "assay_standin.clock")
    before_s, began_s = time.perf_counter(), clock.now_s()
    time.sleep(0.01)
    ended_s, after_s = clock.now_s(), time.perf_counter()
    assert 0.01 <= ended_s - began_s <= after_s - before_s


def test_a_faster_clock_of_tools_counts_what_they_compute(
    standin: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_CLOCK_RATE", "1000")
    clock = standin("nvidia", "assay_standin.clock")
    before_s, began_s = time.process_time(), clock.now_s()
    until_s = time.process_time() + 0.01
    while time.process_time() < until_s:
        pass
    ended_s, after_s = clock.now_s(), time.process_time()
    assert 10 <= ended_s - began_s <= (after_s - before_s) * 1000
