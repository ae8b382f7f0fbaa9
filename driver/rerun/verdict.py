"""Figure by figure: reproduced, not reproduced or inconclusive, by the original's tolerances. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import Tier
from driver.models.rerun import Outcome, RerunFigure
from driver.results.concerns import CONCERNS
from driver.results.statistics import median_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driver.models.rerun import Tolerances
    from driver.models.result import Result
    from driver.results.statistics import Interval

NOISY = frozenset(code.value for code, concern in CONCERNS.items() if concern.again)
"""Warnings of a result whose throughput says little beyond the tolerance."""

BY_GATE = {True: Outcome.REPRODUCED, False: Outcome.NOT_REPRODUCED, None: Outcome.INCONCLUSIVE}
THROUGHPUTS = ("p_infer_core", "p_infer_whole")
UNSCORED = "one of the two was not scored, or against something else"
ANOTHER_CHIP = "another chip, driver, processor or stack: speed is compared, not judged"


def judge(
    original: Result, rerun: Result, tolerances: Tolerances, *, comparison: bool
) -> tuple[RerunFigure, ...]:
    """Return a verdict for each figure that one of the two has."""
    return (
        _predictions(original, rerun, tolerances, comparison=comparison),
        _accuracy(original, rerun, tolerances),
        *_throughputs(original, rerun, tolerances, comparison=comparison),
    )


def overall(figures: Iterable[RerunFigure]) -> Outcome:
    """Return the verdict of all: one figure that is not reproduced decides, then one that is open."""
    outcomes = {figure.outcome for figure in figures}
    if Outcome.NOT_REPRODUCED in outcomes:
        return Outcome.NOT_REPRODUCED
    return Outcome.INCONCLUSIVE if Outcome.INCONCLUSIVE in outcomes else Outcome.REPRODUCED


def _predictions(
    original: Result, rerun: Result, tolerances: Tolerances, *, comparison: bool
) -> RerunFigure:
    ours, theirs = (side.predictions and side.predictions.sha256 for side in (original, rerun))
    bound = tolerances.cosine_min
    # Another chip rounds otherwise: nobody promised its predictions to the bit.
    exact = tolerances.predictions == "identical" and not comparison
    if ours is not None and ours == theirs:
        outcome, reason = Outcome.REPRODUCED, "identical"
    elif not exact:
        outcome, reason = _fidelity(rerun, bound)
    elif ours is None or theirs is None:
        without = "the original" if ours is None else "the rerun"
        outcome, reason = Outcome.INCONCLUSIVE, f"{without} has no digest of its predictions"
    else:
        outcome, reason = Outcome.NOT_REPRODUCED, "other predictions for the same model and items"
    return RerunFigure(
        name="predictions",
        outcome=outcome,
        original=ours,
        rerun=theirs,
        allowed="identical" if exact else f"identical, or a cosine of {bound or '/'} to fp32's",
        reason=reason,
    )


def _fidelity(rerun: Result, bound: float | None) -> tuple[Outcome, str]:
    """Judge predictions that are not identical by the rerun's raw outputs against fp32's."""
    fidelity = rerun.metrics.fidelity
    if fidelity is None or bound is None:
        return Outcome.INCONCLUSIVE, "not identical, and there is no cosine to judge them by"
    within = fidelity.cosine_min >= bound
    than = "at least" if within else "below"
    return (
        Outcome.REPRODUCED if within else Outcome.NOT_REPRODUCED,
        f"not identical; raw outputs have a cosine of {fidelity.cosine_min:.6f} to fp32's, "
        f"{than} {bound:g}",
    )


def _accuracy(original: Result, rerun: Result, tolerances: Tolerances) -> RerunFigure:
    ours, theirs = original.metrics.acc_infer, rerun.metrics.acc_infer
    if {original.metrics.acc_kind, rerun.metrics.acc_kind} == {"agreement"}:
        # Random weights put classes close together: raw outputs decide, as in the gate.
        allowed, gate = "the case's gate, on raw outputs", rerun.gate
        outcome, reason = BY_GATE[gate.passed if gate else None], gate.reason if gate else UNSCORED
    else:
        allowed = f"{tolerances.accuracy_relative:.2%} of the original's"
        outcome, reason = _scored(original, rerun, tolerances.accuracy_relative)
    return RerunFigure(
        name="accuracy",
        outcome=outcome,
        original=ours,
        rerun=theirs,
        ratio=theirs / ours if ours and theirs is not None else None,
        allowed=allowed,
        reason=reason,
    )


def _scored(original: Result, rerun: Result, allowed: float) -> tuple[Outcome, str]:
    """Judge accuracies against labels: as far apart as the gate allows, in either direction."""
    ours, theirs = original.metrics.acc_infer, rerun.metrics.acc_infer
    if original.metrics.acc_kind != rerun.metrics.acc_kind or ours is None or theirs is None:
        return Outcome.INCONCLUSIVE, UNSCORED
    apart = abs(theirs - ours) / abs(ours) if ours else float(theirs != ours)
    outcome = Outcome.REPRODUCED if apart <= allowed else Outcome.NOT_REPRODUCED
    return outcome, f"{apart:.2%} apart"


def _throughputs(
    original: Result, rerun: Result, tolerances: Tolerances, *, comparison: bool
) -> Iterator[RerunFigure]:
    allowed = f"{tolerances.throughput_fraction:.0%}"
    for name in THROUGHPUTS:
        ours, theirs = (getattr(side.metrics, name) for side in (original, rerun))
        if ours is None and theirs is None:
            continue
        ratio = theirs / ours if ours and theirs is not None else None
        outcome, reason = _speed(name, original, rerun, ratio, tolerances.throughput_fraction)
        if comparison and ratio is not None:
            outcome, reason = Outcome.INCONCLUSIVE, ANOTHER_CHIP
        yield RerunFigure(
            name=name,
            outcome=outcome,
            original=ours,
            rerun=theirs,
            ratio=ratio,
            allowed=allowed,
            reason=reason,
        )


def _speed(
    name: str, original: Result, rerun: Result, ratio: float | None, fraction: float
) -> tuple[Outcome, str]:
    if ratio is None:
        return Outcome.INCONCLUSIVE, "one of the two has no such figure"
    if Tier.SMOKE in (original.job.tier, rerun.job.tier):
        return Outcome.INCONCLUSIVE, "a smoke run measures too briefly to judge speed"
    apart = f"{abs(ratio - 1):.1%} {'faster' if ratio > 1 else 'slower'}"
    if abs(ratio - 1) <= fraction:
        return Outcome.REPRODUCED, apart
    noisy = sorted({str(one.code) for side in (original, rerun) for one in side.warnings} & NOISY)
    if noisy:
        return Outcome.INCONCLUSIVE, f"{apart}, but with warnings: {', '.join(noisy)}"
    return _by_intervals(apart, *(_interval(side, name) for side in (original, rerun)))


def _by_intervals(
    apart: str, ours: Interval | None, theirs: Interval | None
) -> tuple[Outcome, str]:
    """Judge a difference beyond the fraction: nothing can be said if the medians' intervals overlap.

    Intervals of few or noisy processes are wide: that they overlap does not show that speeds are equal.
    """
    if ours is None or theirs is None:
        return Outcome.INCONCLUSIVE, f"{apart}; fewer than three processes have no interval"
    if theirs.low <= ours.high and ours.low <= theirs.high:
        return Outcome.INCONCLUSIVE, f"{apart}, but the 95 % intervals overlap"
    return Outcome.NOT_REPRODUCED, f"{apart}, and the 95 % intervals do not overlap"


def _interval(result: Result, name: str) -> Interval | None:
    spread = result.metrics.spread.get(name)
    return None if spread is None else median_interval(spread.values)
