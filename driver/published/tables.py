"""A document's tables: its own columns digit for digit, then ours and the marks of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published import columns
from driver.published.cells import number, rounded
from driver.published.finding import Marks
from driver.published.gate import gate_verdicts
from driver.published.log_tables import derived_table, evaluations_table, title_of
from driver.published.recompute import (
    column_mfu,
    loop_seconds,
    own_mfu,
    published_mfu,
    ratio,
)
from driver.published.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from driver.models.published import (
        FlagperfRow,
        FlagperfTable,
        TextTable,
        ThroughputTable,
    )
    from driver.published.columns import Language
    from driver.published.finding import Finding
    from driver.published.load import PublishedCase

NONE = "/"


def render(case: PublishedCase, findings: Sequence[Finding], language: Language) -> Iterator[Table]:
    """Yield every table of the document, the findings last; they are numbered from 1."""
    marks = Marks(findings, language)
    published = case.published
    for text in published.text:
        yield _text(case, text, marks, language)
    for flagperf in published.flagperf:
        yield _flagperf(case, flagperf, marks, language)
    for accuracy in published.accuracy:
        yield _text(case, accuracy, marks, language)
    if published.evaluations:
        yield evaluations_table(case, language)
    if published.figures:
        yield derived_table(case, marks, language)
    for throughput in published.throughput:
        yield _throughput(case, throughput, marks, language)
    yield _findings(case, findings, language)


def _text(case: PublishedCase, table: TextTable, marks: Marks, language: Language) -> Table:
    return Table(
        case=case.name,
        document=case.document,
        id=table.id,
        title=title_of(case, table.id, language),
        headers=table.headers if language == "zh" else table.headers_en,
        rows=table.rows,
        printed=tuple(range(len(table.headers))),
        notes=marks.notes(table.id),
    )


def _flagperf(case: PublishedCase, table: FlagperfTable, marks: Marks, language: Language) -> Table:
    verdicts = {v.row: v.gate.passed for v in gate_verdicts(case) if v.table == table.id}
    passed = columns.PASSED[language]
    rows = tuple(
        (
            *_printed_cells(row),
            case.published.chips[row.chip].title,
            _percent(mfu.percent if (mfu := published_mfu(case, row)) else None),
            _percent(mfu.percent if (mfu := own_mfu(case, row)) else None),
            NONE if (loops := loop_seconds(case, row)) is None else f"{loops:.1f}",
            passed[verdicts.get(index)],
            marks.of_row(table.id, index),
        )
        for index, row in enumerate(table.rows)
    )
    recomputed = (columns.MFU_THEIRS, columns.MFU_OURS, columns.LOOPS, columns.GATE)
    added = (columns.CHIP, *recomputed, columns.MARKS)
    theirs = (columns.TOOL[language], *columns.FLAGPERF, table.metric, columns.MEMORY)
    return Table(
        case=case.name,
        document=case.document,
        id=table.id,
        title=title_of(case, table.id, language),
        headers=(*theirs, *(name[language] for name in added)),
        rows=rows,
        printed=tuple(range(len(theirs))),
        notes=marks.notes(table.id),
    )


def _printed_cells(row: FlagperfRow) -> tuple[str, ...]:
    times = (row.e2e_time, row.p_val_whole, row.p_val_core, row.p_infer_whole, row.p_infer_core)
    return (row.tool, row.precision, row.bs, *times, row.mfu, row.acc, row.mem)


def _percent(value: Decimal | None) -> str:
    return NONE if value is None else f"{rounded(value, 2)}%"


def _throughput(
    case: PublishedCase, table: ThroughputTable, marks: Marks, language: Language
) -> Table:
    best = table.best.model_copy(update={"label": columns.BEST[language]})
    rows = [
        (
            row.label,
            *row.values,
            *row.ratios,
            *(_ratio(ratio(table, row.values, i)) for i in range(len(table.ratios))),
            marks.of_row(table.id, index),
        )
        for index, row in enumerate((*table.rows, best))
    ]
    rows.append(_mfu_of_the_best(case, table, marks, language))
    ratios = tuple(spec.printed for spec in table.ratios)
    again = columns.RECOMPUTED[language]
    printed = (table.corner, *(chip.printed for chip in table.chips), *ratios)
    return Table(
        case=case.name,
        document=case.document,
        id=table.id,
        title=title_of(case, table.id, language),
        headers=(*printed, *(again.format(name) for name in ratios), columns.MARKS[language]),
        rows=tuple(rows),
        printed=tuple(range(len(printed))),
        notes=marks.notes(table.id),
    )


def _mfu_of_the_best(
    case: PublishedCase, table: ThroughputTable, marks: Marks, language: Language
) -> tuple[str, ...]:
    """Return the row with our MFU of each column's best batch, and the marks of whole columns."""
    mfu = [
        _percent(None if value is None else column_mfu(case, chip, value))
        for chip, value in zip(table.chips, map(number, table.best.values), strict=True)
    ]
    blank = ("",) * (2 * len(table.ratios))
    column_marks = (marks.of_column(table.id, chip.printed) for chip in table.chips)
    return (columns.BEST_MFU[language], *mfu, *blank, " ".join(filter(None, column_marks)))


def _ratio(value: Decimal | None) -> str:
    return NONE if value is None else rounded(value, 4)


def _findings(case: PublishedCase, findings: Sequence[Finding], language: Language) -> Table:
    kinds = columns.KINDS[language]
    return Table(
        case=case.name,
        document=case.document,
        id="findings",
        title=title_of(case, "findings", language),
        headers=columns.FINDINGS[language],
        rows=tuple(
            (str(i), kinds[f.kind], f.where, f.printed, f.against, f.reason, f.source)
            for i, f in enumerate(findings, start=1)
        ),
    )
