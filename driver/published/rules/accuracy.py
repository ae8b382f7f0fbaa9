"""Rules about accuracy: the gate, the metric's name, the model it belongs to, the batch size."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING

from driver.published.figures import half_digit, number
from driver.published.finding import COMPUTED, Finding
from driver.published.gate import gate_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import StatisticalEvaluation
    from driver.published.load import PublishedCase


def gate_failed(case: PublishedCase) -> Iterator[Finding]:
    """Report accuracies that the case's gate refuses."""
    for verdict in gate_verdicts(case):
        if verdict.gate.passed is not False or verdict.gate.drop is None:
            continue
        yield Finding(
            rule="gate",
            kind="contradiction",
            where=verdict.where,
            printed=f"{verdict.printed}, printed as a valid row",
            against=f"{100 * verdict.gate.drop:.1f}% below, "
            f"{100 * verdict.gate.allowed_relative_drop:g}% allowed",
            reason="the accuracy fell beyond the gate, so the throughput is not a working model's "
            f"(the gate: {verdict.gate.reason})",
            table=verdict.table,
            rows=(verdict.row,),
            column="acc",
        )


def better_than_validation(case: PublishedCase) -> Iterator[Finding]:
    """Report an inference accuracy above validation by more than 1 %: another reference scored it."""
    for verdict in gate_verdicts(case):
        drop = verdict.gate.drop
        if drop is None or drop >= -0.01:
            continue
        yield Finding(
            rule="better-than-validation",
            kind="misleading",
            where=verdict.where,
            printed=verdict.printed,
            against=f"{-100 * drop:.1f}% above validation",
            reason="an engine does not improve a model that much: the two figures were hardly made "
            "with the same metric and data",
            table=verdict.table,
            rows=(verdict.row,),
            column="acc",
        )


def metric_is_another(case: PublishedCase) -> Iterator[Finding]:
    """Report a metric that the document calls by another one's name."""
    metric = case.published.metric
    if metric is None or metric.printed_kind == metric.actual_kind:
        return
    yield Finding(
        rule="metric",
        kind="misleading",
        where="acc",
        printed=metric.printed,
        against=metric.actual,
        reason=f"{metric.actual_kind} is called {metric.printed_kind}",
        source=metric.source,
        table=case.published.flagperf[0].id if case.published.flagperf else None,
        column="acc",
    )


def model_identity(case: PublishedCase) -> Iterator[Finding]:
    """Report which of the models that the document names its printed accuracy belongs to."""
    for table in case.published.accuracy:
        shown = number(table.rows[0][table.headers.index(table.reference)])
        if shown is None or not case.published.candidates:
            continue
        by_distance = sorted(
            case.published.candidates, key=lambda model: abs(Decimal(model.top1) - shown)
        )
        meant = by_distance[0]
        for other in by_distance[1:]:
            yield Finding(
                rule="model-identity",
                kind="contradiction",
                where=table.heading,
                printed=f"{table.rows[0][0]} with top-1 {shown}",
                against=f"{other.title} has {other.top1}, {meant.title} {meant.top1}",
                reason=f"{other.case} is named by: {other.named_by}; {meant.case} by: "
                f"{meant.named_by}. The figures are booked on {meant.case}",
                source=meant.source,
                table=table.id,
                rows=tuple(range(len(table.rows))),
                column=table.headers[0],
            )


def depends_on_batch_size(case: PublishedCase) -> Iterator[Finding]:
    """Report accuracies of one chip that change with the batch size."""
    for one, other in combinations(case.published.evaluations, 2):
        moved = _moved(one, other)
        if one.chip != other.chip or not moved:
            continue
        yield Finding(
            rule="accuracy-by-batch",
            kind="note",
            where=f"{case.published.chips[one.chip].title}, {one.heading}",
            printed=f"bs {one.batch_size}: " + ", ".join(f"top{k} {a}" for k, a, _, _ in moved),
            against=f"bs {other.batch_size}: " + ", ".join(f"top{k} {b}" for k, _, b, _ in moved),
            reason="the batch size changes the predictions of up to "
            f"{max(images for *_, images in moved)} of {one.images} pictures",
        )


def _moved(
    one: StatisticalEvaluation, other: StatisticalEvaluation
) -> list[tuple[int, str, str, int]]:
    """Return (k, printed, printed, pictures) for every top-k accuracy that differs."""
    moved = []
    for k, (left, right) in enumerate(zip(one.top, other.top, strict=True), start=1):
        before, after = number(left), number(right)
        if before is not None and after is not None and before != after:
            moved.append((k, left, right, round(abs(before - after) * int(one.images) / 100)))
    return moved


def not_a_share_of_the_dataset(case: PublishedCase) -> Iterator[Finding]:
    """Report a top-1 that no whole number of the dataset's pictures gives."""
    loops = case.published.loops
    if loops is None:
        return
    for table in case.published.accuracy:
        for index, cells in enumerate(table.rows):
            for shown in cells[1:]:
                value = number(shown)
                if value is None or _is_share(value, half_digit(shown), loops.dataset_items):
                    continue
                yield Finding(
                    rule="not-a-share",
                    kind="contradiction",
                    where=f"{cells[0]}, {table.heading}",
                    printed=shown,
                    against=f"{value * loops.dataset_items / 100:.2f} of {loops.dataset_items}",
                    reason="no whole number of pictures gives this percentage",
                    source=COMPUTED,
                    table=table.id,
                    rows=(index,),
                )


def _is_share(value: Decimal, slack: Decimal, items: int) -> bool:
    pictures = value * items / 100
    return abs(pictures - round(pictures)) <= slack * items / 100


def top_k_falls(case: PublishedCase) -> Iterator[Finding]:
    """Report a top-k accuracy below the one of a smaller k, which it contains."""
    for evaluation in case.published.evaluations:
        for k, (small, large) in enumerate(
            zip(evaluation.top, evaluation.top[1:], strict=False), start=1
        ):
            low, high = number(small), number(large)
            if low is None or high is None or high >= low:
                continue
            yield Finding(
                rule="top-k-falls",
                kind="contradiction",
                where=f"{evaluation.heading}, bs {evaluation.batch_size}",
                printed=f"top{k + 1} {large}",
                against=f"top{k} {small}",
                reason="a picture that is right in the first k is right in the first k + 1",
            )


RULES = (
    gate_failed,
    better_than_validation,
    metric_is_another,
    model_identity,
    depends_on_batch_size,
    not_a_share_of_the_dataset,
    top_k_falls,
)
