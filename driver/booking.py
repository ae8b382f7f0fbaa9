"""The books of one job: what each stage left, and in the end its result. Nothing here runs anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from driver import warnings as warn
from driver.errors import EXIT_OF_KIND, EXIT_OK
from driver.figures import compute_metrics, gib, measured, throughput
from driver.models.base import FailureKind, RunnerName, StageName, Tier, WarningCode
from driver.models.result import Result, StageRecord
from driver.results import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from driver.models.base import Failure, Warn
    from driver.models.report import Measurement, StageReport
    from driver.models.result import Gate, Metrics, SampleFile
    from driver.plan import PlannedJob
    from driver.stopwatch import Stopwatch
    from driver.telemetry import Telemetry


@dataclass(kw_only=True)
class Books:
    """What is known of a job so far; an interruption leaves them readable."""

    planned: PlannedJob
    telemetry: Telemetry
    stand_in: bool = False
    """Whether the vendor's stack is a test's imitation: known before any stage tells it."""
    started_utc: str = field(default_factory=utc_now)
    records: list[StageRecord] = field(default_factory=list)
    reports: list[StageReport] = field(default_factory=list)
    samples: list[SampleFile] = field(default_factory=list)
    latency_samples_ns: NDArray[np.int64] | None = None
    failure: Failure | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def book(
        self, record: StageRecord, report: StageReport | None, failure: Failure | None
    ) -> None:
        """Take in how a stage ended; the first failure is the job's."""
        self.records.append(record)
        if report is not None:
            self.reports.append(report)
        self.failure = self.failure or failure

    def missing_stages(self) -> Iterator[StageRecord]:
        """Yield a record for each stage that was never reached."""
        seen = {record.name for record in self.records}
        for stage in self.planned.stages:
            if stage not in seen:
                yield StageRecord(name=stage, status="not_run")


def make_result(books: Books, stopwatch: Stopwatch) -> Result:
    """Compute figures, gate and warnings from the books as they stand."""
    choice = books.planned.choice
    metrics, gate = compute_metrics(
        books.reports,
        case=choice.case.manifest,
        chip=choice.chip,
        arithmetic=_effective_arithmetic(books) or choice.precision.arithmetic,
        precision=choice.precision_name,
        latency_samples_ns=books.latency_samples_ns,
    )
    metrics = with_telemetry(metrics, books)
    simulated = _simulated(books)
    failure = books.failure
    template = books.planned.template
    return Result(
        job=books.planned.key,
        status=_status(failure, gate),
        failure=failure,
        simulated=simulated,
        weights=template.weights,
        data=template.data,
        started_utc=books.started_utc,
        finished_utc=utc_now(),
        core_item=choice.case.manifest.core_item,
        metrics=metrics.model_copy(update={"e2e_time_s": stopwatch.elapsed_s()}),
        gate=gate,
        stages=(*books.records, *books.missing_stages()),
        time_shares=stopwatch.shares(),
        samples=tuple(books.samples),
        monitor=books.telemetry.document(),
        warnings=_warnings(books, metrics, simulated=simulated),
        provenance=books.provenance | {"monitor_wait_s": round(stopwatch.excluded_s, 3)},
    )


def with_telemetry(metrics: Metrics, books: Books) -> Metrics:
    """Fill in what only a monitor can tell: energy of the core loop, memory where no engine told it."""
    seen: dict[str, float | None] = {}
    infer = next((found for found in books.reports if found.stage is StageName.INFER), None)
    core = measured(infer, "core")
    window = books.telemetry.window(core) if core is not None else None
    if window is not None:
        seen["energy_j"] = window.energy_j
    if metrics.mem_gib is None:
        seen["mem_gib"] = gib(books.telemetry.stage_peak_bytes(StageName.INFER))
        seen["mem_total_gib"] = gib(books.telemetry.total_bytes())
    if metrics.mem_compile_gib is None:
        seen["mem_compile_gib"] = gib(books.telemetry.stage_peak_bytes(StageName.COMPILE))
    return metrics.model_copy(update=seen)


def _simulated(books: Books) -> bool:
    """A stage that failed, or that nobody reached, may have had no time to say so."""
    told = any(report.simulated for report in books.reports)
    return books.stand_in or books.telemetry.simulated or told


def exit_code(result: Result) -> int:
    """Return the process's exit code for a result."""
    if result.failure is not None:
        return EXIT_OF_KIND[result.failure.kind]
    return EXIT_OF_KIND[FailureKind.ACCURACY] if result.status == "accuracy_failed" else EXIT_OK


def _status(
    failure: Failure | None, gate: Gate | None
) -> Literal["ok", "accuracy_failed", "failed"]:
    if failure is not None:
        return "failed"
    return "accuracy_failed" if gate is not None and gate.passed is False else "ok"


def _warnings(books: Books, metrics: Metrics, *, simulated: bool) -> tuple[Warn, ...]:
    template = books.planned.template
    own = warn.collected(
        (
            warn.smoke(template.measure.limit) if template.job.tier is Tier.SMOKE else None,
            warn.synthetic(template.weights, template.data),
            warn.simulated(simulated),
            warn.not_isolated(template.job.runner, template.job.tier),
            warn.extra_privileges(template.job.vendor, *_privileges(books)),
            warn.chip_unconfirmed(template.job.vendor, books.planned.choice.chip_doubt),
            _arithmetic_differs(books),
            _implausible(books, metrics),
            *_unpinned(books),
            *(
                warn.unstable(name, found.values, found.cv)
                for name, found in metrics.spread.items()
            ),
            warn.input_bound(_items_whole(books, metrics), metrics.p_infer_core),
            _whole_exceeds_core(books, metrics),
            _few_samples(books, metrics),
            *(found for report in books.reports for found in _of_stage(books, report)),
        )
    )
    told = (found for report in books.reports for found in report.warnings)
    return _once((*own, *books.telemetry.warnings(_cores(books)), *told))


def _cores(books: Books) -> dict[int, Measurement]:
    infers = (report for report in books.reports if report.stage is StageName.INFER)
    found = ((report.repeat, measured(report, "core")) for report in infers)
    return {repeat: core for repeat, core in found if core is not None}


def _effective_arithmetic(books: Books) -> str | None:
    """Return the arithmetic that the engine read back in infer, None where it told none."""
    told = [
        report.effective["arithmetic"]
        for report in books.reports
        if report.stage is StageName.INFER and isinstance(report.effective.get("arithmetic"), str)
    ]
    return told[-1] if told else None


def _arithmetic_differs(books: Books) -> Warn | None:
    """An engine that said so itself, with more to say, is not repeated."""
    told = (found.code for report in books.reports for found in report.warnings)
    if WarningCode.EFFECTIVE_DIFFERS in set(told):
        return None
    planned = books.planned.choice.precision.arithmetic
    return warn.arithmetic_differs(planned, _effective_arithmetic(books))


def _implausible(books: Books, metrics: Metrics) -> Warn | None:
    choice = books.planned.choice
    arithmetic = _effective_arithmetic(books) or choice.precision.arithmetic
    return warn.implausible_mfu(metrics.mfu, arithmetic, choice.chip.peaks.get(arithmetic))


def _whole_exceeds_core(books: Books, metrics: Metrics) -> Warn | None:
    if _items_whole(books, metrics) is None:
        return None
    whole, core = (metrics.spread.get(name) for name in ("p_infer_whole", "p_infer_core"))
    return warn.whole_exceeds_core(whole.values if whole else (), core.values if core else ())


def _few_samples(books: Books, metrics: Metrics) -> Warn | None:
    """A look promises no percentiles, and a stage that did not run has none."""
    if books.planned.key.tier is Tier.SMOKE or metrics.p_infer_core is None:
        return None
    return warn.few_samples(metrics.latency_ms.samples)


def _privileges(books: Books) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the capabilities and the writable host paths that the vendor's containers had."""
    if books.planned.key.runner is not RunnerName.DOCKER:
        return (), ()
    devices = books.planned.choice.vendor.manifest.devices
    writable = (mount.source for mount in devices.mounts if not mount.read_only)
    return devices.capabilities, tuple(writable)


def _unpinned(books: Books) -> Iterator[Warn | None]:
    """Hold both stacks' images against what their manifests pin; an environment is pinned by its lock."""
    for role in ("reference_stack", "vendor_stack"):
        made_of = books.provenance.get(role, {})
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


def _items_whole(books: Books, metrics: Metrics) -> float | None:
    """Return p_infer_whole where it counts the same item as core (not UNet steps against prompts)."""
    manifest = books.planned.choice.case.manifest
    return metrics.p_infer_whole if manifest.core_item == manifest.item else None


def _of_stage(books: Books, report: StageReport) -> Iterator[Warn | None]:
    if report.stage is not StageName.INFER:
        return
    measure = books.planned.template.measure
    core = measured(report, "core")
    yield warn.core_disagrees(report.core_agreement)
    if core is None:
        return
    if core.warmup is not None:
        calls_ns = core.wall_ns / max(core.calls, 1)
        yield warn.first_call_slow(core.warmup.first_call_ns, calls_ns)
        if not core.warmup.steady:
            yield warn.not_steady("infer", core.warmup.calls, core.warmup.wall_ns / 1e9)
    if books.planned.key.tier is not Tier.SMOKE:
        yield warn.too_short("p_infer_core", core.wall_ns / 1e9, measure.min_seconds, False)
    if core.compute_ns is not None:
        device_ns = core.compute_ns + (core.h2d_ns or 0) + (core.d2h_ns or 0)
        yield warn.host_bound(core.wall_ns, device_ns)


def _once(warnings: tuple[Warn, ...]) -> tuple[Warn, ...]:
    """Return each warning once: repeats of infer say the same thing again."""
    return tuple({(found.code, found.message): found for found in warnings}.values())


def stage_rates(reports: list[StageReport]) -> Mapping[str, float]:
    """Return items/s of every loop, for the line that a stage ends with."""
    return {
        f"{report.stage}.{loop.name}": throughput(loop)
        for report in reports
        for loop in report.measurements
    }
