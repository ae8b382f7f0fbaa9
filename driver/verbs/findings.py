"""How `doctor` and `check` show what they found: a table, and below it the lines that mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.console import Console
    from driver.findings import Finding, Status

FOUND_CHARACTERS = 90
"""Where no terminal's width says how much there is room for."""
TABLE_CHARACTERS = len("|    |  |  |")
LEAST_CHARACTERS = 24

SIGNS: dict[Status, str] = {"ok": "✓", "note": "·", "failed": "✗", "not_checked": "?"}


def show_findings(findings: Sequence[Finding], console: Console, title: str) -> None:
    """Show every finding to people, the failed ones last with what mends them."""
    what, found = _widths(findings, console.columns())
    rows = [(SIGNS[f.status], _short(f.what, what), _short(f.found, found)) for f in findings]
    console.table(("", "check", "found"), rows, title=title)
    console.text("")
    _list(findings, console, "note", "worth knowing")
    _list(findings, console, "not_checked", "not checked here, and how to")
    _list(findings, console, "failed", "missing, and how to supply it")


def _list(findings: Sequence[Finding], console: Console, status: Status, title: str) -> None:
    chosen = [one for one in findings if one.status == status and one.remedy]
    if not chosen:
        return
    console.say(f"{title}:")
    for one in chosen:
        console.note(f"{SIGNS[status]} {one.what}: {one.found}")
        console.note(f"    → {one.remedy}")


def _widths(findings: Sequence[Finding], columns: int | None) -> tuple[int, int]:
    """Return how wide both columns may be; what is cut stands in full below the table."""
    longest = max((len(one.what) for one in findings), default=0)
    if columns is None:
        return longest, FOUND_CHARACTERS
    room = columns - TABLE_CHARACTERS
    what = max(min(longest, room // 2), LEAST_CHARACTERS)
    return what, max(room - what, LEAST_CHARACTERS)


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
