"""The plan: turns a choice, host facts and what was found on disk into a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from driver.models.base import StageName
from driver.models.job import JobFile, JobKey
from driver.plan.memory import validation_fits
from driver.plan.quantization import quantize_job
from driver.plan.tiers import choose_golden_count, is_slow_item
from driver.system.hashing import key_of

if TYPE_CHECKING:
    from driver.models.case import FormatKind
    from driver.plan.choice import Choice
    from driver.system.host.machine import HostFacts


@dataclass(frozen=True, kw_only=True)
class Material:
    """What was found on disk for a choice: the digests of a job's weights, data and code."""

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
    """A fully resolved job, and the keys of the artifacts that it shares with other jobs."""

    choice: Choice
    key: JobKey
    template: JobFile
    export_key: str
    golden_key: str
    compile_key: str
    validates: bool
    """Whether the framework's own inference runs too."""

    @property
    def engine_reusable(self) -> bool:
        """Whether a compiled engine serves the next job: not where nothing says which processor it is for."""
        on_host = self.choice.vendor.manifest.runs_on_host
        return not (on_host and self.choice.elsewhere)

    def stage_file(self, stage: StageName, repeat: int = 0) -> JobFile:
        """Return job.json for one stage of this job."""
        return self.template.model_copy(update={"stage": stage, "repeat": repeat})

    @property
    def stages(self) -> tuple[StageName, ...]:
        """Return the stages in order; validate only where the framework can run the model."""
        if not self.validates:
            return tuple(stage for stage in StageName if stage is not StageName.VALIDATE)
        return tuple(StageName)


def plan_job(choice: Choice, material: Material, host: HostFacts) -> PlannedJob:
    """Resolve a choice into a job; its id is the hash of everything that it is made of."""
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
        "options": {**choice.case.manifest.constants, **choice.options},
    }
    if choice.scenario is not None:
        identity["scenario"] = choice.scenario.model_dump()
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
        scenario=None if choice.scenario is None else choice.scenario.name,
    )
    return PlannedJob(
        choice=choice,
        key=key,
        template=_template(key, choice, material, host),
        export_key=export_key,
        golden_key=golden_key,
        compile_key=compile_key,
        validates=_validates(choice, host),
    )


def _validates(choice: Choice, host: HostFacts) -> bool:
    """Return whether the stack has the framework, and that can run the model here.

    Smoke runs of models that take seconds per item do without, as do cases of generation whose framework's engine does
    not generate, and weights that do not fit in its precision.
    """
    name, precision = choice.engine.validate_engine, _validate_precision(choice)
    if name is None or precision is None or is_slow_item(choice.measure, choice.case):
        return False
    if choice.generation is not None and not choice.vendor.manifest.engines[name].generates:
        return False
    return validation_fits(choice, host, precision)


def _template(key: JobKey, choice: Choice, material: Material, host: HostFacts) -> JobFile:
    """Return job.json as every stage gets it, apart from the stage's name and repeat."""
    case, engine = choice.case.manifest, choice.engine
    framework = choice.vendor.manifest.engines.get(engine.validate_engine or "")
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
        harness_engine=engine.harness_engine,
        validate_engine=engine.validate_engine,
        validate_precision=_validate_precision(choice),
        validate_harness_engine=framework.harness_engine if framework else None,
        validate_options=framework.options if framework else {},
        arithmetic=choice.precision.arithmetic,
        precision_options=choice.precision.options,
        engine_options=engine.options,
        chip_options=choice.chip.options,
        case_options=choice.guest_options,
        preprocess=dict(choice.preprocess),
        quantize=quantize_job(choice.case, choice.precision, material.data_kind),
        measure=choice.measure,
        golden_count=_golden_count(choice, material),
        weights=material.weights_kind,
        weights_format=material.weights_format,
        data=material.data_kind,
        input_kind=choice.request.input_kind,
        generation=choice.generation,
        scenario=choice.scenario,
        threads=host.threads,
    )


def _keys(choice: Choice, material: Material) -> tuple[str, str, str]:
    """Return the content keys of the exported model, the golden outputs and the compiled engine."""
    export = choice.engine.export
    quantize = quantize_job(choice.case, choice.precision, material.data_kind)
    # Others keep the key that they had before.
    quantized = (
        {}
        if quantize is None
        else {
            "quantize": quantize.model_dump(),
            "preprocess": dict(choice.preprocess),
        }
    )
    export_key = key_of(
        quantized
        | {
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
            "options": choice.guest_options,
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
    """Return the job's precision if the validating engine has it in this stack, else that engine's default."""
    name = choice.engine.validate_engine
    if name is None:
        return None
    framework = choice.vendor.manifest.engines[name]
    has_it = choice.precision_name in framework.precisions and (
        choice.stack.name in framework.stacks_with(choice.precision_name)
    )
    if name != choice.engine_name and has_it:
        return choice.precision_name
    return framework.default_precision
