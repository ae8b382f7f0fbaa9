"""The guest's code runs on the oldest Python of the stacks, and importing it pulls nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.interpreters import python37
from tests.harness.job_folder import ROOT, colours

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob

REFERENCE = ROOT / "vendor_hooks" / "reference"

# What the reference image's own Python (3.11) runs; no vendor's image imports it.
GUEST_FILES = sorted(
    path
    for folder in ("vendor_hooks", "cases")
    for path in (ROOT / folder).rglob("*.py")
    if REFERENCE not in path.parents and path.name != "train.py"
)
HARNESS_MODULES = sorted(
    path.relative_to(ROOT / "vendor_hooks").with_suffix("").as_posix().replace("/", ".")
    for path in (ROOT / "vendor_hooks" / "harness").rglob("*.py")
    if not path.stem.startswith("__")
)
HEAVY = {
    "PIL", "simplejpeg", "torch", "onnx", "onnxruntime", "openvino", "tensorrt", "transformers",
    "diffusers", "safetensors", "scipy", "cv2", "pydantic", "acl", "tvm", "vllm", "tensorrt_llm",
}  # fmt: skip


def test_there_is_guest_code_to_look_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in GUEST_FILES}
    assert "vendor_hooks/harness/__main__.py" in names
    assert "vendor_hooks/cpu/engines/onnxruntime.py" in names


@pytest.mark.parametrize("path", GUEST_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_guest_files_parse_as_python_37(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_vermin_finds_nothing_newer_than_37() -> None:
    pytest.importorskip("vermin")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import vermin; vermin.main()",
            "-t=3.7-",
            "--no-tips",
            "--violations",
        ]
        + [str(path) for path in GUEST_FILES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def imported_by(python: Path, statement: str) -> set[str]:
    """Return the top-level names in sys.modules after ``statement``."""
    code = (
        f"import json, sys; {statement}; "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [str(python), "-B", "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'vendor_hooks'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_importing_the_harness_pulls_nothing_heavy() -> None:
    found = imported_by(Path(sys.executable), "import " + ", ".join(HARNESS_MODULES))
    assert "numpy" in found
    assert not found & HEAVY


ENGINES = sorted((ROOT / "vendor_hooks").glob("*/engines/*.py"))
TASKS = sorted((ROOT / "cases").glob("*/task.py"))


@pytest.mark.parametrize("path", [*ENGINES, *TASKS], ids=lambda path: str(path.relative_to(ROOT)))
def test_importing_an_engine_or_a_task_pulls_nothing_heavy(path: Path, tmp_path: Path) -> None:
    # As a job folder has it: the vendor is `hook`, the case is `case`.
    own = path.parents[1] if path in ENGINES else path.parent
    name, module = ("hook", f"engines.{path.stem}") if path in ENGINES else ("case", "task")
    (tmp_path / name).symlink_to(own)
    statement = f"sys.path.insert(0, {str(tmp_path)!r}); import {name}.{module}"
    assert not imported_by(Path(sys.executable), statement) & HEAVY


@pytest.fixture
def old_python() -> Path:
    python, reason = python37()
    if python is None:
        pytest.skip(reason)
    return python


@pytest.mark.py37
@pytest.mark.parametrize("engine", ["colours", "static", "enqueue"])
def test_a_stage_runs_under_a_real_python_37(
    make_job: MakeJob, old_python: Path, engine: str
) -> None:
    job = make_job(engine=engine, engine_options={"item_ms": 1.0}, batch_size=4)
    outcome = job.with_pictures(10).run(python=old_python)
    report = outcome.ok
    assert report.versions["python"].startswith("3.7.")
    assert {found.name for found in report.measurements} == {"core", "latency", "whole"}
    if engine != "enqueue":
        np.testing.assert_array_equal(
            outcome.npz("predictions.npz")["classes"][:, 0], colours(10)[1]
        )


@pytest.mark.py37
def test_every_guest_module_imports_under_a_real_python_37(old_python: Path) -> None:
    found = imported_by(old_python, "import " + ", ".join(HARNESS_MODULES))
    assert not found & HEAVY


@pytest.mark.py37
def test_a_failure_is_reported_under_a_real_python_37(make_job: MakeJob, old_python: Path) -> None:
    job = make_job().with_pictures(4)
    (job.data / "items.bin").write_bytes(b"")
    assert "items.bin has 0 bytes" in job.run(python=old_python).failed("data")
