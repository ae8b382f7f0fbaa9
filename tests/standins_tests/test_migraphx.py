"""The stand-in of MIGraphX: the Python API as a hook uses it, and its refusals; and ONNX Runtime's provider."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS, Import
from tests.waiting import PATIENCE_S

STREAM = "ihipStream_t"
OUTPUT = "main:#output_0"
QUANTIZE = {"fp16": "quantize_fp16", "bf16": "quantize_bf16"}


@pytest.fixture
def mgx(standin: Import) -> Any:
    return standin("amd", "migraphx")


@pytest.fixture
def graph(tmp_path: Path) -> str:
    return str(tiny_model.write(tmp_path, batch=4))


def compiled(mgx: Any, graph: str, precision: str = "fp32", **options: Any) -> Any:
    program = mgx.parse_onnx(graph)
    if precision in QUANTIZE:
        getattr(mgx, QUANTIZE[precision])(program)
    program.compile(mgx.get_target("gpu"), **{"offload_copy": False, **options})
    return program


def parameters(mgx: Any, program: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    shapes = program.get_parameter_shapes()
    return {
        name: mgx.argument_from_pointer(shapes[name], array.ctypes.data)
        for name, array in arrays.items()
    }


def infer(mgx: Any, program: Any, batch: Any) -> Any:
    out = np.zeros((4, tiny_model.CLASSES), np.float32)
    given = parameters(mgx, program, {"image": batch, OUTPUT: out})
    (made,) = program.run_async(given, 0, STREAM)
    assert made.data_ptr() == out.ctypes.data
    return out


def test_program_computes_what_the_model_computes(mgx: Any, graph: str) -> None:
    batch = tiny_model.images(4)
    got = infer(mgx, compiled(mgx, graph), batch)
    np.testing.assert_allclose(got, tiny_model.reference(batch), atol=1e-5)


def test_precisions_round_and_are_told_by_the_kernels(mgx: Any, graph: str) -> None:
    batch = tiny_model.images(4)
    exact = tiny_model.reference(batch)
    errors = []
    for precision, kind in (("fp32", "float"), ("fp16", "half"), ("bf16", "bf16")):
        program = compiled(mgx, graph, precision)
        types = {one.inputs()[0].shape().type_string() for one in program.get_main_module()}
        assert types == {f"{kind}_type"}
        errors.append(np.abs(infer(mgx, program, batch) - exact).max())
    assert errors[0] < 1e-5 < errors[1] < errors[2]


def test_without_copies_the_caller_gives_the_outputs_memory(mgx: Any, graph: str) -> None:
    assert sorted(compiled(mgx, graph).get_parameter_names()) == ["image", OUTPUT]
    assert compiled(mgx, graph, offload_copy=True).get_parameter_names() == ["image"]


def test_a_dimension_without_a_size_becomes_one(mgx: Any, tmp_path: Path) -> None:
    program = compiled(mgx, str(tiny_model.write(tmp_path)))
    assert program.get_parameter_shapes()["image"].lens() == [1, 3, 8, 8]


def test_what_is_saved_is_loaded_on_the_same_architecture_only(
    mgx: Any, graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "program.mxr")
    mgx.save(compiled(mgx, graph), path)
    batch = tiny_model.images(4)
    np.testing.assert_allclose(
        infer(mgx, mgx.load(path), batch), tiny_model.reference(batch), atol=1e-5
    )
    from assay_standin import chips  # type: ignore[import-not-found]

    other = chips.AMD["MI300X"]._replace(kind="gfx950")
    monkeypatch.setitem(chips.AMD, "MI300X", other)
    with pytest.raises(RuntimeError, match="no kernel image is available"):
        mgx.load(path)


def test_what_migraphx_refuses_is_refused(mgx: Any, graph: str, tmp_path: Path) -> None:
    program = compiled(mgx, graph)
    with pytest.raises(RuntimeError, match="already compiled"):
        program.compile(mgx.get_target("gpu"))
    with pytest.raises(RuntimeError, match="could not load libmigraphx_tpu"):
        mgx.get_target("tpu")
    with pytest.raises(RuntimeError, match="Failed reading onnx file"):
        mgx.parse_onnx(str(tmp_path / "missing.onnx"))
    out, batch = np.zeros((4, 10), np.float32), tiny_model.images(4)
    whole = parameters(mgx, program, {"image": batch, OUTPUT: out})
    for given, stream, said in (
        ({"image": whole["image"]}, STREAM, "Parameter not found"),
        ({**whole, "image": whole[OUTPUT]}, STREAM, "Incorrect shape"),
        (whole, "cudaStream_t", "type mismatch"),
    ):
        with pytest.raises(RuntimeError, match=said):
            program.run_async(given, 0, stream)


@pytest.mark.parametrize(
    ("fault", "said"), [("compile:fail", "Invalid MLIR"), ("compile:oom", "out of memory")]
)
def test_a_fault_on_request_is_a_failure(
    mgx: Any, graph: str, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", fault)
    with pytest.raises(RuntimeError, match=said):
        compiled(mgx, graph)


PROVIDER = """
import json
from assay_standin import migraphx_provider
import numpy as np, onnxruntime as ort
migraphx_provider.patch(ort)
name = "MIGraphXExecutionProvider"
said = {"mark": ort.__assay_standin__, "first": ort.get_available_providers()[0], "refused": []}
session = ort.InferenceSession("model.onnx", providers=[(name, {"migraphx_fp16_enable": "1"})])
said["options"] = session.get_provider_options()[name]
said["out"] = session.run(None, {"image": np.load("batch.npy")})[0].tolist()
for options in ({"migraphx_fast": "1"}, {"migraphx_fp16_enable": "yes"}, {"device_id": "9"}):
    try:
        ort.InferenceSession("model.onnx", providers=[(name, options)])
    except Exception as error:
        said["refused"].append(str(error))
print(json.dumps(said))
"""


def test_the_provider_takes_its_own_options_and_no_others(tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    np.save(tmp_path / "batch.npy", tiny_model.images(3))
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROVIDER],
        cwd=tmp_path, env={"PYTHONPATH": str(STANDINS / "core")},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["mark"], said["first"]) == (True, "MIGraphXExecutionProvider")
    assert said["options"]["migraphx_fp16_enable"] == "1"
    errors = np.abs(np.asarray(said["out"]) - tiny_model.reference(tiny_model.images(3)))
    assert 1e-6 < errors.max() < 1e-2
    assert [text.split(":")[0] for text in said["refused"]] == [
        "Invalid MIGraphX EP option",
        "Failed to parse provider option",
        "HIP failure 101",
    ]
