"""What the audit.json beside a result says of it, read when the result is shown or compared."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from driver.models.base import Tier
from driver.system.hashing import canonical_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driver.models.audit import Audit

FILE = "audit.json"
NOT_AUDITED = "not audited"

_read_before: ContextVar[dict[str, Audit | None] | None] = ContextVar("read", default=None)


@contextmanager
def audits_read_once() -> Iterator[None]:
    """Within the block, read the audit of each result once.

    A report asks a dozen times a row, and all its tables must show one state.
    """
    token = _read_before.set({})
    try:
        yield
    finally:
        _read_before.reset(token)


def without_audit(paths: Iterable[str]) -> None:
    """Within ``audits_read_once``: take these results for ones without an audit, as was seen before."""
    known = _read_before.get()
    if known is not None:
        known.update(dict.fromkeys(paths))


def read_audit(result: Path) -> Audit | None:
    """Return the audit.json beside a result.json, None where it is missing, damaged or edited."""
    # Hardly any result has an audit: its models are loaded for those that do.
    from driver.models.audit import Audit

    try:
        document = json.loads(result.with_name(FILE).read_text(encoding="utf-8"))
        if canonical_digest(document) != document.get("digest"):
            return None
        return Audit.model_validate(document)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def audit_of(path: str, digest: str | None) -> Audit | None:
    """Return the audit of the result at ``path`` with this digest; one of another result does not count."""
    known = _read_before.get()
    if known is None:
        found = _read(path)
    elif path in known:
        found = known[path]
    else:
        found = known[path] = _read(path)
    return found if found is not None and found.result == digest else None


def _read(path: str) -> Audit | None:
    # Most results have none, and a report asks for each of its rows: no Path is made for those.
    beside = os.path.join(os.path.dirname(path), FILE)  # noqa: PTH118, PTH120
    return read_audit(Path(path)) if os.path.isfile(beside) else None  # noqa: PTH113


def audit_mark(path: str, digest: str | None, tier: str) -> str | None:
    """Return the mark of a result: what its audit says; official results without one are marked too."""
    found = audit_of(path, digest)
    if found is None:
        return NOT_AUDITED if tier == Tier.OFFICIAL.value else None
    from driver.models.audit import Verdict

    refuted = any(one.verdict is Verdict.DOES_NOT_HOLD for one in found.earlier)
    but = ", but an earlier one did not" if refuted and found.verdict is Verdict.HOLDS else ""
    return f"audit: {found.verdict}{but}"


def refutation(path: str, digest: str | None) -> str | None:
    """Return why an audit refutes the figures of a result, None where none does."""
    found = audit_of(path, digest)
    if found is None:
        return None
    from driver.models.audit import Verdict

    if found.verdict is not Verdict.DOES_NOT_HOLD:
        return None
    why = next(one for one in found.checks if one.verdict is Verdict.DOES_NOT_HOLD)
    return f"{why.name}: {why.reason}"
