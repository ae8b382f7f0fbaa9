"""The plan, pure: request + catalog + host facts + what was found on disk → jobs, skips with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from driver.chips import choose_chip
from driver.content import key_of
from driver.errors import UsageFault, unknown
from driver.models.base import Frozen, RunnerName, StageName, Tier
from driver.models.job import JobFile, JobKey, Measure
from driver.tiers import choose_golden_count, choose_measure, choose_tier, is_slow_item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog import Case, Catalog, Stack, Vendor
    from driver.chips import ChosenChip
    from driver.models.manifest import ChipSpec, EngineSpec, PrecisionSpec
    from driver.request import Request
    from driver.weights import FormatKind


DeviceNames = Mapping[str, tuple[str, ...]]
"""What a vendor's monitor calls the selected devices, by vendor."""


class HostFacts(Frozen):
    """What the plan must know of the host."""

    threads: int
    memory_bytes: int


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
    chip_doubt: str | None
    batch_size: int
    tier: Tier
    runner: RunnerName
    measure: Measure
    preprocess: Mapping[str, Any]
    request: Request


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A combination that cannot be run, and why."""

    request: Request
    reason: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Material:
    """What was found on disk for a choice: digests of everything that a job is made of."""

    weights_kind: Literal["published", "synthetic", "trained-here"]
    weights_format: FormatKind | None
    weights_digest: str
    data_kind: Literal["real", "synthetic"]
    data_digest: str
    data_count: int
    code: Mapping[str, str]
    """Digests of ``case``, ``hook``, ``harness``, ``reference``, ``stack`` and ``reference_stack``."""


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job with everything resolved, and the keys of what it shares with other jobs."""

    choice: Choice
    key: JobKey
    template: JobFile
    export_key: str
    golden_key: str
    compile_key: str

    def stage_file(self, stage: StageName, repeat: int = 0) -> JobFile:
        """Return job.json for one stage of this job."""
        return self.template.model_copy(update={"stage": stage, "repeat": repeat})

    @property
    def stages(self) -> tuple[StageName, ...]:
        """Return the stages in order; validate only where the stack has the framework.

        A look at a model that takes seconds an item leaves it out too.
        """
        if self.choice.engine.validate_engine is None or is_slow_item(
            self.choice.measure, self.choice.case
        ):
            return tuple(stage for stage in StageName if stage is not StageName.VALIDATE)
        return tuple(StageName)


def choose(request: Request, catalog: Catalog, device_names: DeviceNames | None = None) -> Choice:
    """Look every name up and fill every default in; UsageFault with the nearest name otherwise.

    ``device_names`` tells the chip where the request does not (see ``driver.chips``).
    """
    case = catalog.case(request.case)
    vendor = catalog.vendor(request.vendor)
    engine_name, engine = vendor.engine(request.engine)
    stack = vendor.stack(request.stack, engine_name, engine)
    precision_name, precision = vendor.precision(engine_name, request.precision)
    chip = choose_chip(vendor, request.chip, (device_names or {}).get(vendor.name, ()))
    _require_arithmetic(chip, precision_name, precision)
    runner = request.runner or _default_runner(stack)
    if runner is RunnerName.DOCKER and (stack.found or catalog.reference.found):
        raise UsageFault(
            "STACK_PYTHON and REFERENCE_PYTHON name interpreters of this host; no container has them",
            "RUNNER=process (or slurm) with STACK_PYTHON, or neither of the two for the pinned images",
        )
    if runner is not RunnerName.DOCKER and not stack.manifest.process_runner:
        raise UsageFault(
            f"stack {stack.name} of {vendor.name} runs in its image only, not with RUNNER={runner}",
            "RUNNER=docker on a host with Docker (`make doctor VENDOR="
            + vendor.name
            + "` says what is missing), or STACK_PYTHON=<an interpreter of this host that has the SDK>",
        )
    tier = choose_tier(request, case)
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
        chip_doubt=chip.doubt,
        batch_size=request.batch_size or case.manifest.run.batch_size,
        tier=tier,
        runner=runner,
        measure=choose_measure(request, tier, case, vendor),
        preprocess=_preprocess(case, request.preprocess),
        request=request,
    )


def _require_arithmetic(chip: ChosenChip, name: str, precision: PrecisionSpec) -> None:
    """Refuse a precision that the chip would run as another one, under the wrong name."""
    why = chip.spec.lacks.get(precision.arithmetic)
    if why is not None:
        raise UsageFault(
            f"{chip.name} has no {precision.arithmetic}: {why}",
            f"another PRECISION than {name}, or another CHIP",
        )


def expand(
    requests: Sequence[Request], catalog: Catalog, device_names: DeviceNames | None = None
) -> list[Choice | Skip]:
    """Choose for each request; one that cannot be becomes a skip instead of ending the sweep."""
    chosen: list[Choice | Skip] = []
    for request in requests:
        try:
            chosen.append(choose(request, catalog, device_names))
        except UsageFault as error:
            chosen.append(Skip(request=request, reason=error.message, remedy=error.remedy))
    return chosen


def combine(base: Request, axes: Mapping[str, Sequence[object]]) -> list[Request]:
    """Return the product of ``axes`` (field of Request → values) over a base request, in axis order."""
    names = list(axes)
    return [
        base.model_copy(update=dict(zip(names, values, strict=True)))
        for values in product(*(axes[name] for name in names))
    ]


def plan_job(choice: Choice, material: Material, host: HostFacts) -> PlannedJob:
    """Resolve a choice into a job whose id is the hash of everything it is made of."""
    export_key, golden_key, compile_key = _keys(choice, material)
    identity = {
        "export": export_key,
        "golden": golden_key,
        "compile": compile_key,
        "runner": choice.runner,
        "tier": choice.tier,
        "measure": choice.measure.model_dump(),
        "threads": host.threads,
        "device": choice.request.device,
        "input": choice.request.input_kind,
        "options": _options(choice),
    }
    key = JobKey(
        id=key_of(identity)[:16],
        case=choice.case.name,
        vendor=choice.vendor.name,
        stack=choice.stack.name,
        engine=choice.engine_name,
        chip=choice.chip_name,
        precision=choice.precision_name,
        batch_size=choice.batch_size,
        tier=choice.tier,
        runner=choice.runner,
    )
    return PlannedJob(
        choice=choice,
        key=key,
        template=_template(key, choice, material, host),
        export_key=export_key,
        golden_key=golden_key,
        compile_key=compile_key,
    )


def _options(choice: Choice) -> dict[str, Any]:
    return {**choice.case.manifest.options, **dict(choice.request.options)}


def _template(key: JobKey, choice: Choice, material: Material, host: HostFacts) -> JobFile:
    """Return job.json as every stage gets it, but for the stage's name and repeat."""
    case, engine = choice.case.manifest, choice.engine
    return JobFile(
        job=key,
        stage=StageName.EXPORT,
        device=choice.request.device,
        inputs=case.model.inputs,
        outputs=case.model.outputs,
        task=case.task,
        metric=case.metric.name,
        metric_also=case.metric.also,
        export=engine.export,
        engine_needs=engine.needs,
        validate_engine=engine.validate_engine,
        validate_precision=_validate_precision(choice),
        arithmetic=choice.precision.arithmetic,
        precision_options=choice.precision.options,
        engine_options=engine.options,
        chip_options=choice.chip.options,
        case_options=_options(choice),
        preprocess=dict(choice.preprocess),
        measure=choice.measure,
        golden_count=_golden_count(choice, material),
        weights=material.weights_kind,
        weights_format=material.weights_format,
        data=material.data_kind,
        input_kind=choice.request.input_kind,
        threads=host.threads,
    )


def _keys(choice: Choice, material: Material) -> tuple[str, str, str]:
    """Return the content keys of the exported model, the golden outputs and the compiled engine."""
    export = choice.engine.export
    export_key = key_of(
        {
            "case": material.code["case"],
            "harness": material.code["harness"],
            "reference": material.code["reference"],
            "stack": material.code["reference_stack"],
            "weights": material.weights_digest,
            "opset": export.opset,
            "batch": choice.batch_size if export.batch == "static" else "dynamic",
            "simplify": export.simplify,
        }
    )
    golden_key = key_of(
        {
            "model": material.weights_digest,
            "case": material.code["case"],
            "harness": material.code["harness"],
            "reference": material.code["reference"],
            "stack": material.code["reference_stack"],
            "data": material.data_digest,
            "count": _golden_count(choice, material),
            "preprocess": dict(choice.preprocess),
            "options": choice.request.options,
        }
    )
    compile_key = key_of(
        {
            "export": export_key,
            "hook": material.code["hook"],
            "stack": material.code["stack"],
            "engine": choice.engine_name,
            "precision": choice.precision_name,
            "batch": choice.batch_size,
            "chip": choice.chip_name,
            "runner": choice.runner,
        }
    )
    return export_key, golden_key, compile_key


def _golden_count(choice: Choice, material: Material) -> int:
    return min(choose_golden_count(choice.measure, choice.case), material.data_count)


def _validate_precision(choice: Choice) -> str | None:
    """Return the job's precision where the framework has it, else that engine's default (fp32)."""
    name = choice.engine.validate_engine
    if name is None:
        return None
    framework = choice.vendor.manifest.engines[name]
    if name != choice.engine_name and choice.precision_name in framework.precisions:
        return choice.precision_name
    return framework.default_precision


def _default_runner(stack: Stack) -> RunnerName:
    """Return what needs no set-up: a virtual environment where the lock file alone is enough."""
    return RunnerName.PROCESS if stack.manifest.process_runner else RunnerName.DOCKER


def _preprocess(case: Case, name: str | None) -> Mapping[str, Any]:
    sets = case.manifest.preprocess
    if not sets and name is None:
        return {}
    chosen = name or "default"
    if chosen not in sets:
        raise unknown(f"PREPROCESS of case {case.name}", chosen, sets)
    return sets[chosen]
