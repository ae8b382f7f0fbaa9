"""The marks in a table's rows, which lead to the findings about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.published.columns import Language
    from driver.published.finding import Finding


class Marks:
    """Which findings belong to which row: the number in a table is the finding's in its list."""

    def __init__(self, findings: Sequence[Finding], language: Language) -> None:
        self._numbered = list(enumerate(findings, start=1))
        self._language = language

    def of_row(self, table: str, row: int, column: str | None = None) -> str:
        """Return the marks of one row, ``"[1] [4]"``, or of one column's cell in it."""
        return " ".join(
            f"[{index}]"
            for index, finding in self._numbered
            if finding.table == table and row in finding.rows and column in (None, finding.column)
        )

    def of_column(self, table: str, column: str) -> str:
        """Return the marks of a column as a whole."""
        return " ".join(
            f"[{index}]"
            for index, finding in self._numbered
            if (finding.table, finding.column, finding.rows) == (table, column, ())
        )

    def notes(self, table: str) -> tuple[str, ...]:
        """Return the lines below a table: mark, kind, both figures, reason."""
        kinds = columns.KINDS[self._language]
        return tuple(
            f"[{index}] {kinds[finding.kind]}: {finding.printed} ⇄ {finding.against}: "
            f"{finding.reason}"
            for index, finding in self._numbered
            if finding.table == table
        )
