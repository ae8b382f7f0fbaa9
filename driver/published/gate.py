"""Applies a case's accuracy gate to the accuracies that the documents print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import Frozen
from driver.models.result import Gate
from driver.published.cells import number, pair
from driver.published.finding import Place
from driver.results.gate import relative_drop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from driver.models.case import GateSpec
    from driver.published.load import PublishedCase


class Verdict(Frozen):
    """The gate applied to one printed accuracy; ``row`` counts from 0 in the table."""

    table: str
    row: int
    where: str
    printed: str
    gate: Gate

    @property
    def place(self) -> Place:
        """Return where the accuracy is, for a finding about it."""
        return Place(where=self.where, table=self.table, rows=(self.row,), column="acc")


def gate_verdicts(case: PublishedCase) -> list[Verdict]:
    """Apply the case's gate to every row that prints an inference and a reference accuracy.

    A row that lacks one of the two gets ``passed = None``. Empty where the case has no gate.
    """
    if case.gate is None:
        return []
    tables = (_flagperf, _accuracy_tables, _evaluations)
    return [verdict for verdicts in tables for verdict in verdicts(case, case.gate)]


def _flagperf(case: PublishedCase, spec: GateSpec) -> Iterator[Verdict]:
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            gate = _apply(spec, *pair(row.acc))
            yield Verdict(table=table.id, row=index, where=row.label, printed=row.acc, gate=gate)


def _accuracy_tables(case: PublishedCase, spec: GateSpec) -> Iterator[Verdict]:
    for table in case.published.accuracy:
        reference = table.headers.index(table.reference)
        for index, cells in enumerate(table.rows):
            for header in table.inference:
                shown = cells[table.headers.index(header)]
                yield Verdict(
                    table=table.id,
                    row=index,
                    where=f"{cells[0]}, {header}",
                    printed=f"{shown} / {cells[reference]}",
                    gate=_apply(spec, number(shown), number(cells[reference])),
                )


def _evaluations(case: PublishedCase, spec: GateSpec) -> Iterator[Verdict]:
    """Compare each evaluation's top-1 with the table of the open-source model."""
    table = next((t for t in case.published.text if t.id == case.published.reference_table), None)
    if table is None:
        return
    reference = table.rows[0][table.headers.index("top1")]
    for index, evaluation in enumerate(case.published.evaluations):
        yield Verdict(
            table="evaluations",
            row=index,
            where=f"{case.published.chips[evaluation.chip].title}, bs {evaluation.batch_size}",
            printed=f"{evaluation.top[0]} / {reference}",
            gate=_apply(spec, number(evaluation.top[0]), number(reference)),
        )


def _apply(spec: GateSpec, value: Decimal | None, reference: Decimal | None) -> Gate:
    if value is None or not reference:
        return Gate(
            passed=None,
            reference=None if reference is None else float(reference),
            allowed_relative_drop=spec.relative_drop,
            reason="one of the two accuracies is not printed",
        )
    drop = relative_drop(float(value), float(reference))
    return Gate(
        passed=drop <= spec.relative_drop,
        reference=float(reference),
        allowed_relative_drop=spec.relative_drop,
        drop=drop,
        reason=spec.reason,
    )
