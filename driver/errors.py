"""Every fatal error of the driver: what happened, what to type next, and its exit code.

Exit codes: 0 all jobs ok; 1 a job failed; 2 wrong usage; 3 the environment; 4 the accuracy gate
failed; 5 a hook broke the contract; 6 a time limit; 7 a rerun did not reproduce its result, 8 it is
inconclusive; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

from driver.models.base import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EXIT_OK = 0
EXIT_NOT_REPRODUCED = 7
EXIT_INCONCLUSIVE = 8
"""A code of its own for `rerun`, so that no script mistakes an open question for a reproduction."""
EXIT_UNEXPECTED = 70
"""A defect of Assay (EX_SOFTWARE in sysexits.h), never a user's mistake."""

EXIT_OF_KIND: dict[FailureKind, int] = {
    FailureKind.HOST: 3,
    FailureKind.IMAGE: 3,
    FailureKind.DATA: 3,
    FailureKind.EXPORT: 1,
    FailureKind.COMPILE: 1,
    FailureKind.INFER: 1,
    FailureKind.OUT_OF_MEMORY: 1,
    FailureKind.TIMEOUT: 6,
    FailureKind.CONTRACT: 5,
    FailureKind.ACCURACY: 4,
    FailureKind.INTERRUPTED: 130,
}


class AssayError(Exception):
    """An expected failure: ``message`` says what happened and why, ``remedy`` what to type next."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[FailureKind] = FailureKind.HOST

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageFault(AssayError):
    """The request is wrong: an unknown name, a batch size of 0."""

    exit_code = 2


class EnvironmentFault(AssayError):
    """This machine cannot do it: no container engine, no device, no disk space."""

    exit_code = 3
    kind = FailureKind.HOST


class ImageFault(EnvironmentFault):
    """An image or an environment could not be made."""

    kind = FailureKind.IMAGE


class DataFault(EnvironmentFault):
    """A dataset or weights are missing or invalid."""

    kind = FailureKind.DATA


class ContractFault(AssayError):
    """A hook broke the contract."""

    exit_code = 5
    kind = FailureKind.CONTRACT


class Interrupted(AssayError):
    """The user stopped the run."""

    exit_code = 130
    kind = FailureKind.INTERRUPTED


FREE_SPACE = (
    "free some space (`make clean` empties the cache), or choose another disk: ASSAY_HOME=<folder> for "
    "environments and caches, OUT=<folder> for results"
)
OWN_FOLDER = (
    "fix its permissions, or choose other folders: ASSAY_HOME=<folder> for environments and caches, "
    "OUT=<folder> for results"
)
DISK_REMEDIES = {
    errno.ENOSPC: FREE_SPACE,
    errno.EDQUOT: FREE_SPACE,
    errno.EROFS: OWN_FOLDER,
    errno.EACCES: OWN_FOLDER,
    errno.EPERM: OWN_FOLDER,
}
"""Errors of the disk, which no code of ours can prevent, by errno."""


def disk_fault(error: OSError) -> EnvironmentFault | None:
    """Return the error to show for a full disk, a quota or a folder without permission, else None."""
    remedy = DISK_REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    path = error.filename2 or error.filename
    what = "a file" if path is None else os.fsdecode(path)
    return EnvironmentFault(f"{what} cannot be used: {error.strerror}", remedy)


def disk_fault_of(output: str, folder: object) -> EnvironmentFault | None:
    """Return the error to show for a tool (uv, pip) whose output names an error of the disk, else None."""
    for number, remedy in DISK_REMEDIES.items():
        if number != errno.EPERM and os.strerror(number) in output:
            return EnvironmentFault(f"{folder} cannot be written: {os.strerror(number)}", remedy)
    return None


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn errors of the disk into EnvironmentFault: the last resort of writes without own handling."""
    try:
        yield
    except OSError as error:
        fault = disk_fault(error)
        if fault is None:
            raise
        raise fault from error


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean X?)"`` with the nearest known name, or "" if none is near."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""


_STAGES_BY: ContextVar[str] = ContextVar("stages_by", default="RUNNER")


def stages_in(*runners: str) -> str:
    """Return what chooses one of these runners, as the reader of an error types it: ``RUNNER=docker or …``.

    A sweep on a scheduler has RUNNER=slurm, and INSIDE for what runs the stages.
    """
    return " or ".join(f"{_STAGES_BY.get()}={name}" for name in runners)


@contextmanager
def stages_chosen_by(variable: str) -> Iterator[None]:
    """Name this variable in ``stages_in`` meanwhile."""
    before = _STAGES_BY.set(variable)
    try:
        yield
    finally:
        _STAGES_BY.reset(before)


LISTED = ("case", "vendor", "stack", "engine", "precision", "chip")
"""The kinds of names that `make list` shows."""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageFault:
    """Return the error for an unknown name, with the nearest known one; ``what`` is its kind."""
    more = ". `make list` shows more." if what.split(maxsplit=1)[0] in LISTED else ""
    names = sorted(known)
    listed = ", ".join(names) if names else "none"
    return UsageFault(
        f"unknown {what} {name!r}{nearest(name, names)}",
        f"choose one of: {listed}{more}",
    )
