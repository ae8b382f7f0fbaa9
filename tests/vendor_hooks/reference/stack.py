"""The reference stack's Python, and what runs in it: probes (scripts that print one JSON document)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uv import find_uv_bin

from tests.harness.forks import MODELS, SCRIPT_SERVER, server_environment, server_of
from tests.harness.interpreters import HOME, stack_python
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

HOOK = ROOT / "vendor_hooks" / "reference"
CASES = ROOT / "cases"
TIMM_REQUIREMENT = Path(__file__).with_name("timm.txt")
FRAMEWORKS = (*MODELS, "transformers.models.regnet.modeling_regnet")
"""The same of probes."""


@cache
def reference_stack() -> tuple[Path | None, str]:
    """Return the reference stack's Python, or None and how to have one."""
    folder = ROOT / "images" / "reference" / "torch2.13"
    packages = ("onnx", "onnxsim", "torch", "transformers")
    return stack_python(folder, "ASSAY_REFERENCE_PYTHON", *packages)


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
    done = forked(python, script, *arguments, path=path)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def forked(
    python: Path, script: Path, *arguments: str, path: Sequence[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script where torch and transformers have been imported, with ``path`` first in sys.path."""
    # Probes write weights of a gigabyte: none stays behind, however a probe ends.
    with tempfile.TemporaryDirectory(prefix="assay-probe-") as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "err")
        own = {"TMPDIR": scratch, "PYTHONPATH": os.pathsep.join(path)}
        request = {
            "script": str(script),
            "arguments": arguments,
            "path": path,
            "environment": {**server_environment(python), **own, **environment},
            "cwd": str(Path.cwd()),
            "out": str(out),
            "err": str(err),
        }
        status = server_of(python, SCRIPT_SERVER, *FRAMEWORKS).run(request)
        said = [file.read_text(encoding="utf-8") for file in (out, err)]
    return subprocess.CompletedProcess([str(script)], status, *said)
