"""Shows the findings of `doctor` and `check`: a table, and below it the remedies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.console import Console
    from driver.doctor.finding import Finding, Status

FOUND_CHARACTERS = 90
"""Width of the column `found` without a terminal."""
TABLE_CHARACTERS = len("|    |  |  |")
LEAST_CHARACTERS = 24

SIGNS: dict[Status, str] = {"ok": "✓", "note": "·", "failed": "✗", "not_checked": "?"}


def show_findings(
    findings: Sequence[Finding], console: Console, title: str, *, with_failures: bool = True
) -> None:
    """Show every finding in a table, then the remedies, those of failed findings last.

    Without ``with_failures`` they are left out, since ``list_failures`` has shown them.
    """
    what, found = _widths(findings, console.columns())
    rows = [(SIGNS[f.status], _short(f.what, what), _short(f.found, found)) for f in findings]
    console.table(("", "check", "found"), rows, title=title)
    console.text("")
    _list(findings, console, "note", "worth knowing")
    _list(findings, console, "not_checked", "not checked here, and how to check it")
    if with_failures:
        list_failures(findings, console)


def list_failures(findings: Sequence[Finding], console: Console) -> None:
    """Show the findings that stop a run, each with its remedy."""
    _list(findings, console, "failed", "missing or wrong, and how to fix it")


def _list(findings: Sequence[Finding], console: Console, status: Status, title: str) -> None:
    chosen = [one for one in findings if one.status == status and one.remedy]
    if not chosen:
        return
    console.say(f"{title}:")
    for one in chosen:
        for line in f"{SIGNS[status]} {one.what}: {one.found}".splitlines():
            console.note(line)
        console.note(f"    → {console.advice(one.remedy)}")


def _widths(findings: Sequence[Finding], columns: int | None) -> tuple[int, int]:
    """Return the widths of both columns; text that is cut is shown in full below the table."""
    longest = max((len(one.what) for one in findings), default=0)
    if columns is None:
        return longest, FOUND_CHARACTERS
    room = columns - TABLE_CHARACTERS
    what = max(min(longest, room // 2), LEAST_CHARACTERS)
    return what, max(room - what, LEAST_CHARACTERS)


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    whole_words = line[:width].rpartition(" ")[0]
    # Never inside a word, unless the first one alone is too long.
    return (whole_words or line[: width - 1]) + "…"
