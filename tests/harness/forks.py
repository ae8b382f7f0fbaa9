"""Stages and scripts as forks of a process that has imported what they import: it takes longer than all else in most.

A fork ends without its exit functions (atexit), and starts from what its server has in memory: what is about the start
or the end of a process, or about what one can reach of another, runs by its hook.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cores import ONE_BLAS_THREAD
from tests.shared import SERVED, VARIABLE, made_once

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBES = Path(__file__).parents[1] / "vendor_hooks" / "probes"
STAGE_SERVER, SCRIPT_SERVER = PROBES / "stage_server.py", PROBES / "script_server.py"
"""What they are asked is in their docstrings."""
HANDED_OVER = 'PYTHONPATH="$2" exec python3 -B -m harness "$1" "$2"'
"""How a hook ends that leaves the stage to the harness."""
PICTURES = (
    *("PIL.Image", "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin"),
    *("PIL.PngImagePlugin", "PIL.PpmImagePlugin"),
)
EVERY_STAGE = (
    "numpy",
    "numpy.random",
    *PICTURES,
    "concurrent.futures.thread",
    "hashlib",
    "zipfile",
)
"""What every stage imports that takes long."""
WITH_TORCH = (
    *(*EVERY_STAGE, "torch", "transformers", "torch.distributed.tensor"),
    *("torch._inductor.compile_fx", "torch._inductor.codegen.cpp"),
)
"""With what torch.compile imports: twice as much as torch itself."""
MODELS = ("torch", "onnx", "transformers.models.vit.modeling_vit")
EXPORTING = (*EVERY_STAGE, *MODELS)
"""What an export imports that takes long."""
INDUCTOR = {"TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
"""What torch._inductor reads when it is imported, as its engine sets it: a fork comes too late for that."""
LIMIT_S = 300


def server_environment(python: Path) -> dict[str, str]:
    """Return the environment of a process of this Python that is forked."""
    return {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        # Threads that wait for each other by spinning starve where tests share the processor; and a process
        # without threads can be forked.
        "OMP_NUM_THREADS": "1",
        **ONE_BLAS_THREAD,
        # Read at the same time; the test_torch_compiled module sees to it that the engine sets the others.
        "CXX": str(PROBES / "kept-g++"),
        **INDUCTOR,
    }


class Fork:
    """What a fork does, and how it ended."""

    def __init__(self, address: Path, request: Mapping[str, object]) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(LIMIT_S)
        self._connection.connect(str(address))
        self._connection.sendall(f"{json.dumps(request)}\n".encode())
        self._lines = self._connection.makefile()
        self.pid = int(self._said(address))

    def wait(self, timeout_s: float) -> int | None:
        """Wait at most so long for its end; return its exit status, or None."""
        if not select.select([self._connection], [], [], timeout_s)[0]:
            return None
        code, seconds = self._said(self._connection.getpeername()).split()
        note_used(float(seconds))
        return int(code)

    def close(self) -> None:
        """Let go of it; one that has not ended is killed, with what it started in its session."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            # Until its server has seen it end.
            self._lines.read()
        self._lines.close()
        self._connection.close()

    def _said(self, address: Path | str) -> str:
        line = self._lines.readline()
        assert line, f"no fork: {Path(address).with_name(ERRORS).read_text(encoding='utf-8')}"
        return line


ERRORS = "errors"
"""Beside a server's socket: what it printed."""


def note_used(seconds: float) -> None:
    """Note processor seconds of a fork or of a server, which are no children of this test's process."""
    with _used().open("a", encoding="ascii") as notes:
        notes.write(f"{seconds}\n")


def used_s() -> float:
    """Return the processor seconds that were noted in this process of pytest and in those that it started."""
    path = _used()
    return sum(map(float, path.read_text(encoding="ascii").split())) if path.exists() else 0.0


def _used() -> Path:
    return Path(os.environ[VARIABLE], f"used-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")


@dataclass(frozen=True)
class ForkServer:
    """A process that has imported its frameworks; what it is asked to run are forks of it."""

    address: Path

    def run(self, request: Mapping[str, object]) -> int:
        """Run a fork; return its exit status."""
        fork = Fork(self.address, request)
        try:
            code = fork.wait(LIMIT_S)
        finally:
            fork.close()
        if code is None:
            raise TimeoutError(f"{request} took longer than {LIMIT_S} s")
        return code


@cache
def server_of(python: Path, program: Path, *arguments: str) -> ForkServer:
    """Return the process of this Python that runs ``program``, started by whoever in the test run needs it first."""
    named = json.dumps([str(python), str(program), *arguments])
    name = f"forks-{hashlib.sha256(named.encode()).hexdigest()[:8]}"

    def start(folder: Path) -> None:
        # Not our own: it outlives this process, and whoever reads what that says would wait for its end.
        errors = folder / ERRORS
        with errors.open("wb") as log:
            started = subprocess.run(
                [
                    str(python),
                    "-B",
                    str(program),
                    str(folder / "s"),
                    os.environ[SERVED],
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=server_environment(python),
                check=False,
            )
        assert started.stdout, f"{program} ended: {errors.read_text(encoding='utf-8')}"
        note_used(float(started.stdout))

    return ForkServer(made_once(name, start) / "s")


def exported_by(hook: Path) -> dict[str, str] | None:
    """Return the variables of a hook that leaves every stage to the harness, as a fork does; None for others."""
    if not hook.is_file():
        return None
    lines = hook.read_text(encoding="utf-8").splitlines()
    if lines[:1] != ["#!/bin/sh"]:
        return None
    *before, last = [line for line in lines if line and not line.startswith("#")]
    words = [line.split() for line in before if line != "set -eu"]
    if last != HANDED_OVER or any(line[0] != "export" for line in words):
        return None
    return dict(word.split("=", 1) for line in words for word in line[1:])


def forked_stage(
    stage: str,
    job: Path,
    environment: Mapping[str, str],
    *,
    python: Path,
    modules: tuple[str, ...],
    base: Path | None = None,
) -> tuple[int, str]:
    """Run a stage of the job folder as ``python`` would; return its exit status and its log.

    ``base`` is the Python of the process that is forked, by default the same, and ``modules`` what that has imported.
    """
    log = job.with_name(f"{job.name}.log")
    request = stage_request(stage, job, environment, python=python, log=log)
    code = server_of(base or python, STAGE_SERVER, *modules).run(request)
    return code, log.read_text(encoding="utf-8")


def stage_request(
    stage: str, job: Path, environment: Mapping[str, str], *, python: Path, log: Path
) -> dict[str, object]:
    """Return what STAGE_SERVER is asked for a stage, in the current folder of this process."""
    return {
        "stage": stage,
        "job": str(job),
        "environment": dict(environment),
        "python": str(python),
        "cwd": str(Path.cwd()),
        "log": str(log),
    }
