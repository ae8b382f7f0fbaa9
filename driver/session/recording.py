"""Records a job: when a stage ends, adds its report and copies its files beside the result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from driver.models.base import StageName
from driver.models.result import StageRecord
from driver.results.figures import measured
from driver.results.predictions import read_predictions
from driver.results.scenarios.logs import keep_scenario
from driver.results.store import keep_log, keep_pictures, keep_samples, utc_after, utc_now
from driver.results.trend import block_rates
from driver.session.inputs.artifact_cache import read_stage_report
from driver.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from driver.models.base import Failure
    from driver.models.report import StageReport
    from driver.models.result import Predictions, SampleFile, Scenario
    from driver.plan.job import PlannedJob
    from driver.results.received.left import Samples
    from driver.runners.base import Enforced
    from driver.runners.spec import ContainerSpec
    from driver.session.stage import StageEnd
    from driver.session.telemetry import Telemetry
    from driver.system.workspace import StageFolder


CORE_DETAILS = ("core_inputs", "core_check", "repeated_inputs")
"""What a report's details say of the core loop's inputs, the check of its outputs, and an audit's repeats."""


@dataclass(kw_only=True)
class Recording:
    """What is known of a job so far; still valid after an interruption."""

    planned: PlannedJob
    telemetry: Telemetry
    stand_in: bool = False
    """Whether the vendor's stack is a stand-in; known before any stage reports it."""
    started_utc: str = field(default_factory=utc_now)
    started_s: float = field(default_factory=time.monotonic)
    """The same moment by the monotonic clock."""
    records: list[StageRecord] = field(default_factory=list)
    reports: list[StageReport] = field(default_factory=list)
    samples: list[SampleFile] = field(default_factory=list)
    latency_samples_ns: NDArray[np.int64] | None = None
    generation_samples_ns: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """Times of the core loop of a language model, by infer's repeat: a prefill, then its decode steps."""
    scenario: Scenario | None = None
    """The figures of the job's load scenario."""
    core_blocks: dict[int, tuple[float, ...] | None] = field(default_factory=dict)
    """Calls per second in each part of infer's core loop, by repeat; None for too few calls."""
    predictions: Predictions | None = None
    expected_onnx: str | None = None
    """The digest that the exported model must have, where the job repeats another one."""
    failure: Failure | None = None
    device_wait_s: float = 0.0
    """Seconds spent waiting for another run's device; not part of the job's time."""
    provenance: dict[str, Any] = field(default_factory=dict)

    def add(self, record: StageRecord, report: StageReport | None, failure: Failure | None) -> None:
        """Add how a stage ended; the first failure becomes the job's."""
        self.records.append(record)
        if report is not None:
            self.reports.append(report)
        self.failure = self.failure or failure

    def now_utc(self) -> str:
        """Return the time now, by the monotonic clock since the start: the wall clock may be set meanwhile."""
        return utc_after(self.started_utc, time.monotonic() - self.started_s)

    def missing_stages(self) -> Iterator[StageRecord]:
        """Yield a record for each stage that was never reached."""
        seen = {record.name for record in self.records}
        for stage in self.planned.stages:
            if stage not in seen:
                yield StageRecord(name=stage, status="not_run")


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """Records a job's stages in ``recording``, and their files in ``folder``, beside the result."""

    recording: Recording
    folder: Path

    def record(self, ended: StageEnd, failure: Failure | None) -> StageRecord:
        """Record a stage that ran; ``failure`` is its failure as shown to the user."""
        stage, repeat = ended.record.name, ended.record.repeat
        log = self.keep_log(ended.folder, stage, repeat)
        record = ended.record.model_copy(update={"log": log})
        self.recording.add(record, ended.report, failure)
        isolation = self.recording.provenance.setdefault("isolation", {})
        isolation[str(stage)] = isolation_of(ended.spec, ended.enforced)
        if ended.clock is not None:
            clock = self.recording.provenance.setdefault("clock", {})
            clock[f"{stage}-{repeat}"] = ended.clock
        if ended.report is not None:
            self._keep_measured(ended, ended.report)
        return record

    def record_cached(self, stage: StageName, folder: Path) -> StageRecord:
        """Record a stage whose artifacts and report came from the cache ``folder``."""
        record = StageRecord(name=stage, status="cached", cached=True)
        self.recording.add(record, read_stage_report(folder), None)
        return record

    def record_damage(self, folder: Path, damaged: Sequence[str]) -> None:
        """Record the damaged files of a cached folder that is made again."""
        made_again = self.recording.provenance.setdefault("made_again", {})
        made_again[f"{folder.parent.name}/{folder.name}"] = list(damaged)

    def keep_log(self, stage_folder: StageFolder, stage: StageName, repeat: int) -> str | None:
        """Copy a stage's log beside the result; return its name there, None when there is no log."""
        name = f"logs/{stage}-{repeat}.log"
        log = stage_folder.log
        return name if keep_log(log.parent, log.name, self.folder / name) else None

    def _keep_measured(self, ended: StageEnd, report: StageReport) -> None:
        stage, repeat = ended.record.name, ended.record.repeat
        out, loops = ended.folder.out, report.measurements
        kept = keep_samples(out, self.folder, f"{stage}-{repeat}", loops, ended.samples)
        self.recording.samples.extend(kept)
        if stage is StageName.INFER and self.recording.latency_samples_ns is None:
            self.recording.latency_samples_ns = ended.samples.get("latency")
        if stage is StageName.INFER:
            self._keep_core(report, ended.samples)
        if stage is StageName.INFER and repeat == 0:
            self.recording.predictions = read_predictions(out, "predictions.npz")
        if ended.scenario is not None:
            job = self.recording.planned.template
            self.recording.scenario = keep_scenario(ended.scenario, job, report, out, self.folder)
        keep_pictures(out, self.folder)
        (self.folder / "reports").mkdir(exist_ok=True)
        write_atomically(
            self.folder / f"reports/{stage}-{repeat}.json",
            report.model_dump_json(by_alias=True, indent=1),
        )
        self._add_provenance(stage, report)

    def _keep_core(self, report: StageReport, samples: Samples) -> None:
        core = measured(report, "core")
        if core is None or "core" not in samples:
            return
        times, generation = samples["core"], self.recording.planned.template.generation
        if generation is not None:
            if times.size % generation.tokens:
                return  # the contract is broken, which is the job's failure
            self.recording.generation_samples_ns[report.repeat] = times
            # A prefill is no slow decode step: whole sequences are compared.
            times = times.reshape(-1, generation.tokens).sum(axis=1)
        self.recording.core_blocks[report.repeat] = block_rates(times, core.in_flight)

    def _add_provenance(self, stage: StageName, report: StageReport) -> None:
        provenance = self.recording.provenance
        provenance.setdefault("effective", {})[str(stage)] = report.effective
        provenance.setdefault("versions", {})[str(stage)] = report.versions
        checked = {name: report.details[name] for name in CORE_DETAILS if name in report.details}
        if checked:
            provenance.setdefault("core_checks", {})[f"{stage}-{report.repeat}"] = checked
        if report.engine_process is not None:
            kept_apart = report.engine_process.model_dump()
            provenance.setdefault("engine_process", {})[f"{stage}-{report.repeat}"] = kept_apart
        core = measured(report, "core")
        if core is not None:
            provenance["core"] = {
                "clock": core.clock,
                "in_flight": core.in_flight,
                "includes": list(core.includes),
            }


def isolation_of(spec: ContainerSpec, enforced: Enforced | None) -> dict[str, object]:
    """Return what a stage had access to, for the result: everything, without a container."""
    held: dict[str, object] = {}
    if enforced is not None:
        held["limited_by"] = {"memory": enforced.memory, "processes": enforced.processes}
    if spec.stack.image is None:
        return {"container": False, "limits": {"memory_bytes": spec.limits.memory_bytes}} | held
    if enforced is not None:
        held |= {"engine": enforced.engine, "rootless": enforced.rootless}
    missing = () if enforced is None else enforced.missing
    if missing:
        held["not_enforced"] = list(missing)
    return held | {
        "container": True,
        "network": "none" if enforced is None or enforced.network else "host",
        "root_filesystem": "writable" if "read_only_root" in missing else "read-only",
        "mounts": {mount.target: "ro" if mount.read_only else "rw" for mount in spec.mounts},
        "limits": {
            "memory_bytes": spec.limits.memory_bytes,
            "processes": spec.limits.processes,
            "timeout_s": spec.limits.timeout_s,
        },
        "devices": list(spec.devices.nodes),
        "gpus": list(spec.devices.gpu_ids),
        "groups": list(spec.devices.groups),
        "host_mounts": {
            mount.target: "ro" if mount.read_only else "rw" for mount in spec.devices.host_mounts
        },
        "capabilities": list(spec.devices.capabilities),
        "user": spec.uid,
    }
