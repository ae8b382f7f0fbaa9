"""Which figures a warning concerns, and the mark that shows it in tables, ratios and charts. Pure.

CONCERNS classifies every code of the closed list, for all code that shows, divides or compares figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.models.base import WarningCode
from driver.results.warnings import UNSTABLE_CV

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.models.result import Metrics, Result

MARK = "!"
"""Follows a marked figure, and a ratio with a marked figure in it."""

STRIKING = frozenset({WarningCode.IMPLAUSIBLE, WarningCode.CORE_DISAGREES})
"""Codes of figures that cannot be true: struck out wherever they are shown, and never compared."""

CORE = "p_infer_core"
SCENARIO = "scenario"
SPEED = (
    CORE,
    "p_infer_whole",
    "p_val_core",
    "p_val_whole",
    "mfu",
    "latency_ms",
    SCENARIO,
    "energy_j",
)
OF_INFER = (CORE, "p_infer_whole", "mfu", "latency_ms", SCENARIO, "energy_j")
OF_CORE = (CORE, "mfu", "energy_j")
EVERY_FIGURE = ("e2e_time_s", *SPEED, "mem_gib")
"""Names of figures as in Metrics. MFU and energy are of the core loop, so they share its marks."""


class Concern(NamedTuple):
    """The mark of a warning and the figures that carry it.

    ``again`` says that measuring the same job again may give figures without it.
    """

    mark: str
    figures: tuple[str, ...]
    again: bool = False


SHOWN_OTHERWISE = frozenset({WarningCode.SMOKE, WarningCode.SYNTHETIC, WarningCode.SIMULATED})
"""Codes that describe the whole result. A field of the result has the same fact, with tables of its own."""

NO_FIGURE = frozenset(
    {
        # The percentile is absent, the first call is warm-up, whole stands beside core.
        *(WarningCode.FEW_SAMPLES, WarningCode.FIRST_CALL_SLOW, WarningCode.INPUT_BOUND),
        # Where the job ran and what it was made of.
        *(WarningCode.NOT_ISOLATED, WarningCode.EXTRA_PRIVILEGES),
        *(WarningCode.UNPINNED, WarningCode.FOUND_STACK),
        *(WarningCode.NOT_SIMPLIFIED, WarningCode.COMPILER_WARNING),
    }
)
"""Warnings that leave every figure valid."""

CONCERNS: dict[WarningCode, Concern] = {
    WarningCode.UNSTABLE: Concern("unstable", (CORE, "p_infer_whole", "mfu"), again=True),
    WarningCode.DRIFT: Concern("drifted while measured", OF_CORE, again=True),
    WarningCode.NOT_STEADY: Concern("warm-up not steady", OF_CORE, again=True),
    WarningCode.TOO_SHORT: Concern("measured too briefly", OF_CORE, again=True),
    WarningCode.THROTTLED: Concern("throttled", OF_CORE, again=True),
    WarningCode.DEVICE_SHARED: Concern("device shared", EVERY_FIGURE, again=True),
    WarningCode.WHOLE_EXCEEDS_CORE: Concern(
        "faster from files than from memory", (CORE, "p_infer_whole", "mfu"), again=True
    ),
    # Only of results that an earlier version wrote: such a job now fails.
    WarningCode.CORE_DISAGREES: Concern("core outputs differ from the scored", OF_CORE, again=True),
    WarningCode.HOST_BOUND: Concern("device idled in the core loop", OF_CORE),
    WarningCode.CHIP_UNCONFIRMED: Concern("chip unconfirmed", EVERY_FIGURE),
    WarningCode.PART_OF_DEVICE: Concern("part of a device", EVERY_FIGURE),
    WarningCode.EFFECTIVE_DIFFERS: Concern("other arithmetic or target than asked", SPEED),
    WarningCode.ARITHMETIC_UNREAD: Concern("arithmetic not read back", OF_INFER),
    WarningCode.SAME_PROCESS: Concern("engine in the harness's process", SPEED),
    WarningCode.CLOCK_UNCHECKED: Concern("clock not checked by the driver", SPEED),
    WarningCode.IMPLAUSIBLE: Concern("faster than the chip can be", OF_CORE),
    WarningCode.SCENARIO_INVALID: Concern("LoadGen's run not valid", (SCENARIO,)),
    WarningCode.SCENARIO_EXCEEDS_CORE: Concern(
        "faster with repeated samples than with fresh ones", (SCENARIO,), again=True
    ),
    WarningCode.STEPS_RECOMPUTED: Concern(
        "whole computes every step from the beginning", ("p_infer_whole", "p_val_whole")
    ),
    WarningCode.MONITOR_FAILED: Concern("monitor failed", ("mem_gib", "energy_j")),
    WarningCode.RECOMPILED: Concern("compiled again", ("e2e_time_s",)),
    WarningCode.DATA_ODD: Concern("odd data", ("acc_infer", "acc_val")),
}
"""The warnings that concern figures; those that a result lacks need no mark."""


class Marks(NamedTuple):
    """The marks of a result as texts, the figures that carry one, and whether to measure it again."""

    texts: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    again: bool = False


def marks_of(result: Result) -> Marks:
    """Return the marks of the figures that the result has, in the order of its warnings."""
    texts: dict[str, None] = {}
    marked: dict[str, None] = {}
    again = False
    for code in dict.fromkeys(warning.code for warning in result.warnings):
        concern = CONCERNS.get(WarningCode(code))
        if concern is None:
            continue
        mark, figures = concern.mark, concern.figures
        if code == WarningCode.UNSTABLE:
            mark, figures = _unstable(concern, result.metrics)
        present = [name for name in figures if _exists(result.metrics, name)]
        if present:
            texts[mark] = None
            marked.update(dict.fromkeys(present))
            again |= concern.again
    return Marks(tuple(texts), tuple(marked), again)


def _unstable(concern: Concern, metrics: Metrics) -> tuple[str, tuple[str, ...]]:
    """Return the mark with what varies and by how much, and the figures that do."""
    found = {
        name: spread.cv
        for name, spread in metrics.spread.items()
        if spread.cv is not None and spread.cv > UNSTABLE_CV
    }
    if not found:
        return concern.mark, concern.figures
    listed = ", ".join(f"{name} ±{100 * cv:.0f} %" for name, cv in found.items())
    return f"{concern.mark}: {listed}", (*found, *(("mfu",) if CORE in found else ()))


def _exists(metrics: Metrics, name: str) -> bool:
    value = metrics.latency_ms.p50 if name == "latency_ms" else getattr(metrics, name)
    return value is not None


def strikes(codes: Iterable[str]) -> bool:
    """Return whether one of these warnings says that the figures cannot be true."""
    return not STRIKING.isdisjoint(codes)


def concerns_speed(code: str) -> bool:
    """Return whether a warning concerns a throughput, which makes it a caveat of a comparison."""
    concern = CONCERNS.get(WarningCode(code))
    return concern is not None and not {CORE, "p_infer_whole"}.isdisjoint(concern.figures)
