"""The findings of `doctor` and `check`: one line each, with the line to type that fixes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from driver.models.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["ok", "note", "failed", "not_checked"]
"""``note`` is worth knowing but does not fail; ``not_checked`` could not be tried on this machine."""


class Finding(Frozen):
    """The outcome of one check. ``remedy`` is what to type; empty only if nothing is wrong."""

    what: str
    status: Status
    found: str
    remedy: str = ""


def ok(what: str, found: str) -> Finding:
    """Return a finding that is fine."""
    return Finding(what=what, status="ok", found=found)


def note(what: str, found: str, remedy: str = "") -> Finding:
    """Return a finding that is worth knowing but does not fail."""
    return Finding(what=what, status="note", found=found, remedy=remedy)


def failed(what: str, found: str, remedy: str) -> Finding:
    """Return a finding that must be fixed."""
    return Finding(what=what, status="failed", found=found, remedy=remedy)


def not_checked(what: str, found: str, remedy: str) -> Finding:
    """Return a finding about something that could not be tried here, with how to try it."""
    return Finding(what=what, status="not_checked", found=found, remedy=remedy)


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that must be fixed."""
    return [finding for finding in findings if finding.status == "failed"]


def document(schema: str, subject: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as one JSON document; ``subject`` is what they are about."""
    return {
        "schema": schema,
        **subject,
        "ok": not failures(findings),
        "checks": [finding.model_dump() for finding in findings],
    }
