"""Stages and scripts as forks of a process that has imported what they import: it takes longer than all else in most.

A fork ends without its exit functions (atexit), and starts from what its server has in memory: what is about the start
or the end of a process, or about what one can reach of another, runs by its hook.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cores import ONE_BLAS_THREAD

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


class ForkServer:
    """A process that has imported its frameworks; what it is asked to run is a fork of it, one at a time."""

    def __init__(self, python: Path, program: Path, *arguments: str) -> None:
        self._one_at_a_time = threading.Lock()
        self._process = subprocess.Popen(
            [str(python), "-B", str(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=server_environment(python),
            text=True,
            start_new_session=True,
        )

    def run(self, request: Mapping[str, object]) -> int:
        """Run a fork; return its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], LIMIT_S)[0]:
                self.stop()
                raise TimeoutError(f"{request} took longer than {LIMIT_S} s")
            return int(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process and a fork that may be running."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        server_of.cache_clear()


@cache
def server_of(python: Path, program: Path, *arguments: str) -> ForkServer:
    """Return the process of this Python that runs ``program``, started by whoever needs it first."""
    server = ForkServer(python, program, *arguments)
    atexit.register(server.stop)
    return server


def exported_by(hook: Path) -> dict[str, str] | None:
    """Return the variables of a hook that leaves every stage to the harness, as a fork does; None for others."""
    if not hook.is_file():
        return None
    lines = hook.read_text(encoding="utf-8").splitlines()
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
    request = {
        "stage": stage,
        "job": str(job),
        "environment": dict(environment),
        "python": str(python),
        "log": str(log),
    }
    code = server_of(base or python, STAGE_SERVER, *modules).run(request)
    return code, log.read_text(encoding="utf-8")
