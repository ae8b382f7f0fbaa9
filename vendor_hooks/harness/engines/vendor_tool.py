"""Runs a vendor's own tool: all output goes to the stage's log, the error lines to the failure."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Union

from harness.errors import StageFailure, out_of_memory, says_out_of_memory

#: A file of this name is beside a test's imitation of a vendor's tool; no vendor ships one.
STAND_IN_MARK = "ASSAY-STANDIN"
#: Error lines, in the logs of compilers that do not mark them.
_TELLING = re.compile(
    r"error|fail|unsupport|not support|invalid|cannot|denied|abort|E\d{5}|EZ\d{4}", re.IGNORECASE
)
#: The most lines that a failure quotes; the log has them all.
LINES = 4


class Ran(NamedTuple):
    """How a tool ended: exit status (negative: the signal that killed it) and everything it printed."""

    argv: List[str]
    returncode: int
    text: str


def find(name: str) -> Optional[str]:
    """The tool's path, or None."""
    return shutil.which(name)


def is_stand_in(name: str) -> bool:
    """Whether the tool is a test's imitation."""
    found = find(name)
    return found is not None and (pathlib.Path(found).resolve().parent / STAND_IN_MARK).exists()


def run(
    argv: Sequence[Any],
    vendor: str,
    cwd: Union[str, pathlib.Path, None] = None,
    env: Optional[Mapping[str, str]] = None,
) -> Ran:
    """Run a tool to its end; its output is copied to the stage's log line by line.

    ``vendor`` is for the remedy. Raises StageFailure (image) when the tool is missing or cannot be
    started. A tool that hangs is ended by the stage's time limit.
    """
    argv = [str(word) for word in argv]
    sys.stderr.write("$ {}\n".format(" ".join(argv)))
    try:
        process = subprocess.Popen(
            argv,
            cwd=None if cwd is None else str(cwd),
            env=dict(os.environ, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise StageFailure(
            "image",
            "{} cannot be started: {}".format(argv[0], error.strerror),
            "use the stack's image, which has it (RUNNER=docker), or put it on PATH; then: make check VENDOR={}".format(
                vendor
            ),
        ) from error
    lines = []
    assert process.stdout is not None
    with process.stdout:
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            lines.append(line)
            sys.stderr.write(line)
    sys.stderr.flush()
    return Ran(argv, process.wait(), "".join(lines))


def telling(text: str) -> List[str]:
    """The lines that explain a failure: error lines, else the last ones; at most LINES."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [line for line in lines if _TELLING.search(line)] or lines[-LINES:]
    return list(dict.fromkeys(found))[:LINES]


def failure(
    kind: str, ran: Ran, lines: Optional[Sequence[str]] = None, remedy: Optional[str] = None
) -> StageFailure:
    """The StageFailure of a tool that failed; ``lines`` are its error lines, where the caller knows them.

    A tool that was killed by the kernel, or that reports it, ran out of memory.
    """
    name = pathlib.Path(ran.argv[0]).name
    said = "; ".join(lines or telling(ran.text)) or "it printed nothing"
    if ran.returncode == -signal.SIGKILL:
        return out_of_memory("{} was killed (SIGKILL); its last output: {}".format(name, said))
    if says_out_of_memory(ran.text):
        return out_of_memory("{}: {}".format(name, said))
    return StageFailure(
        kind,
        "{} {}: {}".format(name, _how_it_ended(ran.returncode), said),
        remedy or "the stage's log beside the result has the full output of {}".format(name),
    )


def _how_it_ended(returncode: int) -> str:
    if returncode < 0:
        return "was killed by signal {}".format(signal.Signals(-returncode).name)
    return (
        "failed with exit code {}".format(returncode) if returncode else "did not finish its work"
    )
