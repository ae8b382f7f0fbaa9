"""A finding: two figures, or two statements, of a document that disagree; and how tables mark it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from driver.models.base import Frozen
from driver.published import columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driver.published.columns import Language

Kind = Literal["contradiction", "misleading", "rounding", "note"]
"""How serious a finding is.

``contradiction``: both cannot be true. ``misleading``: true, but not what its name says.
``rounding``: explained by the printed digits. ``note``: what a reader should know.
"""

COMPUTED = "computed from the document"


class Place(TypedDict):
    """Where a finding is: ``where`` for people, the others as in Finding."""

    where: str
    table: str | None
    rows: tuple[int, ...]
    column: str | None


class Finding(Frozen):
    """What a rule computed, or what a note of published.toml says.

    ``rule`` is the rule's name or the note's id. ``table``, ``rows`` (from 0) and ``column`` are the
    fields that it concerns: without rows the whole column, without a table none.
    """

    case: str = ""
    document: str = ""
    rule: str
    kind: Kind
    where: str
    printed: str
    against: str
    reason: str
    source: str = COMPUTED
    table: str | None = None
    rows: tuple[int, ...] = ()
    column: str | None = None


class Marks:
    """The marks of findings in tables: ``[3]`` is the finding with the number 3, counted from 1."""

    def __init__(self, findings: Sequence[Finding], language: Language) -> None:
        self._numbered = list(enumerate(findings, start=1))
        self._kinds = columns.KINDS[language]

    def of_row(self, table: str, row: int, column: str | None = None) -> str:
        """Return the marks of a row, ``"[1] [4]"``, or of one of its cells."""
        found = (
            n for n, one in self._of(table) if row in one.rows and column in (None, one.column)
        )
        return " ".join(f"[{number}]" for number in found)

    def of_column(self, table: str, column: str) -> str:
        """Return the marks of the findings that concern a whole column."""
        found = (n for n, one in self._of(table) if not one.rows and one.column == column)
        return " ".join(f"[{number}]" for number in found)

    def notes(self, table: str) -> tuple[str, ...]:
        """Return the lines below a table: mark, kind, both figures, reason."""
        return tuple(
            f"[{number}] {self._kinds[one.kind]}: {one.printed} ⇄ {one.against}: {one.reason}"
            for number, one in self._of(table)
        )

    def _of(self, table: str) -> Iterator[tuple[int, Finding]]:
        return ((number, one) for number, one in self._numbered if one.table == table)
