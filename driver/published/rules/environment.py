"""Rules about the listed environments, the table's legend and the commands."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from driver.published.finding import Finding, label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase


def _chips_with_figures(case: PublishedCase) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return, by chip, the table that has its figures and the rows (none: a column)."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            _, rows = found.get(row.chip, (table.id, ()))
            found[row.chip] = (table.id, (*rows, index))
    for throughput in case.published.throughput:
        for column in throughput.chips:
            found.setdefault(column.chip, (throughput.id, ()))
    return found


def rows_without_environment(case: PublishedCase) -> Iterator[Finding]:
    """Report chips that have figures, but no hardware and software listed."""
    listed = {chip for item in case.published.environments for chip in item.chips}
    for chip, (table, rows) in _chips_with_figures(case).items():
        if chip in listed:
            continue
        yield Finding(
            rule="no-environment",
            kind="note",
            where=case.published.chips[chip].title,
            printed=f"{len(rows)} row(s)" if rows else "a column",
            against="no environment",
            reason="driver, tool version and host of these figures are not in the document",
            table=table,
            rows=rows,
        )


def environments_without_row(case: PublishedCase) -> Iterator[Finding]:
    """Report a listed environment whose chip has no figure."""
    measured = _chips_with_figures(case)
    for item in case.published.environments:
        for chip in item.chips:
            if chip in measured:
                continue
            yield Finding(
                rule="no-figures",
                kind="contradiction",
                where=item.heading,
                printed=case.published.chips[chip].title,
                against="no row",
                reason="the document lists this environment and prints no figure for it",
            )


def precision_outside_the_legend(case: PublishedCase) -> Iterator[Finding]:
    """Report a precision that the document's own list of indicators does not allow."""
    legend = next((table for table in case.published.text if table.id == "indicators"), None)
    if legend is None:
        return
    remark = next(cells[2] for cells in legend.rows if cells[1] == "precision")
    allowed = set(remark.removeprefix("可选").split("/"))
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            if row.precision in allowed:
                continue
            yield Finding(
                rule="precision-outside-legend",
                kind="contradiction",
                where=label(row),
                printed=f"precision {row.precision}",
                against=remark,
                reason="the list of indicators knows no such precision",
                table=table.id,
                rows=(index,),
                column="precision",
            )


def one_output_for_two(case: PublishedCase) -> Iterator[Finding]:
    """Report commands that write to the same path for different purposes."""
    for one, other in combinations(case.published.commands, 2):
        if one.writes is None or one.writes != other.writes or one.purpose == other.purpose:
            continue
        yield Finding(
            rule="same-output",
            kind="contradiction",
            where=f"{one.heading}; {other.heading}"
            if one.heading != other.heading
            else one.heading,
            printed=f"{one.purpose}: {one.writes}",
            against=f"{other.purpose}: {other.writes}",
            reason="the second command overwrites what the first one wrote",
        )


RULES = (
    rows_without_environment,
    environments_without_row,
    precision_outside_the_legend,
    one_output_for_two,
)
