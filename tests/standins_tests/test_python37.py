"""The stand-ins run where the vendors' SDKs run: Python 3.7."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.interpreters import python37
from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS

PROGRAMS = [p for p in STANDINS.glob("*/bin/*") if p.is_file() and p.name != "ASSAY-STANDIN"]
FILES = sorted(
    [*STANDINS.rglob("*.py"), *PROGRAMS, STANDINS / "install", STANDINS / "make-installer"]
)
MODULES = {
    "amd": ["migraphx", "assay_standin_rocm"],
    "iluvatar": ["cuda.cudart", "tensorrt", "ixrt", "assay_standin_corex"],
    "nvidia": ["tensorrt", "cuda.cudart", "cuda.bindings.runtime", "assay_standin_torch_cuda"],
    "ascend": [
        "acl", "aclruntime", "ais_bench.infer.interface", "assay_standin.benchmark_tool",
        "assay_standin_cann", "assay_standin.cann_provider",
    ],
    "kunlunxin": ["tvm", "tvm.relay.xpu.patterns"],
    "metax": ["assay_standin_maca"],
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(STANDINS)))
def test_file_parses_as_python_37(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.fixture
def old_python() -> Path:
    python, reason = python37()
    if python is None:
        pytest.skip(reason)
    return python


@pytest.mark.py37
@pytest.mark.parametrize("vendor", sorted(MODULES))
def test_modules_import_under_a_real_python_37(old_python: Path, vendor: str) -> None:
    path = f"{STANDINS / 'core'}:{STANDINS / vendor / 'python'}"
    done = subprocess.run(
        [str(old_python), "-B", "-c", f"import {', '.join(MODULES[vendor])}"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.py37
def test_atc_compiles_under_a_real_python_37(old_python: Path, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    done = subprocess.run(
        [
            str(old_python), "-B", str(STANDINS / "ascend" / "bin" / "atc"), "--framework=5",
            "--model=model.onnx", "--output=m", "--input_shape=image:2,3,8,8",
            "--soc_version=Ascend310",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "m.om").exists()
