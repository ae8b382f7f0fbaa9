"""A table to print: headers, rows of text, and the notes that its marks refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import Frozen
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Table(Frozen):
    """A table, ready to print.

    ``printed`` are the indexes of the columns that the document itself has, cell for cell; the other
    columns are ours. ``notes`` are the lines below the table, each starting with its mark.
    """

    case: str
    document: str
    id: str
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    printed: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def markdown(table: Table) -> str:
    """Write a table as Markdown."""
    return "\n".join(markdown_rows(table.headers, table.rows)) + "\n"


def markdown_rows(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; cells are shown as text, not as markup."""
    lines = [headers, *rows]
    head, *body = ["| " + " | ".join(_cell(cell) for cell in cells) + " |" for cells in lines]
    return [head, "|" + " --- |" * len(headers), *body]


def _cell(text: str) -> str:
    shown = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return shown.replace("|", "\\|").replace("*", "\\*")
