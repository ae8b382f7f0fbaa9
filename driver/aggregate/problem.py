"""What could not be used, and why: nothing is dropped silently."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ProblemKind(StrEnum):
    """The closed list of reasons why a result, or a part of a tree, is not in the tables."""

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


class Problem(NamedTuple):
    """One file or folder with its reason. EDITED and SAME_ID are shown in the tables too."""

    path: str
    kind: ProblemKind
    message: str
    remedy: str
