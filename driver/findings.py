"""What `doctor` and `check` find: one line each, and for what is wrong the line that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from driver.models.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["ok", "note", "failed", "not_checked"]
"""``note`` is worth knowing and stops nothing; ``not_checked`` could not be tried here."""


class Finding(Frozen):
    """One thing that was looked at. ``remedy`` is what to type; empty only where nothing is wrong."""

    what: str
    status: Status
    found: str
    remedy: str = ""


def ok(what: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(what=what, status="ok", found=found)


def note(what: str, found: str, remedy: str = "") -> Finding:
    """Return something worth knowing."""
    return Finding(what=what, status="note", found=found, remedy=remedy)


def failed(what: str, found: str, remedy: str) -> Finding:
    """Return something that must be mended."""
    return Finding(what=what, status="failed", found=found, remedy=remedy)


def not_checked(what: str, found: str, remedy: str) -> Finding:
    """Return something that could not be tried here, and how to try it."""
    return Finding(what=what, status="not_checked", found=found, remedy=remedy)


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """Return what must be mended."""
    return [finding for finding in findings if finding.status == "failed"]


def document(schema: str, subject: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """Return findings as one JSON document."""
    return {
        "schema": schema,
        **subject,
        "ok": not failures(findings),
        "checks": [finding.model_dump() for finding in findings],
    }
