"""The reference stack's Python, and what runs in it: probes (scripts that print one JSON document)."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uv import find_uv_bin

from tests.harness.interpreters import HOME, stack_python
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOOK = ROOT / "vendor_hooks" / "reference"
CASES = ROOT / "cases"
TIMM_REQUIREMENT = Path(__file__).with_name("timm.txt")
SERVER = Path(__file__).with_name("probes") / "server.py"
PROBE_LIMIT_S = 300


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
        status = server_of(python).run(request)
        said = [Path(scratch, name).read_text(encoding="utf-8") for name in ("out", "err")]
    return subprocess.CompletedProcess([str(script)], status, *said)


class ProbeServer:
    """A process of the reference stack that has imported its frameworks; each probe is a fork of it."""

    def __init__(self, python: Path, program: Path = SERVER, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [str(python), "-B", str(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
                "HF_HUB_OFFLINE": "1",
                "TQDM_DISABLE": "1",
                # Threads that wait for each other by spinning starve where tests share the processor;
                # and a process without threads can be forked.
                "OMP_NUM_THREADS": "1",
            },
            text=True,
            start_new_session=True,
        )

    def run(self, request: Mapping[str, object]) -> int:
        """Run a probe; return its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], PROBE_LIMIT_S)[0]:
            self.stop()
            raise TimeoutError(f"{request} took longer than {PROBE_LIMIT_S} s")
        return int(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process and a probe that may be running."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        server_of.cache_clear()


@cache
def server_of(python: Path, program: Path = SERVER, *arguments: str) -> ProbeServer:
    """Return the process of this Python that runs ``program``, started by whoever needs it first."""
    server = ProbeServer(python, program, *arguments)
    atexit.register(server.stop)
    return server
