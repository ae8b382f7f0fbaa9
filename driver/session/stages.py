"""Runs the stages of one job in order; each uses the artifacts of earlier stages and jobs."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from driver.datasets.prepared import damaged_files as damaged_of_dataset
from driver.models.base import VENDOR_STAGES, Failure, FailureKind, StageName, Tier
from driver.runners.spec import StageInputs
from driver.session.device import device_lock
from driver.session.inputs.artifact_cache import (
    CacheFolders,
    adopt,
    damaged_files,
    made_again,
    read_export,
    rotten_files,
    write_stage_report,
)
from driver.session.inputs.locate import export_bytes
from driver.session.judging.failure import (
    with_damage,
    with_disk,
    with_host_paths,
    with_interpreter,
    with_names,
)
from driver.session.stage import StageRun, held_to_device, run_stage
from driver.system.file_lock import locked
from driver.system.untrusted.record import write_record
from driver.system.workspace import remove_tree, require_free

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.session.prepare import Prepared
    from driver.session.recording import Recorder
    from driver.session.site import Site
    from driver.session.stage import StageEnd
    from driver.system.stopwatch import Stopwatch
    from driver.system.workspace import Workspace


class JobStages:
    """Runs and records the stages of one job. ``current`` is the running or last stage."""

    def __init__(
        self,
        site: Site,
        prepared: Prepared,
        recorder: Recorder,
        stopwatch: Stopwatch,
        workspace: Workspace,
    ) -> None:
        self.site = site
        self.prepared = prepared
        self.planned = prepared.planned
        self.recorder = recorder
        self.recording = recorder.recording
        self.stopwatch = stopwatch
        self.workspace = workspace
        self.current: StageName | None = None
        self.kept = CacheFolders.of(site.settings.cache, self.planned)
        self.outs: dict[StageName, Path] = {}

    def run(self) -> None:
        """Run stage after stage until one fails, with the device locked during the vendor's stages."""
        if not self._well(self.export):
            return
        with ExitStack() as stack:
            self.current = StageName.COMPILE
            self._take_device(stack)
            well = self._well(self.compile, self.validate, self.infer)
        if well:
            self.score()

    def _well(self, *steps: Callable[[], None]) -> bool:
        """Run steps until one fails; return whether all succeeded."""
        for step in steps:
            step()
            if self.recording.failure is not None:
                return False
        return True

    def _take_device(self, stack: ExitStack) -> None:
        """Lock the device until ``stack`` closes; the wait is not part of the job's time."""
        before_s = self.stopwatch.excluded_s
        try:
            with self.stopwatch.excluding():
                stand_in = self.prepared.stacks.vendor.stand_in
                lock = device_lock(self.site, self.planned.choice, stand_in=stand_in)
                stack.enter_context(lock)
        finally:
            self.recording.device_wait_s = self.stopwatch.excluded_s - before_s

    def export(self) -> None:
        """Export the model and compute golden outputs in the reference image, unless cached."""
        with (
            locked(self.kept.model.with_suffix(".lock"), self._waiting),
            locked(self.kept.golden.with_suffix(".lock"), self._waiting),
        ):
            has_model = self.kept.has_model and self._intact(self.kept.model)
            has_golden = self.kept.has_golden and self._intact(self.kept.golden)
            if has_model and has_golden:
                self._cached(StageName.EXPORT, self.kept.model)
                self._read_export()
                return
            needed = export_bytes(self.planned.choice)
            require_free(self.site.settings.cache, needed, what="the export")
            inputs = StageInputs(
                data=self.prepared.dataset.data,
                model=self.kept.model / "model" if has_model else None,
                golden=self.kept.golden / "golden" if has_golden else None,
                weights=self.prepared.weights.folder,
            )
            ended = self._run(StageName.EXPORT, inputs)
            if ended.failure is None:
                adopt(ended, "model", self.kept.model, self.kept.memory)
                adopt(ended, "golden", self.kept.golden, self.kept.memory)
                self._read_export()

    def compile(self) -> None:
        """Compile the model in the vendor's stack, unless this engine is cached."""
        with locked(self.kept.engine.with_suffix(".lock"), self._waiting):
            reusable = self.kept.has_engine and self.planned.engine_reusable
            if reusable and self._intact(self.kept.engine):
                self._cached(StageName.COMPILE, self.kept.engine)
                return
            shutil.rmtree(self.kept.engine, ignore_errors=True)
            (self.kept.engine / "cache").mkdir(parents=True)
            ended = self._run(StageName.COMPILE, self._vendor_inputs())
            if ended.failure is None and ended.report is not None:
                write_stage_report(self.kept.engine, ended.report)
                write_record(self.kept.engine, self.kept.memory)

    def _intact(self, folder: Path) -> bool:
        """Whether every file of a cached artifact is as recorded; if not, name it and remove the artifact."""
        thorough = self.planned.key.tier is Tier.OFFICIAL or self.planned.choice.measure.audit
        damaged = damaged_files(folder, self.kept.memory, thorough=thorough)
        if damaged:
            self.recorder.record_damage(folder, damaged)
            self.site.listener.note(made_again(folder, damaged))
            remove_tree(folder)
        return not damaged

    def _keep_engine(self) -> None:
        """Record what the engine changed in its cache (tactics, traces) in a stage that succeeded."""
        if self.recording.failure is None and self.kept.has_engine:
            write_record(self.kept.engine, self.kept.memory)

    def validate(self) -> None:
        """Run the framework itself on the vendor's device, where the stack has one."""
        if StageName.VALIDATE in self.planned.stages:
            self._run(StageName.VALIDATE, self._vendor_inputs())
            self._keep_engine()

    def infer(self) -> None:
        """Measure; each repeat runs in a fresh process."""
        self.recording.telemetry.check_sharing("before")
        for repeat in range(self.planned.template.measure.repeats):
            self._run(StageName.INFER, self._vendor_inputs(), repeat)
            if self.recording.failure is not None:
                return
        self._keep_engine()
        self.recording.telemetry.check_sharing("after")

    def score(self) -> None:
        """Score the predictions of validate and of the first infer in the reference image."""
        inputs = StageInputs(
            data=self.prepared.dataset.data,
            model=self.kept.model / "model",
            labels=self.prepared.dataset.labels,
            golden=self.kept.golden / "golden",
            infer=self.outs[StageName.INFER],
            validate=self.outs.get(StageName.VALIDATE),
            weights=self.prepared.weights.folder,
        )
        self._run(StageName.SCORE, inputs)

    def _vendor_inputs(self) -> StageInputs:
        return StageInputs(
            data=self.prepared.dataset.data,
            model=self.kept.model / "model",
            weights=self.prepared.weights.folder,
            cache=self.kept.engine / "cache",
        )

    def _run(self, stage: StageName, inputs: StageInputs, repeat: int = 0) -> StageEnd:
        self.current = stage
        repeats = self.planned.template.measure.repeats if stage is StageName.INFER else 1
        self.site.listener.stage_started(stage, repeat, repeats)
        folder = self.workspace.stage(stage, repeat)
        # Start the monitor first, so that its shutdown is not counted in the stage time.
        with self.recording.telemetry.watching(stage, repeat), self.stopwatch.timing(str(stage)):
            try:
                run = StageRun(
                    choice=self.planned.choice,
                    stacks=self.prepared.stacks,
                    job=self.planned.stage_file(stage, repeat),
                    folder=folder,
                    inputs=inputs,
                    count=self.prepared.dataset.count,
                )
                ended = run_stage(self.site, run)
            except KeyboardInterrupt:
                self.recorder.keep_log(folder, stage, repeat)
                raise
        if not (self.recording.stand_in or self.planned.choice.chip_part):
            ended = held_to_device(ended, self.recording.telemetry.total_bytes())
        failure = ended.failure and self._explained(
            with_host_paths(ended.failure, ended.spec), stage
        )
        record = self.recorder.record(ended, failure)
        if repeat == 0:
            self.outs[stage] = ended.folder.out
        self.site.listener.stage_ended(record)
        return ended

    def _cached(self, stage: StageName, folder: Path) -> None:
        self.current = stage
        self.site.listener.stage_ended(self.recorder.record_cached(stage, folder))

    def _read_export(self) -> None:
        try:
            exported = self.recording.provenance["export"] = read_export(self.kept.model)
        except ValueError as error:
            self.recording.failure = Failure(
                kind=FailureKind.EXPORT,
                stage=StageName.EXPORT,
                message=f"the exported model in {self.kept.model} has no readable export.json: {error}",
                remedy=f"remove {self.kept.model} and run again",
            )
            return
        expected = self.recording.expected_onnx
        if expected is not None and exported.get("onnx_sha256") != expected:
            self.recording.failure = _other_model(expected, exported.get("onnx_sha256"))

    def _explained(self, failure: Failure, stage: StageName) -> Failure:
        """Add to a guest's failure what only the driver knows."""
        by_vendor = stage in VENDOR_STAGES
        stack = self.planned.choice.stack if by_vendor else self.site.catalog.reference
        failure = with_disk(failure, self.workspace.folder)
        failure = with_names(failure, self.prepared.dataset.labels)
        failure = with_interpreter(failure, stack)
        if failure.kind in (FailureKind.HOST, FailureKind.INTERRUPTED) or stage is StageName.EXPORT:
            return failure
        return with_damage(failure, self._damaged_meanwhile())

    def _damaged_meanwhile(self) -> list[str]:
        """Return the inputs of a failed stage that are no longer as recorded, and forget what is cached."""
        memory, dataset = self.kept.memory, self.prepared.dataset.data.parent
        damaged = {
            folder: damaged_files(folder, memory, thorough=True)
            for folder in (self.kept.model, self.kept.golden)
        }
        damaged[dataset] = damaged_of_dataset(dataset, memory, thorough=True)
        if self.kept.has_engine:
            damaged[self.kept.engine] = rotten_files(self.kept.engine, memory)
        for folder, names in damaged.items():
            if names and folder.is_relative_to(self.site.settings.cache):
                remove_tree(folder)
        return [f"{folder / name}" for folder, names in damaged.items() for name in names]

    def _waiting(self) -> None:
        self.site.listener.note("waiting for another run that is making the same artifact")


def _other_model(expected: str, found: object) -> Failure:
    """Return the failure of a rerun whose exported model differs from the original's."""
    return Failure(
        kind=FailureKind.EXPORT,
        stage=StageName.EXPORT,
        message=f"the exported model has sha256 {found}, but the original's has {expected}: "
        "a rerun with it would be a different job",
        remedy="use the tree of the original's commit, or load its bundle, which contains the model; "
        "to compare two different jobs, use `make run` and `make compare`",
    )
