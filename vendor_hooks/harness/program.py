"""A vendor's own program: run with its whole output in the stage's log, its telling lines in the failure."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import NamedTuple

from harness.errors import StageFailure, out_of_memory, says_out_of_memory

#: A file of this name lies beside a test's imitation of a vendor's program; no vendor ships one.
STAND_IN_MARK = "ASSAY-STANDIN"
#: What tells, in the logs of compilers that mark nothing.
_TELLING = re.compile(
    r"error|fail|unsupport|not support|invalid|cannot|denied|abort|E\d{5}|EZ\d{4}", re.IGNORECASE
)
#: A failure names so many lines; the log has them all.
LINES = 4


class Ran(NamedTuple):
    """How a program ended: exit status (negative: the signal that killed it) and all that it printed."""

    argv: list
    returncode: int
    text: str


def find(name):
    """The program's path, or None."""
    return shutil.which(name)


def is_stand_in(name):
    """True for a test's imitation of the program."""
    found = find(name)
    return found is not None and (pathlib.Path(found).resolve().parent / STAND_IN_MARK).exists()


def run(argv, vendor, cwd=None, env=None):
    """Run a program to its end; its output is copied to the stage's log line by line as it comes.

    ``vendor`` is for the remedy. StageFailure (image) when it is not there or cannot be started. A
    program that hangs is ended with the stage, by the stage's time limit.
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
            "the stack's image has it: RUNNER=docker; or put it on PATH; then make check VENDOR={}".format(
                vendor
            ),
        ) from error
    lines = []
    with process.stdout:
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            lines.append(line)
            sys.stderr.write(line)
    sys.stderr.flush()
    return Ran(argv, process.wait(), "".join(lines))


def telling(text):
    """The lines that say why: those that speak of an error, else the last ones, at most LINES."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [line for line in lines if _TELLING.search(line)] or lines[-LINES:]
    return list(dict.fromkeys(found))[:LINES]


def failure(kind, ran, lines=None, remedy=None):
    """The StageFailure of a program that did not do its work; ``lines`` are the telling ones if known.

    A program that was killed by the kernel, or that says so, ran out of memory.
    """
    name = pathlib.Path(ran.argv[0]).name
    said = "; ".join(lines or telling(ran.text)) or "it printed nothing"
    if ran.returncode == -signal.SIGKILL:
        return out_of_memory("{} was killed (SIGKILL); its last words: {}".format(name, said))
    if says_out_of_memory(ran.text):
        return out_of_memory("{}: {}".format(name, said))
    return StageFailure(
        kind,
        "{} {}: {}".format(name, _how_it_ended(ran.returncode), said),
        remedy or "the whole output of {} is in the stage's log beside the result".format(name),
    )


def _how_it_ended(returncode):
    if returncode < 0:
        return "was ended by signal {}".format(signal.Signals(-returncode).name)
    return "ended with exit code {}".format(returncode) if returncode else "did not finish its work"
