"""Which results may enter a table for other projects, and how they are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.base import Tier
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.models.result import Result

MEASURED = ("ok", "accuracy_failed")


def admitted(
    results: Iterable[Result], *, simulated: bool = False, synthetic: bool = False
) -> list[Result]:
    """Return the results that were measured, in their order.

    Failed and skipped ones have no figures. Simulated and synthetic ones enter only on request, and
    are marked. Raises UsageFault if nothing is left or the results are of several cases.
    """
    given = list(results)
    kept = [
        result
        for result in given
        if result.status in MEASURED
        and (simulated or not result.simulated)
        and (synthetic or not is_synthetic(result))
    ]
    if not kept:
        raise UsageFault(
            f"no result may enter this table; {counted(len(given), 'result')} found",
            "measure one with real weights and data, or add SYNTHETIC=1 or SIMULATED=1",
        )
    if len(cases := sorted({result.job.case for result in kept})) > 1:
        raise UsageFault(
            f"this table has room for one case, but the results are of {', '.join(cases)}",
            f"choose one: CASE={cases[0]}",
        )
    return kept


def newest_of_each_job(results: Iterable[Result]) -> list[Result]:
    """Return the newest measured result of each job on each host, as `report` shows them, in their order.

    Of a job that was never measured the newest run stays, so that a table can say why it is empty.
    """
    given = list(results)
    best: dict[tuple[object, ...], Result] = {}
    for result in given:
        host = result.provenance.get("host")
        name = host.get("name") if isinstance(host, dict) else None
        key = (result.job.id, result.simulated, name)
        if key not in best or _rank(result) >= _rank(best[key]):
            best[key] = result
    kept = {id(result) for result in best.values()}
    return [result for result in given if id(result) in kept]


def _rank(result: Result) -> tuple[bool, str]:
    return result.status in MEASURED, result.started_utc


def newest_good(
    results: Iterable[Result], *, simulated: bool = False, synthetic: bool = False
) -> Result:
    """Return the newest admitted result whose accuracy passed, for a format with room for one.

    Raises UsageFault if there is none.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    good = [result for result in kept if result.status == "ok"]
    if not good:
        raise UsageFault(
            f"the accuracy of all {counted(len(kept), 'result')} failed its gate",
            "`make report` shows by how much; fix the engine's precision first",
        )
    return max(good, key=lambda result: result.finished_utc)


def is_synthetic(result: Result) -> bool:
    """Return whether weights or data are synthetic."""
    return "synthetic" in (result.weights, result.data)


def marks(result: Result) -> str:
    """Return the marks to show after a result, such as ``" (synthetic, smoke)"``, or ""."""
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
