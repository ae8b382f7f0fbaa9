"""Rules about accuracy: the gate, the reference, the model it belongs to, the batch size."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING

from driver.published.cells import number
from driver.published.finding import Finding
from driver.published.gate import gate_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import StatisticalEvaluation
    from driver.published.load import PublishedCase

BETTER = 0.01
"""An inference accuracy this share above validation's cannot come from the engine alone."""


def gate_failed(case: PublishedCase) -> Iterator[Finding]:
    """Find accuracies that fail the case's gate."""
    for verdict in gate_verdicts(case):
        if verdict.gate.passed is not False or verdict.gate.drop is None:
            continue
        yield Finding(
            **verdict.place,
            rule="gate",
            kind="contradiction",
            printed=f"{verdict.printed}, printed as a valid row",
            against=f"{100 * verdict.gate.drop:.1f}% below, "
            f"{100 * verdict.gate.allowed_relative_drop:g}% allowed",
            reason="the accuracy fails the gate, so the throughput is not that of a working model "
            f"(the gate: {verdict.gate.reason})",
        )


def better_than_validation(case: PublishedCase) -> Iterator[Finding]:
    """Find an inference accuracy clearly above validation's: another reference scored it."""
    for verdict in gate_verdicts(case):
        if verdict.gate.drop is None or verdict.gate.drop >= -BETTER:
            continue
        yield Finding(
            **verdict.place,
            rule="better-than-validation",
            kind="misleading",
            printed=verdict.printed,
            against=f"{-100 * verdict.gate.drop:.1f}% above validation",
            reason="an engine does not improve a model that much: the two figures are probably not "
            "of the same metric and data",
        )


def model_identity(case: PublishedCase) -> Iterator[Finding]:
    """Find which of the models that the document names its accuracy belongs to."""
    for table in case.published.accuracy:
        shown = number(table.rows[0][table.headers.index(table.reference)])
        if shown is None or not case.published.candidates:
            continue
        meant, *others = sorted(
            case.published.candidates, key=lambda model: abs(Decimal(model.top1) - shown)
        )
        for other in others:
            yield Finding(
                where=table.heading,
                table=table.id,
                rows=tuple(range(len(table.rows))),
                column=table.headers[0],
                rule="model-identity",
                kind="contradiction",
                printed=f"{table.rows[0][0]} with top-1 {shown}",
                against=f"{other.title} has {other.top1}, {meant.title} {meant.top1}",
                reason=f"{other.case} is named by: {other.named_by}; {meant.case} by: "
                f"{meant.named_by}. The figures are recorded for {meant.case}",
                source=meant.source,
            )


def depends_on_batch_size(case: PublishedCase) -> Iterator[Finding]:
    """Find accuracies of one chip that change with the batch size."""
    for one, other in combinations(case.published.evaluations, 2):
        moved = _moved(one, other)
        if one.chip != other.chip or not moved:
            continue
        yield Finding(
            where=f"{case.published.chips[one.chip].title}, {one.heading}",
            rule="accuracy-by-batch",
            kind="note",
            printed=f"bs {one.batch_size}: " + ", ".join(f"top{k} {a}" for k, a, _, _ in moved),
            against=f"bs {other.batch_size}: " + ", ".join(f"top{k} {b}" for k, _, b, _ in moved),
            reason="the batch size changes the result for up to "
            f"{max(images for *_, images in moved)} of {one.images} images",
        )


def _moved(
    one: StatisticalEvaluation, other: StatisticalEvaluation
) -> list[tuple[int, str, str, int]]:
    """Return (k, printed, printed, images) for every top-k accuracy that differs."""
    moved = []
    for k, (left, right) in enumerate(zip(one.top, other.top, strict=True), start=1):
        before, after = number(left), number(right)
        if before is not None and after is not None and before != after:
            moved.append((k, left, right, round(abs(before - after) * int(one.images) / 100)))
    return moved


RULES = (gate_failed, better_than_validation, model_identity, depends_on_batch_size)
