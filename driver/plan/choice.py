"""A choice: a request with every name looked up and every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from driver.errors import UsageFault, unknown
from driver.models.base import IN_CONTAINERS, RunnerName, Tier
from driver.models.case import BOUND_OPTIONS
from driver.models.job import GenerationJob, Measure, ScenarioJob
from driver.plan.chips import SeenDevice, choose_chip, identities
from driver.plan.generation import generation_job, require_engine
from driver.plan.options import parse_options, resolved
from driver.plan.quantization import require_calibration
from driver.plan.scenario import batch_size_of, scenario_job
from driver.plan.tiers import choose_measure, choose_tier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog.catalog import Case, Catalog
    from driver.catalog.vendor import Stack, Vendor
    from driver.models.case import OptionValue
    from driver.models.vendor import ChipSpec, EngineSpec, PrecisionSpec
    from driver.plan.chips import ChosenChip
    from driver.plan.request import Request


SeenDevices = Mapping[str, tuple[SeenDevice, ...]]
"""The selected devices by vendor (its label), as its monitor names them."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A request with every name looked up and every default filled in."""

    case: Case
    vendor: Vendor
    stack: Stack
    engine_name: str
    engine: EngineSpec
    precision_name: str
    precision: PrecisionSpec
    chip_name: str
    chip: ChipSpec
    chip_caveat: str | None
    chip_part: str
    """Which part of a device the chip is; "" for a whole one."""
    devices: tuple[str, ...]
    """Identities of the selected devices on this host (see ``driver.plan.chips``)."""
    batch_size: int
    tier: Tier
    runner: RunnerName
    measure: Measure
    preprocess: Mapping[str, Any]
    options: Mapping[str, OptionValue]
    """Every option of the case, as given or by default."""
    generation: GenerationJob | None
    """What a language model generates, None for other cases."""
    scenario: ScenarioJob | None
    """The load scenario that LoadGen runs, None without one."""
    item_count: int | None
    """Number of dataset items that an option of the case requests, None without such an option."""
    request: Request

    @property
    def guest_options(self) -> dict[str, Any]:
        """Constants and options as the guest gets them, which decide what it computes: bounds do not."""
        options = {**self.case.manifest.constants, **self.options}
        return {name: value for name, value in options.items() if name not in BOUND_OPTIONS}

    @property
    def elsewhere(self) -> bool:
        """Whether the stages run on another host, of which nothing is known here."""
        return self.runner is RunnerName.SLURM or self.request.host is not None


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A combination that cannot be run, and why."""

    request: Request
    reason: str
    remedy: str


def choose(request: Request, catalog: Catalog, devices: SeenDevices | None = None) -> Choice:
    """Look every name up and fill every default in; UsageFault with the nearest name otherwise.

    ``devices`` tells the chip where the request does not (see ``driver.plan.chips``).
    """
    case = catalog.case(request.case)
    vendor = _vendor(request, catalog)
    engine_name, engine = vendor.engine(request.engine, request.stack)
    precision_name, precision = vendor.precision(engine_name, request.precision)
    seen = (devices or {}).get(vendor.label, ())
    stacks = (request.stack,) if request.stack else engine.stacks_with(precision_name)
    chip = choose_chip(vendor, request.chip, seen, stacks)
    stack = vendor.stack(request.stack, engine_name, engine, precision_name, (chip.name, chip.spec))
    _require_arithmetic(vendor, chip, precision_name, precision)
    require_engine(case, vendor, engine_name, request.stack, catalog.vendors)
    require_calibration(case, precision_name, precision, request.data)
    runner = request.runner or _default_runner(stack, request.host)
    if request.host is not None and runner is not RunnerName.DOCKER:
        raise UsageFault(
            f"HOST={request.host} runs stages in containers of that host's engine, and RUNNER={runner} "
            "does not",
            "leave RUNNER out, or HOST",
        )
    if runner in IN_CONTAINERS and (stack.found or catalog.reference.found):
        raise UsageFault(
            "STACK_PYTHON and REFERENCE_PYTHON name interpreters of this host; no container has them",
            "use RUNNER=process (or slurm), or leave both out to use the pinned images",
        )
    if runner not in IN_CONTAINERS and not stack.manifest.process_runner:
        raise UsageFault(
            f"stack {stack.name} of {vendor.name} runs only in its image, not with RUNNER={runner}",
            "use RUNNER=docker on a host with Docker or RUNNER=apptainer (`make doctor VENDOR="
            + vendor.name
            + "` says what is missing), or STACK_PYTHON=<an interpreter of this host that has the SDK>",
        )
    options = parse_options(request, case)
    tier = choose_tier(request, case, options)
    return Choice(
        case=case,
        vendor=vendor,
        stack=stack,
        engine_name=engine_name,
        engine=engine,
        precision_name=precision_name,
        precision=precision,
        chip_name=chip.name,
        chip=chip.spec,
        chip_caveat=chip.caveat,
        chip_part=chip.part,
        devices=identities(vendor, request.device, seen),
        batch_size=batch_size_of(request, case.manifest.run.batch_size),
        tier=tier,
        runner=runner,
        measure=choose_measure(request, tier, case, vendor),
        preprocess=_preprocess(case, request.preprocess),
        options=resolved(options, case),
        generation=generation_job(case, resolved(options, case)),
        scenario=scenario_job(request, case, stack, tier),
        item_count=_item_count(case, options),
        request=request,
    )


def _vendor(request: Request, catalog: Catalog) -> Vendor:
    """Return the vendor on the hardware that a request names."""
    vendor = catalog.vendor(request.vendor)
    chosen = vendor.for_request(request.stack, request.engine, request.chip)
    vendor.require_one_hardware(chosen, engine=request.engine, chip=request.chip)
    _require_device(chosen, request.device)
    return chosen


def _require_device(vendor: Vendor, device: str) -> None:
    """Raise UsageFault for a second device of a vendor that runs on the host's processor."""
    if vendor.manifest.runs_on_host and device.strip() != "0":
        raise UsageFault(
            f"DEVICE={device} does not exist: {vendor.name} runs on this host's processor, device 0",
            "leave DEVICE out, or choose another VENDOR",
        )


def _require_arithmetic(
    vendor: Vendor, chip: ChosenChip, name: str, precision: PrecisionSpec
) -> None:
    """Raise UsageFault for a precision that the chip would silently run as another one."""
    why = chip.spec.lacks.get(precision.arithmetic)
    if why is None:
        return
    able = [
        other
        for other, spec in vendor.manifest.chips.items()
        if precision.arithmetic not in spec.lacks
    ]
    others = f", or another CHIP ({', '.join(able)})" if able else ""
    raise UsageFault(
        f"{chip.name} has no {precision.arithmetic}: {why}",
        f"choose another PRECISION than {name}{others}",
    )


def expand(
    requests: Sequence[Request], catalog: Catalog, devices: SeenDevices | None = None
) -> list[Choice | Skip]:
    """Choose for each request; an impossible one becomes a skip instead of ending the sweep."""
    chosen: list[Choice | Skip] = []
    for request in requests:
        try:
            chosen.append(choose(request, catalog, devices))
        except UsageFault as error:
            chosen.append(Skip(request=request, reason=error.message, remedy=error.remedy))
    return chosen


def combine(base: Request, axes: Mapping[str, Sequence[object]]) -> list[Request]:
    """Return the base request with every combination of ``axes`` (field → values), in axis order."""
    names = list(axes)
    return [
        base.model_copy(update=dict(zip(names, values, strict=True)))
        for values in product(*(axes[name] for name in names))
    ]


def _default_runner(stack: Stack, host: str | None) -> RunnerName:
    """Return the runner with the least set-up: process, where the lock file alone is enough."""
    alone = stack.manifest.process_runner and host is None
    return RunnerName.PROCESS if alone else RunnerName.DOCKER


def _preprocess(case: Case, name: str | None) -> Mapping[str, Any]:
    sets = case.manifest.preprocess
    if not sets and name is None:
        return {}
    chosen = name or "default"
    if chosen not in sets:
        raise unknown(f"PREPROCESS of case {case.name}", chosen, sets)
    return sets[chosen]


def _item_count(case: Case, options: Mapping[str, OptionValue]) -> int | None:
    name = case.manifest.item_option
    return None if name is None or name not in options else int(options[name])
