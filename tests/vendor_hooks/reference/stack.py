"""The reference stack's Python, and what runs in it: probes (scripts that print one JSON document)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from tests.harness.interpreters import HOME, stack_python
from tests.harness.job_folder import ROOT

HOOK = ROOT / "vendor_hooks" / "reference"
CASES = ROOT / "cases"
TIMM_REQUIREMENT = Path(__file__).with_name("timm.txt")
PROBE_LIMIT_S = 300


@cache
def reference_stack() -> tuple[Path | None, str]:
    """Return the reference stack's Python, or None and how to have one."""
    folder = ROOT / "images" / "reference" / "torch2.13"
    imports = "import onnx, onnxsim, torch, transformers"
    return stack_python(folder, "ASSAY_REFERENCE_PYTHON", imports)


@cache
def timm_folder() -> tuple[Path | None, str]:
    """Return a folder with timm alone, installed when it is missing; None and why otherwise."""
    folder = HOME / "tests" / "timm"
    if (folder / "timm" / "__init__.py").is_file():
        return folder, ""
    done = subprocess.run(
        [
            *[find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"],
            *["--python", sys.executable, "--target", str(folder), "-r", str(TIMM_REQUIREMENT)],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return folder, ""
    return None, f"timm cannot be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}"


def probe(python: Path, script: Path, *arguments: str, extra: Path | None = None) -> Any:
    """Run a probe and return the JSON document on the last line of its output."""
    path = [str(ROOT / "vendor_hooks"), *([str(extra)] if extra else [])]
    # Probes write weights of a gigabyte: none stays behind, however a probe ends.
    with tempfile.TemporaryDirectory(prefix="assay-probe-") as scratch:
        done = subprocess.run(
            [str(python), "-B", str(script), *arguments],
            env={
                "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(path),
                "TMPDIR": scratch,
                "HF_HUB_OFFLINE": "1",
                "TQDM_DISABLE": "1",
                # Threads that wait for each other by spinning starve where tests share the processor.
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            timeout=PROBE_LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
