"""Lays text out for the width of a terminal: lines break between words, wide tables turn vertical. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEAD = re.compile(r"\s*(?:[→✓✗·!?-] +)?")
"""Indentation and the sign of a list's entry: further lines of the entry start below its text."""
_WORD = re.compile(r"[^\s`]*`[^`]*`\S*|\S+")
"""A word, or a command in backticks, which stays on one line if it fits."""
LABELS = 24
"""Most characters of a vertical table's labels that its values are aligned after."""
LEAST_VALUE = 20


def cells(text: str) -> int:
    """Return the width of a text in terminal cells; Chinese characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def folded(text: str, columns: int | None) -> str:
    """Return the text with its long lines broken between words; None keeps them.

    A word that is longer than the terminal, such as a path, is never broken: it would no longer be one
    word when it is copied.
    """
    if columns is None:
        return text
    return "\n".join(line for whole in text.split("\n") for line in _lines(whole, columns))


def _lines(text: str, columns: int) -> Iterator[str]:
    if cells(text) <= columns or text.lstrip().startswith("|"):
        yield text
        return
    found = _LEAD.match(text)
    lead = found.group() if found else ""
    line, empty = lead, True
    for word in _words(text[len(lead) :], columns - cells(lead)):
        if not empty and cells(line) + 1 + cells(word) > columns:
            yield line
            line, empty = " " * cells(lead), True
        line += word if empty else f" {word}"
        empty = False
    yield line


def _words(text: str, room: int) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match.group()
        if cells(word) <= room:
            yield word
        else:
            yield from word.split()


def table_text(
    headers: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None
) -> str:
    """Return a table no wider than ``columns``: as it is, transposed if it has one row, or vertical."""
    text = _grid(headers, rows)
    if columns is None or _width(text) <= columns or not rows:
        return text
    if len(rows) == 1:
        text = _grid(("figure", "value"), list(zip(headers, rows[0], strict=True)))
        if _width(text) <= columns:
            return text
    return "\n\n".join(_entry(headers, row, columns) for row in rows)


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from tabulate import tabulate

    # tabulate counts characters; NULs, which no shown text contains, stand for second cells.
    padded = [[_as_long_as_wide(cell) for cell in row] for row in (headers, *rows)]
    text = tabulate(padded[1:], headers=padded[0], tablefmt="github", disable_numparse=True)
    return text.replace("\0", "")


def _as_long_as_wide(cell: str) -> str:
    return cell + "\0" * (cells(cell) - len(cell))


def _width(text: str) -> int:
    return max((cells(line) for line in text.splitlines()), default=0)


def _entry(headers: Sequence[str], row: Sequence[str], columns: int) -> str:
    """Return a row as lines of label and value, below its first cell."""
    label = min(max(map(cells, headers[1:]), default=0), LABELS)
    lines = [folded(f"{headers[0]} {row[0]}".strip(), columns)]
    for header, value in zip(headers[1:], row[1:], strict=True):
        if value:
            lines += _labelled(header, value, label, columns)
    return "\n".join(lines)


def _labelled(header: str, value: str, label: int, columns: int) -> Iterator[str]:
    indent = " " * (label + 4)
    if columns - len(indent) < LEAST_VALUE:
        indent = "    "
    longest = max(map(cells, _words(value, columns - len(indent))), default=0)
    if len(indent) + longest > columns:
        yield f"  {header}"
        yield from folded("    " + value, columns).split("\n")
        return
    shown = folded(indent + value, columns).split("\n")
    if cells(header) > len(indent) - 4:
        yield from folded(f"  {header}", columns).split("\n")
        yield from shown
        return
    yield f"  {header}" + " " * (len(indent) - 2 - cells(header)) + shown[0][len(indent) :]
    yield from shown[1:]


def time_left(seconds: float) -> str:
    """Return "42 s left", "12 min left" or "2.5 h left"."""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 5400 else f"{seconds / 3600:.1f} h left"
