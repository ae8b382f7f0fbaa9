"""The mark of a result that is a rerun: what its rerun.json says of the original."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.hashing import canonical_digest

if TYPE_CHECKING:
    from driver.models.rerun import Rerun

FILE = "rerun.json"
DIGITS = 8


def rerun_mark(path: str, digest: str | None, rerun_of: str | None) -> str | None:
    """Return the verdict of the result at ``path`` on the one with the digest ``rerun_of``, if any.

    Read when it is shown, since rerun.json is written after its result. One that is missing, edited or
    of another result says nothing.
    """
    if rerun_of is None:
        return None
    name = f"rerun of {rerun_of[:DIGITS]}"
    found = read_rerun(Path(path))
    if found is None:
        return f"{name} without a verdict"
    if (found.rerun.digest, found.original.digest) != (digest, rerun_of):
        return f"{name}; its rerun.json is of another result"
    kind = "a comparison, " if found.kind == "comparison" else ""
    return f"{name}: {kind}{found.outcome}"


def read_rerun(result: Path) -> Rerun | None:
    """Return the rerun.json beside a result.json, None where it is missing, damaged or edited."""
    # Few results are reruns: their models are loaded for those that are.
    from driver.models.rerun import Rerun

    path = result.with_name(FILE)
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        document = json.loads(path.read_text(encoding="utf-8"))
        if canonical_digest(document) != document.get("digest"):
            return None
        return Rerun.model_validate(document)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
