"""The stand-in of XTCL: both paths, the environment of each precision, its refusals."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.standins_tests import tiny_model

if TYPE_CHECKING:
    from tests.standins_tests.conftest import Import

TARGET = "llvm -acc=xpu2"
GRAPH_TARGET = "xpu -libs=xdnn -split-device-funcs -device-type=xpu2"
SHAPES = {"image": (4, 3, 8, 8)}


class ModelProto:
    """What `onnx.load` returns, as far as XTCL reads it."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        return self._data


@pytest.fixture
def tvm(standin: Import) -> Any:
    return standin("kunlunxin", "tvm")


def compile_vm(tvm: Any, path: Path, config: dict[str, Any] | None = None) -> Any:
    mod, params = tvm.relay.frontend.from_onnx(ModelProto(path), SHAPES)
    with tvm.transform.PassContext(opt_level=3, config=config or {}, disabled_pass=[]):
        return tvm.relay.backend.vm.compile(mod, target=TARGET, target_host=TARGET, params=params)


def run_vm(tvm: Any, executable: Any, batch: Any) -> Any:
    machine = tvm.runtime.vm.VirtualMachine(executable, tvm.device("xpu", 0))
    machine.set_one_input("main", "image", batch)
    machine.run()
    assert machine.get_num_outputs() == 1
    return machine.get_output(0).numpy()


def test_virtual_machine_computes_what_the_model_computes(tvm: Any, tmp_path: Path) -> None:
    batch = tiny_model.images(4)
    got = run_vm(tvm, compile_vm(tvm, tiny_model.write(tmp_path)), batch)
    np.testing.assert_allclose(got, tiny_model.reference(batch), atol=1e-5)


def test_an_array_of_the_device_is_taken_as_it_is_and_others_are_copied(
    tvm: Any, tmp_path: Path
) -> None:
    first, second = tiny_model.images(4), tiny_model.images(4)[::-1].copy()
    device = tvm.device("xpu", 0)
    buffer = tvm.nd.empty(first.shape, "float32", device).copyfrom(first)
    host = tvm.nd.array(first)
    executable = compile_vm(tvm, tiny_model.write(tmp_path))
    for array, runs in ((buffer, second), (host, first), (first.copy(), first)):
        machine = tvm.runtime.vm.VirtualMachine(executable, device)
        machine.set_one_input("main", "image", array)
        array.copyfrom(second) if isinstance(array, tvm.nd.NDArray) else np.copyto(array, second)
        machine.run()
        got = machine.get_output(0).numpy()
        np.testing.assert_allclose(got, tiny_model.reference(runs), atol=1e-5)


def test_a_pattern_is_known_once_its_module_was_imported(tvm: Any, tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path)
    match = tvm.contrib.xpu_config.XPUGraphMatchConfig(pattern_match=["fuse_attention_sam"])
    with pytest.raises(tvm.TVMError, match="no pattern 'fuse_attention_sam' is registered"):
        compile_vm(tvm, path, {"XPUFuzzyMatch": match.value()})
    importlib.import_module("tvm.relay.xpu.patterns")
    compile_vm(tvm, path, {"XPUFuzzyMatch": match.value()})


def test_graph_executor_computes_the_same(tvm: Any, tmp_path: Path) -> None:
    batch = tiny_model.images(4)
    mod, params = tvm.relay.frontend.from_onnx(str(tiny_model.write(tmp_path)), SHAPES)
    with tvm.transform.PassContext(opt_level=3):
        graph, lib, params = tvm.relay.build(mod, target=GRAPH_TARGET, params=params)
    module = tvm.contrib.graph_executor.create(graph, lib, tvm.device("xpu", 0))
    module.set_input(**params)
    module.set_input("image", tvm.nd.array(batch))
    module.run()
    np.testing.assert_allclose(module.get_output(0).numpy(), tiny_model.reference(batch), atol=1e-5)


def test_what_was_compiled_can_be_kept(tvm: Any, tmp_path: Path) -> None:
    batch = tiny_model.images(4)
    executable = compile_vm(tvm, tiny_model.write(tmp_path))
    code, lib = executable.save()
    lib.export_library(str(tmp_path / "lib.so"))
    library = tvm.runtime.load_module(str(tmp_path / "lib.so"))
    again = tvm.runtime.vm.Executable.load_exec(code, library)
    np.testing.assert_array_equal(run_vm(tvm, again, batch), run_vm(tvm, executable, batch))
    with pytest.raises(tvm.TVMError):
        tvm.runtime.load_module(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("environment", "fp16_config", "lowered"),
    [
        ({"XTCL_USE_FP16": "0", "XTCL_QUANTIZE_WEIGHT": "0"}, False, False),
        ({"XTCL_USE_NEW_ALTER_PASS": "1"}, True, False),
        ({"XTCL_USE_NEW_ALTER_PASS": "1", "XTCL_USE_FP16": "1"}, True, True),
        (
            {"XTCL_USE_NEW_ALTER_PASS": "1", "XTCL_USE_FP16": "1", "XTCL_QUANTIZE_WEIGHT": "1"},
            False, True,
        ),
    ],
)  # fmt: skip
def test_precision_comes_from_environment_and_pass_context(
    tvm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str], fp16_config: bool, lowered: bool,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kind = tvm.contrib.xpu_config.XPUOutDtypeConfig
    value = kind(default_precision="float16", config_last_node=True, config_map={}).value()
    config = {"XPUOutDtypeConfig": value} if fp16_config else {}
    batch = tiny_model.images(4)
    got = run_vm(tvm, compile_vm(tvm, tiny_model.write(tmp_path), config), batch)
    error = np.abs(got - tiny_model.reference(batch)).max()
    assert (1e-4 < error < 1e-2) if lowered else error < 1e-5


def test_fp16_without_the_alter_pass_is_refused(
    tvm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_model.write(tmp_path)
    value = tvm.contrib.xpu_config.XPUOutDtypeConfig(default_precision="float16").value()
    with pytest.raises(tvm.TVMError, match="XTCL_USE_NEW_ALTER_PASS=1"):
        compile_vm(tvm, path, {"XPUOutDtypeConfig": value})
    with pytest.raises(tvm.TVMError, match="Invalid config option 'tir_typo'"):
        compile_vm(tvm, path, {"tir_typo": 1})
    compile_vm(tvm, path, {"FuseWithoutPattern": ["FuseConv2dTransposeBiasAdd"]})


def test_missing_unknown_or_unfit_shapes_are_refused(tvm: Any, tmp_path: Path) -> None:
    model = ModelProto(tiny_model.write(tmp_path))
    from_onnx = tvm.relay.frontend.from_onnx
    with pytest.raises(tvm.TVMError, match="not static"):
        from_onnx(model)
    with pytest.raises(ValueError, match="weren't found in the graph"):
        from_onnx(model, {"pixels": (4, 3, 8, 8)})
    with pytest.raises(tvm.TVMError, match="does not fit"):
        from_onnx(model, {"image": (4, 3, 9, 8)})


def test_cut_file_and_unknown_operator_are_refused(tvm: Any, tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path, operator="NotAnOperator")
    with pytest.raises(NotImplementedError, match="NotAnOperator"):
        tvm.relay.frontend.from_onnx(ModelProto(path), SHAPES)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(tvm.TVMError, match="not a whole ONNX model"):
        tvm.relay.frontend.from_onnx(ModelProto(path), SHAPES)


def test_target_of_another_chip_is_refused(
    tvm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPUSIM_DEVICE_MODEL", "KUNLUN1")
    with pytest.raises(tvm.TVMError, match="does not fit XPUSIM_DEVICE_MODEL=KUNLUN1"):
        compile_vm(tvm, tiny_model.write(tmp_path))


def test_wrong_input_is_refused(tvm: Any, tmp_path: Path) -> None:
    executable = compile_vm(tvm, tiny_model.write(tmp_path))
    machine = tvm.runtime.vm.VirtualMachine(executable, tvm.device("xpu", 0))
    with pytest.raises(tvm.TVMError, match=r"input image is float32\[4, 3, 8, 8\], got"):
        machine.set_one_input("main", "image", tiny_model.images(3))
    with pytest.raises(tvm.TVMError, match="input image was not set"):
        machine.run()
    with pytest.raises(tvm.TVMError, match="does not exist"):
        tvm.runtime.vm.VirtualMachine(executable, tvm.device("xpu", 3))


@pytest.mark.parametrize(
    ("fault", "expected"), [("fail", "no XPU implementation"), ("oom", "memory")]
)
def test_told_to_fail_it_fails(
    tvm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, expected: str
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", fault)
    with pytest.raises(tvm.TVMError, match=expected):
        run_vm(tvm, compile_vm(tvm, tiny_model.write(tmp_path)), tiny_model.images(4))


def test_module_says_what_it_is(tvm: Any) -> None:
    assert tvm.__assay_standin__ is True
