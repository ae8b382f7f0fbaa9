"""Which results may stand in a table that leaves the house, and what marks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.base import Tier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.models.result import Result


def admitted(
    results: Iterable[Result], *, simulated: bool = False, synthetic: bool = False
) -> list[Result]:
    """Return the results that were measured, those of one case and in their order.

    Failed and skipped ones have no figures. Simulated and synthetic ones stand in only when asked for,
    and are marked. UsageFault when nothing is left or when the results are of several cases.
    """
    given = list(results)
    kept = [
        result
        for result in given
        if result.status in ("ok", "accuracy_failed")
        and (simulated or not result.simulated)
        and (synthetic or not is_synthetic(result))
    ]
    if not kept:
        raise UsageFault(
            f"none of the {len(given)} result(s) may stand in this table",
            "measure one with real weights and data, or ask for synthetic and simulated ones too",
        )
    if len(cases := sorted({result.job.case for result in kept})) > 1:
        raise UsageFault(
            f"a seed's table holds one case, these results are of {', '.join(cases)}",
            f"choose one: CASE={cases[0]}",
        )
    return kept


def newest_good(
    results: Iterable[Result], *, simulated: bool = False, synthetic: bool = False
) -> Result:
    """Return the newest of the admitted results whose accuracy passed, for a format that holds one.

    UsageFault when there is none.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    good = [result for result in kept if result.status == "ok"]
    if not good:
        raise UsageFault(
            f"the accuracy of all {len(kept)} result(s) failed its gate",
            "`make report` shows by how much; mend the engine's precision first",
        )
    return max(good, key=lambda result: result.finished_utc)


def is_synthetic(result: Result) -> bool:
    """Tell whether weights or data were made up."""
    return "synthetic" in (result.weights, result.data)


def marks(result: Result) -> str:
    """Return what a reader must see beside the result: ``" (synthetic, smoke)"``, or nothing."""
    found = [
        name
        for name, holds in (
            ("simulated", result.simulated),
            ("synthetic", is_synthetic(result)),
            ("smoke", result.job.tier is Tier.SMOKE),
        )
        if holds
    ]
    return f" ({', '.join(found)})" if found else ""
