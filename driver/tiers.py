"""How long and how often a run measures: its tier, and what makes it a look; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.errors import UsageFault
from driver.models.base import Tier
from driver.models.device_access import DeviceSpec
from driver.models.job import Measure

if TYPE_CHECKING:
    from driver.catalog import Case, Vendor
    from driver.request import Request

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
"""How long each tier measures; ../docs/figures.md gives the reasons."""

SLOW_MACS = 300_000_000_000
"""From here on a host's processor takes seconds for one call: two cores do 5e10 to 1e11 MACs/s in fp32
(measured with ViT-L/16), so a look makes no call that it can do without."""


def choose_tier(request: Request, case: Case) -> Tier:
    """Return the tier; LIMIT, fewer PROMPTS or STEPS make a run a look, which official runs are not."""
    less = _less(request, case)
    if less is None:
        return request.tier or case.manifest.run.tier
    if request.tier is Tier.OFFICIAL:
        raise UsageFault(
            f"TIER=official measures the whole dataset and takes no {less}", f"drop {less}"
        )
    return Tier.SMOKE


def _less(request: Request, case: Case) -> str | None:
    """Return the variable that makes the run smaller than the case is, if one does."""
    if request.limit is not None:
        return "LIMIT"
    whole = {**case.manifest.options, "prompts": case.manifest.data.count}
    smaller = (name for name, value in request.options if value < whole.get(name, 0))
    return next((name.upper() for name in smaller), None)


def choose_measure(request: Request, tier: Tier, case: Case, vendor: Vendor) -> Measure:
    """Return how long and how often a tier measures, with REPEAT and LIMIT as asked."""
    on_host = vendor.manifest.devices == DeviceSpec()
    batch_size = request.batch_size or case.manifest.run.batch_size
    slow_call = on_host and case.manifest.model.macs * batch_size >= SLOW_MACS
    measure = Measure(
        **MEASURES[tier], limit=request.limit, single_pass=tier is Tier.SMOKE and slow_call
    )
    if request.repeat is None:
        return measure
    return measure.model_copy(update={"repeats": request.repeat})


def is_slow_item(measure: Measure, case: Case) -> bool:
    """Whether the run is a look at a model that takes seconds for a single item."""
    return measure.single_pass and case.manifest.model.macs >= SLOW_MACS


def choose_golden_count(measure: Measure, case: Case) -> int:
    """Return how many items fp32 goes over; in a look at a slow model no more than a slow call takes."""
    wanted = case.manifest.run.golden_count
    if not measure.single_pass:
        return wanted
    return min(wanted, max(1, SLOW_MACS // case.manifest.model.macs))
