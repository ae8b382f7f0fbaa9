"""The reference stack's Python, and what runs in it: probes (scripts that print one JSON document)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uv import find_uv_bin

from tests.harness.forks import NUMPY, exported_by, forked_stage, server_of
from tests.harness.interpreters import HOME, stack_python
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness.job_folder import JobFolder, Outcome

HOOK = ROOT / "vendor_hooks" / "reference"
CASES = ROOT / "cases"
TIMM_REQUIREMENT = Path(__file__).with_name("timm.txt")
SERVER = Path(__file__).with_name("probes") / "server.py"


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
        request = {
            "script": str(script),
            "arguments": arguments,
            "path": path,
            "scratch": scratch,
            "environment": environment,
        }
        status = server_of(python, SERVER).run(request)
        said = [Path(scratch, name).read_text(encoding="utf-8") for name in ("out", "err")]
    return subprocess.CompletedProcess([str(script)], status, *said)


EXPORTING = (*NUMPY, "torch", "onnx", "transformers.models.vit.modeling_vit")


def exported(job: JobFolder, python: Path) -> Outcome:
    """Export the job's model as its hook does, where torch and transformers have been imported.

    Not for what writes companions: that is a process of its own, which imports them again.
    """
    job.write_job("export")
    environment = {**job.environment(python), **(exported_by(HOOK / "hook") or {})}
    return job.outcome(
        *forked_stage("export", job.folder, environment, python=python, server=(python, EXPORTING))
    )
