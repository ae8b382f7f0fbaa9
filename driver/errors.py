"""Every fatal error of the driver in one place: what happened, what to type next, and its exit code.

0 all jobs ok; 1 a job failed; 2 wrong usage; 3 the environment; 4 the accuracy gate failed;
5 a hook broke the contract; 6 a time limit; 130 interrupted.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

from driver.models.base import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_OK = 0
EXIT_UNEXPECTED = 70
"""A defect of ours (sysexits' EX_SOFTWARE): never used for a user's mistake."""

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
    """The request itself is wrong: an unknown name, a batch size of 0."""

    exit_code = 2


class EnvironmentFault(AssayError):
    """This machine cannot do it: no engine, no device, no disk."""

    exit_code = 3
    kind = FailureKind.HOST


class ImageFault(EnvironmentFault):
    """An image or an environment could not be made."""

    kind = FailureKind.IMAGE


class DataFault(EnvironmentFault):
    """A dataset or weights are missing or not what they must be."""

    kind = FailureKind.DATA


class ContractFault(AssayError):
    """A hook did not keep the contract."""

    exit_code = 5
    kind = FailureKind.CONTRACT


class Interrupted(AssayError):
    """The user stopped the run."""

    exit_code = 130
    kind = FailureKind.INTERRUPTED


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean X?)"`` for the known name that is nearest, or nothing."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageFault:
    """Return the error for a name that nobody knows, with the nearest one offered."""
    names = sorted(known)
    listed = ", ".join(names) if names else "none"
    return UsageFault(
        f"unknown {what} {name!r}{nearest(name, names)}",
        f"choose one of: {listed}. `make list` shows what there is.",
    )
