"""The warnings of a job, found in its recording: which function of driver.results.warnings gets what. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import (
    ELEMENT_BYTES,
    IN_CONTAINERS,
    Failure,
    FailureKind,
    RunnerName,
    StageName,
    Tier,
    WarningCode,
)
from driver.results import warnings as warn
from driver.results.figures import NS_PER_S, measured, throughput
from driver.results.roofline import bandwidth, weights_read
from driver.results.scenarios.warnings import scenario_warnings
from driver.results.trend import drifts
from driver.runners.apptainer.sealing import ESSENTIAL
from driver.session.judging.claims import MEASURED_STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.base import Warn
    from driver.models.report import Measurement, StageReport
    from driver.models.result import Metrics
    from driver.session.recording import Recording

UNREAD = "arithmetic_unread"
"""The key under ``effective`` with which an engine says why its arithmetic is only the requested one."""


def warnings_of(recording: Recording, metrics: Metrics, *, simulated: bool) -> tuple[Warn, ...]:
    """Return every warning of a job, each once: the driver's own, the monitor's, and the stages'."""
    template = recording.planned.template
    own = warn.collected(
        (
            warn.smoke(template.measure.limit) if template.job.tier is Tier.SMOKE else None,
            warn.synthetic(template.weights, template.data),
            warn.simulated(simulated),
            warn.not_isolated(template.job.runner, template.job.tier, _not_enforced(recording)),
            warn.extra_privileges(template.job.vendor, *_privileges(recording)),
            warn.chip_unconfirmed(template.job.vendor, recording.planned.choice.chip_caveat),
            warn.part_of_device(recording.planned.choice.chip_part),
            _arithmetic_differs(recording),
            _arithmetic_unread(recording),
            _same_process(recording),
            _clock_unchecked(recording),
            *_implausible(recording, metrics),
            *_unpinned(recording),
            *(
                warn.unstable(name, found.values, found.cv)
                for name, found in metrics.spread.items()
            ),
            _drift(recording),
            _input_bound(recording, metrics),
            _whole_exceeds_core(recording, metrics),
            _few_samples(recording, metrics),
            *scenario_warnings(metrics),
            *(found for report in recording.reports for found in _of_stage(recording, report)),
        )
    )
    reported = (found for report in recording.reports for found in report.warnings)
    return _once((*own, *recording.telemetry.warnings(_cores(recording)), *reported))


def _cores(recording: Recording) -> dict[int, Measurement]:
    infers = (report for report in recording.reports if report.stage is StageName.INFER)
    found = ((report.repeat, measured(report, "core")) for report in infers)
    return {repeat: core for repeat, core in found if core is not None}


def effective_arithmetic(recording: Recording) -> str | None:
    """Return the arithmetic that the engine read back in infer, None where it reported none."""
    reported = _effective_arithmetics(recording)
    return reported[-1] if reported else None


def _effective_arithmetics(recording: Recording) -> list[str]:
    """Return what the engine read back in each process of infer that reported an arithmetic."""
    return [
        report.effective["arithmetic"]
        for report in recording.reports
        if report.stage is StageName.INFER and isinstance(report.effective.get("arithmetic"), str)
    ]


def _arithmetic_differs(recording: Recording) -> Warn | None:
    effective = effective_arithmetic(recording)
    others = sorted(set(_effective_arithmetics(recording)) - {effective})
    found = warn.arithmetic_differs(
        recording.planned.choice.precision.arithmetic, effective, others
    )
    # The engine's own warning has more detail; one about something else (the chip) takes no place of it.
    own = _reported(recording, WarningCode.EFFECTIVE_DIFFERS)
    said = any((effective or "") in message for message in own)
    return None if said and not others else found


def _arithmetic_unread(recording: Recording) -> Warn | None:
    # Only a loop that ran has an arithmetic; the engine's own warning says why it is not known.
    if not _cores(recording) or _reported(recording, WarningCode.ARITHMETIC_UNREAD):
        return None
    infers = [one for one in recording.reports if one.stage is StageName.INFER]
    whys = [str(one.effective[UNREAD]) for one in infers if one.effective.get(UNREAD)]
    unreported = "the engine reports none" if effective_arithmetic(recording) is None else None
    planned = recording.planned.choice.precision.arithmetic
    return warn.arithmetic_unread(planned, whys[-1] if whys else unreported)


def _reported(recording: Recording, code: WarningCode) -> list[str]:
    """Return the messages of the stages' own warnings with that code."""
    every = (found for report in recording.reports for found in report.warnings)
    return [found.message for found in every if found.code == code]


def _implausible(recording: Recording, metrics: Metrics) -> Iterator[Warn | None]:
    choice = recording.planned.choice
    arithmetic = effective_arithmetic(recording) or choice.precision.arithmetic
    yield warn.implausible_mfu(metrics.mfu, arithmetic, choice.chip.peaks.get(arithmetic))
    yield from _implausible_reads(recording, arithmetic, metrics.mem_total_gib)
    if choice.case.manifest.core_item != choice.case.manifest.item:
        return
    for report in recording.reports:
        core, whole = measured(report, "core"), measured(report, "whole")
        engine_ns = report.details.get("whole_engine_ns")
        if core is None or whole is None or not isinstance(engine_ns, int):
            continue
        yield warn.implausible_core(
            throughput(core), whole.items, whole.calls, engine_ns / NS_PER_S
        )


def _implausible_reads(
    recording: Recording, arithmetic: str, seen_gib: float | None
) -> Iterator[Warn | None]:
    choice = recording.planned.choice
    parameter_bytes = ELEMENT_BYTES.get(arithmetic, 0)
    read = weights_read(choice.case.manifest.model, generates=choice.generation is not None)
    weight_bytes = read * parameter_bytes
    listed = bandwidth(choice.chip.memory_bandwidth, choice.chip.memory_gib, seen_gib)
    for core in _cores(recording).values():
        calls_per_s = core.calls / (core.wall_ns / NS_PER_S)
        yield warn.implausible_reads(calls_per_s, core.in_flight, weight_bytes, listed)


def _same_process(recording: Recording) -> Warn | None:
    stages = [
        report.stage.value
        for report in recording.reports
        if report.stage in MEASURED_STAGES
        and (report.engine_process is None or not report.engine_process.separate)
    ]
    return warn.same_process(list(dict.fromkeys(stages)))


def _clock_unchecked(recording: Recording) -> Warn | None:
    # A cluster's node may have no socket of this host; the provenance has it then.
    if recording.planned.key.runner is RunnerName.SLURM:
        return None
    clock = recording.provenance.get("clock", {})
    stages = [name.partition("-")[0] for name, found in clock.items() if found["unchecked"]]
    return warn.clock_unchecked(list(dict.fromkeys(stages)))


def impossible(recording: Recording, metrics: Metrics) -> Failure | None:
    """Return the failure of an official run whose figures cannot be true, or that vendor code could change."""
    changeable = (_same_process(recording), _clock_unchecked(recording))
    found = warn.collected((*_implausible(recording, metrics), *changeable))
    if recording.planned.key.tier is not Tier.OFFICIAL or not found:
        return None
    return Failure(
        kind=FailureKind.CONTRACT,
        stage=StageName.INFER,
        message=found[0].message,
        remedy=found[0].remedy,
    )


def _input_bound(recording: Recording, metrics: Metrics) -> Warn | None:
    planned = recording.planned
    shared = planned.choice.vendor.manifest.runs_on_host
    threads = None if shared else planned.template.threads
    return warn.input_bound(_items_whole(recording, metrics), metrics.p_infer_core, threads)


def _whole_exceeds_core(recording: Recording, metrics: Metrics) -> Warn | None:
    if _items_whole(recording, metrics) is None:
        return None
    whole, core = (metrics.spread.get(name) for name in ("p_infer_whole", "p_infer_core"))
    return warn.whole_exceeds_core(whole.values if whole else (), core.values if core else ())


def _drift(recording: Recording) -> Warn | None:
    # Smoke runs are too short to drift, and never compared.
    if recording.planned.key.tier is Tier.SMOKE:
        return None
    loops = [recording.core_blocks[repeat] for repeat in sorted(recording.core_blocks)]
    return warn.drift(drifts(loops))


def _few_samples(recording: Recording, metrics: Metrics) -> Warn | None:
    # Smoke runs promise no percentiles; a stage that did not run has none.
    if recording.planned.key.tier is Tier.SMOKE or metrics.p_infer_core is None:
        return None
    return warn.few_samples(metrics.latency_ms.samples)


def _privileges(recording: Recording) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the capabilities and the writable host paths that the vendor's containers had."""
    if recording.planned.key.runner not in IN_CONTAINERS:
        return (), ()
    devices = recording.planned.choice.vendor.manifest.devices
    writable = (mount.source for mount in devices.mounts if not mount.read_only)
    return devices.capabilities, tuple(writable)


def _not_enforced(recording: Recording) -> set[str]:
    """Return what of the isolation of a container no stage, or not every stage, was held to."""
    stages = recording.provenance.get("isolation", {}).values()
    return {name for one in stages for name in one.get("not_enforced", ())} & ESSENTIAL


def _unpinned(recording: Recording) -> Iterator[Warn | None]:
    """Yield a warning per stack that is not pinned; environments are pinned by their lock files."""
    for role in ("reference_stack", "vendor_stack"):
        made_of = recording.provenance.get(role, {})
        if made_of.get("kind") == "found":
            yield warn.found_stack(
                role.removesuffix("_stack"),
                python=made_of["python"],
                packages=len(made_of["packages"]),
                in_place_of=made_of["in_place_of"],
            )
        if made_of.get("kind") == "image":
            yield warn.unpinned(
                made_of["image"],
                base=made_of["base"] or "",
                base_of_stack=made_of["base_of_stack"],
                pinned=made_of["pinned"],
                installers=made_of["installers_unpinned"],
            )


def _items_whole(recording: Recording, metrics: Metrics) -> float | None:
    """Return p_infer_whole, None where core counts other items (UNet steps instead of prompts)."""
    manifest = recording.planned.choice.case.manifest
    return metrics.p_infer_whole if manifest.core_item == manifest.item else None


def _of_stage(recording: Recording, report: StageReport) -> Iterator[Warn | None]:
    if report.stage is not StageName.INFER:
        return
    measure = recording.planned.template.measure
    core = measured(report, "core")
    if core is None:
        return
    if core.warmup is not None:
        calls_ns = core.wall_ns / max(core.calls, 1)
        yield warn.first_call_slow(core.warmup.first_call_ns, calls_ns)
        if not core.warmup.steady:
            yield warn.not_steady("infer", core.warmup.calls, core.warmup.wall_ns / 1e9)
    if recording.planned.key.tier is not Tier.SMOKE:
        yield warn.too_short("p_infer_core", core.wall_ns / 1e9, measure.min_seconds, False)
    if core.compute_ns is not None:
        device_ns = core.compute_ns + (core.h2d_ns or 0) + (core.d2h_ns or 0)
        yield warn.host_bound(core.wall_ns, device_ns)


def _once(warnings: tuple[Warn, ...]) -> tuple[Warn, ...]:
    """Return each warning once: repeats of infer report the same ones."""
    return tuple({(found.code, found.message): found for found in warnings}.values())
