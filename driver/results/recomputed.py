"""Do a result's figures follow from what its stages reported? A figure edited with a new digest does not. Pure."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

from driver.models.base import StageName
from driver.results.figures import spreads
from driver.results.statistics import median

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driver.models.report import StageReport
    from driver.models.result import Metrics

RELATIVE = 1e-9
"""JSON keeps every digit; only the order of a sum may differ between versions of numpy."""


def contradiction(metrics: Metrics, reports: Sequence[StageReport]) -> str | None:
    """Return the first figure that its own parts contradict, in words; None if all of them agree.

    ``reports`` are the stage reports beside the result, in any order; figures without one are compared
    with the values of their processes alone.
    """
    return next(_contradictions(metrics, reports), None)


def _contradictions(metrics: Metrics, reports: Sequence[StageReport]) -> Iterator[str]:
    for name, own in metrics.spread.items():
        figure = getattr(metrics, name, None)
        middle = median(own.values) if own.values else None
        if not (_same(figure, middle) and _same(own.median, middle)):
            yield f"{name} is {_text(figure)}, but the median of its processes is {_text(middle)}"
    in_order = sorted(reports, key=lambda report: (str(report.stage), report.repeat))
    for name, found in spreads(in_order).items():
        said = metrics.spread.get(name)
        figure = getattr(metrics, name, None)
        alike = said is not None and len(said.values) == len(found.values)
        if said is None or not alike or not all(map(_same, said.values, found.values)):
            yield f"{name} is {_text(figure)}, but the stage reports give {_text(found.median)}"
    yield from _accuracy(metrics, in_order)


def _accuracy(metrics: Metrics, reports: Sequence[StageReport]) -> Iterator[str]:
    score = next((one for one in reversed(reports) if one.stage is StageName.SCORE), None)
    if score is None:
        return
    pairs = (
        ("infer", metrics.acc_infer, score.accuracy.get("infer")),
        ("validate", metrics.acc_val, score.accuracy.get("validate")),
    )
    for name, figure, found in pairs:
        scored = found.values.get(metrics.acc_metric) if found is not None else None
        if not _same(figure, scored):
            yield (
                f"the accuracy of {name} is {_text(figure)}, but the score stage reports {_text(scored)}"
            )


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=RELATIVE)


def _text(value: float | None) -> str:
    return "/" if value is None else f"{value:.6g}"
