"""Problems of results: what is unusable or suspect, and why. Nothing is dropped silently."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ProblemKind(StrEnum):
    """The closed list of reasons why a result, or part of a tree, is left out or marked."""

    UNREADABLE = "unreadable"
    LINK_LOOP = "link_loop"
    NOT_JSON = "not_json"
    OLDER_SCHEMA = "older_schema"
    NEWER_SCHEMA = "newer_schema"
    OTHER_SCHEMA = "other_schema"
    INVALID = "invalid"
    ABSURD = "absurd"
    EDITED = "edited"
    SAME_ID = "same_id"
    COPY = "copy"


def unreadable_remedy(error: OSError) -> str:
    """Return what to do about a file or folder that cannot be read: rights are changed, all else is tried again."""
    if isinstance(error, PermissionError):
        return "make it readable (chmod u+r), or leave it out"
    return "repeat the command, which reads it again; if it fails again, check its disk, or leave it out"


class ResultProblem(NamedTuple):
    """One file or folder and its problem. Results with EDITED or SAME_ID stay in the tables, marked."""

    path: str
    kind: ProblemKind
    message: str
    remedy: str
