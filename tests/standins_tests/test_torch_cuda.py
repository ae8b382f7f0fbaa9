"""The torch.cuda patch, in the cpu stack's own Python: calls map to the CPU, and are counted."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.interpreters import cpu_stack
from tests.standins_tests.conftest import STANDINS
from tests.vendor_hooks.reference.stack import forked, reference_stack
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import json
import {patch}
import torch
said = {{"mark": torch.cuda.__assay_standin__, "name": torch.cuda.get_device_name(0)}}
said["available"] = torch.cuda.is_available()
said["version"] = [torch.version.cuda, getattr(torch.version, "maca", None)]
module = torch.nn.Linear(8, 4).eval().to("cuda")
host = torch.ones(2, 8, pin_memory=True)
start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
with torch.cuda.stream(torch.cuda.Stream()), torch.inference_mode():
    start.record()
    moved = host.to("cuda", non_blocking=True)
    out = torch.empty(2, 4, device="cuda")
    out.copy_(module(moved))
    stop.record()
torch.cuda.synchronize()
stop.synchronize()
said["same"] = bool(torch.equal(out, module(host)))
said["aliased"] = moved.data_ptr() == host.data_ptr()
said["elapsed"] = start.elapsed_time(stop) >= 0
said["synchronizations"] = torch.cuda.standin_synchronizations
said["peak"] = torch.cuda.max_memory_allocated()
print(json.dumps(said))
"""


COMPILED = """
import json
import assay_standin_torch_cuda, torch, torch_tensorrt
said = {"mark": torch_tensorrt.__assay_standin__}
module = torch.nn.Linear(64, 4).eval()
batch = torch.randn(4, 64)
exact = module(batch)
specs = [torch_tensorrt.Input(min_shape=(1, 64), opt_shape=(4, 64), max_shape=(8, 64))]
for name, asked in (("tf32", {}), ("fp32", {"disable_tf32": True}),
                    ("fp16", {"enabled_precisions": {torch.float16}})):
    copy = torch.nn.Linear(64, 4).eval()
    copy.load_state_dict(module.state_dict())
    engine = torch_tensorrt.compile(copy, inputs=specs, **asked)
    said[name] = float((engine(batch) - exact).abs().max())
said["refused"] = []
for call in (lambda: engine(torch.randn(9, 64)),
             lambda: torch_tensorrt.compile(module, inputs=specs, frobnicate=1),
             lambda: torch_tensorrt.Input(dtype=torch.float32)):
    try:
        call()
    except Exception as error:
        said["refused"].append(type(error).__name__)
print(json.dumps(said))
"""
SAVED = """
import json, sys
import assay_standin_torch_cuda, torch, torch_tensorrt
said = {}
module = torch.jit.trace(torch.nn.Linear(64, 4).eval(), [torch.randn(4, 64)])
specs = [torch_tensorrt.Input(min_shape=(1, 64), opt_shape=(4, 64), max_shape=(8, 64))]
engine = torch_tensorrt.compile(module, ir="ts", inputs=specs, enabled_precisions={torch.float16})
said["script"] = isinstance(engine, torch.jit.ScriptModule)
torch.jit.save(engine, sys.argv[1])
loaded = torch.jit.load(sys.argv[1])
said["operators"] = sorted(
    {node.kind() for node in loaded.inlined_graph.nodes() if not node.kind().startswith("prim::")}
)
batch = torch.randn(3, 64)
said["same"] = bool(torch.equal(loaded(batch), engine(batch)))
try:
    loaded(torch.randn(9, 64))
except RuntimeError as error:
    said["refused"] = "Expected input of shape" in str(error)
print(json.dumps(said))
"""
LOADED_WITHOUT = """
import sys, torch
torch.jit.load(sys.argv[1])
"""
CUT = """
import pathlib, sys, types
from assay_standin import torch_cuda
import torch
torch.version.cuda = "12.1"
torch.__file__ = sys.argv[1] + "/__init__.py"
said = []
for mark in (False, True):
    if mark:
        pathlib.Path(sys.argv[1], "ASSAY-STANDIN").touch()
    torch_cuda.patch(torch, "nvidia")
    said.append(hasattr(torch.cuda, "__assay_standin__"))
print(said)
"""
WITHOUT_HALF = """
import json
import assay_standin_torch_cuda, torch
from assay_standin import torch_device
torch_device._computes_half = lambda torch: False
module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(288, 4)).eval()
batch = torch.randn(2, 3, 8, 8)
with torch.inference_mode():
    exact = module(batch)
    module = module.to(torch.float16).to("cuda")
    halves = [module(batch.half()) for _ in range(2)]
print(json.dumps({
    "off": float((halves[0].float() - exact).abs().max()),
    "again": bool(torch.equal(*halves)),
    "dtypes": [str(halves[0].dtype)] + [str(p.dtype) for p in module.parameters()],
}))
"""
FAULTY = """
import assay_standin_torch_cuda, torch
module = torch.nn.Linear(8, 4).eval().to("cuda")
with torch.inference_mode():
    out = module(torch.ones(2, 8))
torch.cuda.synchronize()
print(bool(torch.isnan(out).any()))
"""


def run(
    code: str, folder: Path, fault: str = "", argument: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run code where torch has been imported before the patch, once for all tests."""
    python, reason = reference_stack()
    if python is None:
        pytest.skip(reason)
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    path = [str(STANDINS / "core"), str(STANDINS / "nvidia" / "python")]
    return forked(python, script, argument, path=path, ASSAY_STANDIN_FAULT=fault)


def run_afresh(code: str, vendor: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, where the patch waits for torch, as in the cpu stack."""
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    path = f"{STANDINS / 'core'}:{STANDINS / vendor / 'python'}"
    return subprocess.run(
        [str(python), "-B", "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.stack
def test_torch_tensorrt_compiles_lowers_and_refuses(tmp_path: Path) -> None:
    done = run(COMPILED, tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["mark"] is True
    assert said["fp32"] < 1e-6 < said["tf32"] < 1e-2
    assert 1e-6 < said["fp16"] < 1e-2
    assert said["refused"] == ["RuntimeError", "TypeError", "ValueError"]


@pytest.mark.stack
def test_a_build_with_cuda_is_patched_only_where_its_cuda_was_cut_out(tmp_path: Path) -> None:
    done = run(CUT, tmp_path, argument=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.lower()) == [False, True]


@pytest.mark.stack
def test_half_is_rounded_where_the_cpu_has_no_kernels_of_it(tmp_path: Path) -> None:
    done = run(WITHOUT_HALF, tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert 1e-6 < said["off"] < 1e-2
    assert said["again"] is True
    assert set(said["dtypes"]) == {"torch.float16"}


@pytest.mark.stack
def test_what_torch_tensorrt_compiled_is_saved_and_loads_only_where_it_is_imported(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "engine.ts")
    done = run(SAVED, tmp_path, argument=path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("operators") == ["tensorrt::execute_engine"]
    assert said == {"script": True, "same": True, "refused": True}
    without = run(LOADED_WITHOUT, tmp_path, argument=path)
    assert without.returncode != 0
    assert "Unknown builtin op: tensorrt::" in without.stderr


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fault", "operators"),
    [
        ("part", ["aten::matmul", "tensorrt::execute_engine"]),
        ("nothing", ["aten::linear"]),
    ],
)
def test_torch_tensorrt_leaves_to_pytorch_what_it_is_told_to(
    tmp_path: Path, fault: str, operators: list[str]
) -> None:
    done = run(SAVED, tmp_path, fault, str(tmp_path / "engine.ts"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["operators"] == operators


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fault", "returncode", "expected"),
    [("", 0, "False"), ("nan", 0, "True"), ("oom", 1, "OutOfMemoryError"), ("crash", -6, "")],
)
def test_a_fault_on_request_is_a_failure(
    tmp_path: Path, fault: str, returncode: int, expected: str
) -> None:
    done = run(FAULTY, tmp_path, fault)
    assert done.returncode == returncode
    assert expected in done.stdout + done.stderr


@pytest.mark.stack
@pytest.mark.parametrize(
    ("vendor", "patch", "name", "versions"),
    [
        ("amd", "assay_standin_rocm", "AMD Instinct MI300X", [None, None]),
        ("iluvatar", "assay_standin_corex", "Iluvatar MR-V100", ["12.1", None]),
        ("nvidia", "assay_standin_torch_cuda", "NVIDIA A100-SXM4-40GB", ["12.1", None]),
        ("metax", "assay_standin_maca", "MetaX C500", ["12.1", "2.19.2.5"]),
    ],
)
def test_calls_of_a_hook_run_on_the_cpu(
    vendor: str, patch: str, name: str, versions: list[str | None]
) -> None:
    done = run_afresh(CODE.format(patch=patch), vendor)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said == {
        "mark": True,
        "name": name,
        "available": True,
        "version": versions,
        "same": True,
        "aliased": False,
        "elapsed": True,
        "synchronizations": 2,
        "peak": (8 * 4 + 4) * 4,
    }
