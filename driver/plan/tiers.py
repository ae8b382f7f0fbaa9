"""How long and how often a run measures: its tier, and what makes it a smoke run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.errors import UsageFault
from driver.models.base import Tier
from driver.models.device_access import DeviceSpec
from driver.models.job import Measure
from driver.plan.options import shrinking
from driver.plan.scenario import batch_size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Case
    from driver.catalog.vendor import Vendor
    from driver.models.case import OptionValue
    from driver.plan.request import Request

MEASURES: dict[Tier, dict[str, Any]] = {
    Tier.SMOKE: {
        "min_seconds": 1.0,
        "repeats": 1,
        "warmup_min_calls": 1,
        "warmup_max_seconds": 3.0,
        "latency_min_calls": 1,
        "latency_max_seconds": 1.5,
    },
    Tier.STANDARD: {"min_seconds": 60.0, "repeats": 3, "latency_min_calls": 1},
    Tier.OFFICIAL: {
        "min_seconds": 600.0,
        "repeats": 5,
        "latency_min_calls": 1,
        "warmup_max_seconds": 120.0,
        "latency_max_seconds": 60.0,
    },
}
"""How long each tier measures; docs/figures.md gives the reasons."""

SLOW_MACS = 300_000_000_000
"""From here on one call takes seconds on a host's processor: two cores do 5e10 to 1e11 MACs/s in fp32
(measured with ViT-L/16), so smoke runs make no call that they can do without."""


def choose_tier(request: Request, case: Case, options: Mapping[str, OptionValue]) -> Tier:
    """Return the tier; LIMIT, or an option that shrinks the case, makes it a smoke run."""
    less = _less(request, case, options)
    if less is None:
        tier = request.tier or case.manifest.run.tier
        _require_processes(tier, request.repeat)
        return tier
    if request.tier is Tier.OFFICIAL:
        raise UsageFault(
            f"TIER=official measures the whole dataset and takes no {less}",
            f"leave {less} out",
        )
    return Tier.SMOKE


def _require_processes(tier: Tier, repeat: int | None) -> None:
    """Raise UsageFault for an official run in fewer processes than make it one."""
    fewest = MEASURES[Tier.OFFICIAL]["repeats"]
    if tier is Tier.OFFICIAL and repeat is not None and repeat < fewest:
        raise UsageFault(
            f"TIER=official measures in at least {fewest} processes, not in REPEAT={repeat}",
            f"leave REPEAT out or give {fewest} or more, or use TIER=standard",
        )


def tier_that_ran(asked: Tier, processes: int, *, too_short: bool) -> Tier:
    """Return the tier that a result's figures are of: what ran, not what was asked for.

    ``too_short`` says that a core loop was shorter than its tier requires.
    """
    fewest = MEASURES[Tier.OFFICIAL]["repeats"]
    if asked is Tier.OFFICIAL and (processes < fewest or too_short):
        return Tier.STANDARD
    return asked


def _less(request: Request, case: Case, options: Mapping[str, OptionValue]) -> str | None:
    """Return the variable that makes the run smaller than the full case, None if none does."""
    if request.limit is not None:
        return "LIMIT"
    option = shrinking(options, case)
    return None if option is None else option.upper()


def choose_measure(request: Request, tier: Tier, case: Case, vendor: Vendor) -> Measure:
    """Return how long and how often a tier measures, with the request's REPEAT and LIMIT."""
    on_host = vendor.manifest.devices == DeviceSpec()
    batch_size = batch_size_of(request, case.manifest.run.batch_size)
    one_call = case.manifest.generation is None
    slow_call = on_host and one_call and case.manifest.model.macs * batch_size >= SLOW_MACS
    measure = Measure(
        **MEASURES[tier], limit=request.limit, single_pass=tier is Tier.SMOKE and slow_call
    )
    if request.repeat is None:
        return measure
    return measure.model_copy(update={"repeats": request.repeat})


def is_slow_item(measure: Measure, case: Case) -> bool:
    """Whether this is a smoke run of a model that takes seconds for a single item."""
    return measure.single_pass and case.manifest.model.macs >= SLOW_MACS


def choose_golden_count(measure: Measure, case: Case) -> int:
    """Return the number of golden items; for smoke runs of slow models, as many as one call affords."""
    wanted = case.manifest.run.golden_count
    if not measure.single_pass:
        return wanted
    return min(wanted, max(1, SLOW_MACS // case.manifest.model.macs))
