"""Applies one mutant at a time to a copy of the tree, and runs its tests there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.mutants.listed import Mutant

LIMIT_S = 180.0
"""A mutant's tests take seconds; one that makes them wait is killed by this limit."""
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider")
SHOWN_CHARACTERS = 3000


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    INVALID = "invalid"


class Trial(NamedTuple):
    """What became of a mutant, in how many seconds, and the end of what pytest printed."""

    outcome: Outcome
    took_s: float
    output: str


def copy_tree(root: Path, target: Path) -> None:
    """Copy what Git knows of a tree, and new files that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        # A file that was removed and not yet committed is listed too.
        if name and (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name, follow_symlinks=False)


def try_out(mutant: Mutant, tree: Path, limit_s: float = LIMIT_S) -> Trial:
    """Apply a mutant to ``tree``, run its tests, and take it back. Raises ValueError if it does not apply."""
    with _applied(mutant, tree):
        return run_tests(mutant.tests, tree, limit_s)


def run_tests(
    tests: Sequence[str], tree: Path, limit_s: float = LIMIT_S, *, workers: int = 0
) -> Trial:
    """Run tests of a tree in a process of their own, or several: killed if one of them fails."""
    started = time.monotonic()
    # CI: examples of properties are the same in every run, so that a mutant's end is no accident.
    env = {**os.environ, "PYTHONPATH": str(tree), "CI": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *OPTIONS, "-n", str(workers), *tests],
        cwd=tree,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    code: int | None
    try:
        output, _ = process.communicate(timeout=limit_s)
        code = process.returncode
    except subprocess.TimeoutExpired:
        code, output = None, ""
    finally:
        _end(process)
    return Trial(_outcome(code), time.monotonic() - started, output[-SHOWN_CHARACTERS:])


def _outcome(code: int | None) -> Outcome:
    if code is None:
        return Outcome.TIMED_OUT
    # 2 to 5: pytest could not collect or run them, which says nothing about what they test.
    return {0: Outcome.SURVIVED, 1: Outcome.KILLED}.get(code, Outcome.INVALID)


@contextmanager
def _applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    path = tree / mutant.file
    before = path.read_text(encoding="utf-8")
    _write(path, mutant.changed(before))
    try:
        yield
    finally:
        _write(path, before)


def _write(path: Path, text: str) -> None:
    """Write a module without its byte code, which may have the same size and second."""
    path.write_text(text, encoding="utf-8")
    for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        cached.unlink()


def _end(process: subprocess.Popen[str]) -> None:
    """End what the tests left of their process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
