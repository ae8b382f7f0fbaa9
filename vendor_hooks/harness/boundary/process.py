"""Starts the engine's process and ends it, with everything that it started."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import Any, Dict, List

from harness.boundary import sandbox
from harness.boundary.channel import Channel, send_descriptor
from harness.errors import StageFailure, out_of_memory
from harness.job import Job

#: What a job folder offers to an engine; all else in it (data, out, labels, …) is not there for it.
OFFERED = ("job.json", "harness", "case", "hook", "model", "weights", "cache")
#: Seconds that a closed channel may precede the end of the process.
ENDING_S = 10.0


class EngineProcess:
    """The process of one engine, in a session of its own; ``channel`` carries the messages."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._oom_kills = _kernel_oom_kills()
        #: The engine's out_dir, and its TMPDIR if the usual one has hidden files in it.
        self._scratch = tempfile.mkdtemp(prefix="engine-")
        ours, theirs = socket.socketpair()
        self._descriptors, their_descriptors = socket.socketpair()
        with theirs, their_descriptors:
            self._process = self._start([theirs.fileno(), their_descriptors.fileno()])
        self.channel = Channel(ours)
        self._sockets = (ours, self._descriptors)
        # A process that an engine forked may hold the other end open: the end of the engine counts.
        self._waiter = threading.Thread(target=self._wait, name="engine", daemon=True)
        self._waiter.start()

    def hand_over(self, descriptor: int) -> None:
        """Give the process a file descriptor."""
        send_descriptor(self._descriptors, descriptor)

    def died(self) -> StageFailure:
        """The failure of a process that is gone though nobody closed it."""
        self._waiter.join(ENDING_S)
        code = self._process.poll()
        stage, what = self._job.stage, "the process of engine {}".format(self._job.engine)
        if code is None:
            return self._broken("{} closed its channel and went on".format(what))
        if code == -signal.SIGKILL and _kernel_oom_kills() > self._oom_kills:
            return out_of_memory("{} was killed by the kernel".format(what))
        if code < 0:
            return StageFailure(
                "compile" if stage == "compile" else "infer",
                "{} was killed by signal {} ({})".format(what, -code, _signal_name(-code)),
                "read the full log beside the result; report a crash of the SDK to its vendor",
            )
        return self._broken("{} exited with {} in the middle of {}".format(what, code, stage))

    def protocol(self, what: str) -> StageFailure:
        """The failure of a process that sends what harness code never would."""
        return self._broken(
            "the process of engine {} sent what is no answer: {}".format(self._job.engine, what)
        )

    def stop(self, grace_s: float) -> None:
        """Wait ``grace_s`` for the end, then kill the process and what it left in its session."""
        self._waiter.join(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._waiter.join(ENDING_S)
        for one in self._sockets:
            one.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self, descriptors: List[int]) -> "subprocess.Popen[bytes]":
        environment = dict(os.environ, PYTHONPATH=self._python_path())
        settings = self._settings(descriptors, environment)
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "harness.boundary.enter", json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=descriptors,
            start_new_session=True,
        )

    def _python_path(self) -> str:
        before = os.environ.get("PYTHONPATH")
        return os.pathsep.join([str(self._job.folder)] + ([before] if before else []))

    def _settings(self, descriptors: List[int], environment: Dict[str, str]) -> Dict[str, Any]:
        """The arguments of ``harness.boundary.enter``; TMPDIR moves if it would be hidden."""
        folder = self._job.folder
        hidden = _hidden(folder)
        writable = [self._scratch, str(self._job.cache_dir), tempfile.gettempdir()]
        if sandbox.contains(os.path.realpath(tempfile.gettempdir()), set(hidden)):
            environment["TMPDIR"] = self._scratch
        if "HOME" in environment:
            writable.append(environment["HOME"])
        return {
            "parent": os.getpid(),
            "stage": self._job.stage,
            "folder": str(folder),
            "descriptors": descriptors,
            "scratch": self._scratch,
            "hidden": hidden,
            "visible": [str(folder / name) for name in OFFERED],
            "writable": writable,
        }

    def _wait(self) -> None:
        self._process.wait()
        self.channel.shut()

    def _broken(self, message: str) -> StageFailure:
        return StageFailure(
            "contract",
            message,
            "raise an exception instead of ending the process; read the log beside the result, then: "
            "make check VENDOR={}".format(self._job.vendor),
        )


def _hidden(folder: pathlib.Path) -> List[str]:
    """Real paths of what an engine has no business with: data, out, labels, and what else comes with them."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name not in OFFERED:
            real = path.resolve()
            # A prepared dataset has its labels beside it.
            found += [real, real.parent / "labels"]
    return [str(path) for path in found if path.exists()]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _kernel_oom_kills() -> int:
    """Processes that the kernel has killed for lack of memory since boot."""
    try:
        lines = pathlib.Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
