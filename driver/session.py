"""A session: one job from its first stage to its result, each stage booked as it ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver import __version__
from driver.booking import Books, make_result
from driver.containers import VENDOR_STAGES
from driver.errors import AssayError
from driver.failure_details import with_engine, with_interpreter, with_names
from driver.figures import measured
from driver.host import describe_host, tree_commit
from driver.locking import locked
from driver.models.base import Failure, FailureKind, StageName
from driver.models.result import StageRecord
from driver.preparation import prepare
from driver.results import (
    keep_pictures,
    keep_samples,
    read_samples,
    result_folder,
    write_atomically,
    write_result,
)
from driver.stage_cache import (
    CacheFolders,
    adopt,
    read_stage_report,
    write_stage_report,
)
from driver.stage_run import StageInputs, StageRun, run_stage
from driver.stopwatch import Stopwatch
from driver.telemetry import Telemetry
from driver.workspace import Workspace, reap_leftovers, require_free

if TYPE_CHECKING:
    from pathlib import Path

    from driver.containers import ContainerSpec
    from driver.models.result import Result
    from driver.plan import Choice
    from driver.preparation import Prepared
    from driver.site import Site
    from driver.stage_run import StageEnd
    from driver.workspace import StageFolder

CHIPS_MEASURED = 1
"""Every engine runs on one chip, the first that DEVICE names, whatever else its card carries."""
BYTES_PER_PARAMETER = 4
EXPORT_COPIES = 3
"""An export holds the graph twice (raw and simplified) and the framework's weights once."""


@dataclass(frozen=True, kw_only=True)
class Booked:
    """A result and the folder it lies in."""

    result: Result
    folder: Path


def run_job(site: Site, choice: Choice) -> Booked:
    """Run one job and book it, whatever happens in it.

    Raises AssayError only before there is anything to book: a missing dataset, an image that cannot
    be built. An interruption is booked like any failure: what was measured is kept.
    """
    stopwatch = Stopwatch()
    reap_leftovers(site.settings.home)
    prepared = prepare(site, choice, stopwatch)
    folder = result_folder(site.settings.results, prepared.planned.key)
    stand_in = prepared.stacks.vendor.stand_in
    telemetry = Telemetry(
        choice.vendor.manifest.monitor, choice.request.device, stopwatch.excluding
    )
    books = Books(planned=prepared.planned, telemetry=telemetry, stand_in=stand_in)
    books.provenance = _provenance(site, prepared)
    with Workspace(site.settings.home, prepared.planned.key.id) as workspace:
        job = _Job(site, prepared, books, stopwatch, workspace, folder)
        try:
            job.run()
        except AssayError as error:
            books.failure = Failure(
                kind=error.kind, stage=job.stage, message=error.message, remedy=error.remedy
            )
        except KeyboardInterrupt:
            books.failure = Failure(
                kind=FailureKind.INTERRUPTED,
                stage=job.stage,
                message=f"interrupted in {job.stage or 'preparation'}; what was measured is kept",
                remedy="the same command again takes what is cached",
            )
        result = make_result(books, stopwatch)
        write_result(folder, result)
    return Booked(result=result, folder=folder)


class _Job:
    """The stages of one job in their order, sharing the folders that each leaves for the next."""

    def __init__(
        self,
        site: Site,
        prepared: Prepared,
        books: Books,
        stopwatch: Stopwatch,
        workspace: Workspace,
        result: Path,
    ) -> None:
        self.site = site
        self.prepared = prepared
        self.planned = prepared.planned
        self.books = books
        self.stopwatch = stopwatch
        self.workspace = workspace
        self.result = result
        self.stage: StageName | None = None
        self.kept = CacheFolders.of(site.settings.cache, self.planned)
        self.outs: dict[StageName, Path] = {}

    def run(self) -> None:
        """Run stage after stage until one fails."""
        for step in (self.export, self.compile, self.validate, self.infer, self.score):
            step()
            if self.books.failure is not None:
                return

    def export(self) -> None:
        """Have the reference image export the model and compute golden outputs, unless cached."""
        with (
            locked(self.kept.model.with_suffix(".lock"), self._waiting),
            locked(self.kept.golden.with_suffix(".lock"), self._waiting),
        ):
            has_model, has_golden = self.kept.has_model, self.kept.has_golden
            if has_model and has_golden:
                self._cached(StageName.EXPORT, self.kept.model)
                self._book_export()
                return
            parameters = self.planned.choice.case.manifest.model.parameters
            needed = parameters * BYTES_PER_PARAMETER * EXPORT_COPIES
            require_free(self.site.settings.cache, needed, what="the export")
            inputs = StageInputs(
                data=self.prepared.dataset.data,
                model=self.kept.model / "model" if has_model else None,
                golden=self.kept.golden / "golden" if has_golden else None,
                weights=self.prepared.weights.folder,
            )
            ended = self._run(StageName.EXPORT, inputs)
            if ended.failure is None:
                adopt(ended, "model", self.kept.model)
                adopt(ended, "golden", self.kept.golden)
                self._book_export()

    def compile(self) -> None:
        """Have the vendor compile the model, unless this very engine is there already."""
        with locked(self.kept.engine.with_suffix(".lock"), self._waiting):
            if self.kept.has_engine:
                self._cached(StageName.COMPILE, self.kept.engine)
                return
            shutil.rmtree(self.kept.engine, ignore_errors=True)
            (self.kept.engine / "cache").mkdir(parents=True)
            ended = self._run(StageName.COMPILE, self._vendor_inputs())
            if ended.failure is None and ended.report is not None:
                write_stage_report(self.kept.engine, ended.report)

    def validate(self) -> None:
        """Have the framework itself run on the vendor's device, where the stack has one."""
        if StageName.VALIDATE in self.planned.stages:
            self._run(StageName.VALIDATE, self._vendor_inputs())

    def infer(self) -> None:
        """Measure, each repeat in a fresh process."""
        self.books.telemetry.look_for_others("before")
        for repeat in range(self.planned.template.measure.repeats):
            self._run(StageName.INFER, self._vendor_inputs(), repeat)
            if self.books.failure is not None:
                return
        self.books.telemetry.look_for_others("after")

    def score(self) -> None:
        """Have the reference image score the predictions of the first infer and of validate."""
        inputs = StageInputs(
            data=self.prepared.dataset.data,
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
        self.stage = stage
        repeats = self.planned.template.measure.repeats if stage is StageName.INFER else 1
        self.site.listener.stage_started(stage, repeat, repeats)
        folder = self.workspace.stage(stage, repeat)
        # The monitor outside: what it is waited for at the end is no part of the stage.
        with self.books.telemetry.watching(stage, repeat), self.stopwatch.timing(str(stage)):
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
                self._keep_log(folder, stage, repeat)
                raise
        self._book(ended, stage, repeat)
        return ended

    def _book(self, ended: StageEnd, stage: StageName, repeat: int) -> None:
        log = self._keep_log(ended.folder, stage, repeat)
        record = ended.record.model_copy(update={"log": log})
        failure = ended.failure and self._explained(ended.failure, stage)
        self.books.book(record, ended.report, failure)
        self.books.provenance.setdefault("isolation", {})[str(stage)] = _isolation(ended.spec)
        if ended.report is not None:
            self._keep_measured(ended, stage, repeat)
        if repeat == 0:
            self.outs[stage] = ended.folder.out
        self.site.listener.stage_ended(record)

    def _keep_measured(self, ended: StageEnd, stage: StageName, repeat: int) -> None:
        report = ended.report
        if report is None:
            return
        names = [loop.samples for loop in report.measurements if loop.samples]
        kept = keep_samples(ended.folder.out, self.result, f"{stage}-{repeat}", names)
        self.books.samples.extend(kept)
        if stage is StageName.INFER and self.books.latency_samples_ns is None:
            found = next((file for file in kept if file.name.endswith("-latency")), None)
            if found is not None:
                self.books.latency_samples_ns = read_samples(self.result / found.file)
        keep_pictures(ended.folder.out, self.result)
        name = f"reports/{stage}-{repeat}.json"
        (self.result / "reports").mkdir(exist_ok=True)
        write_atomically(self.result / name, report.model_dump_json(by_alias=True, indent=1))
        effective = self.books.provenance.setdefault("effective", {})
        effective[str(stage)] = report.effective
        versions = self.books.provenance.setdefault("versions", {})
        versions[str(stage)] = report.versions
        core = measured(report, "core")
        if core is not None:
            self.books.provenance["core"] = {
                "clock": core.clock,
                "in_flight": core.in_flight,
                "includes": list(core.includes),
            }

    def _keep_log(self, folder: StageFolder, stage: StageName, repeat: int) -> str | None:
        if not folder.log.is_file():
            return None
        name = f"logs/{stage}-{repeat}.log"
        (self.result / "logs").mkdir(exist_ok=True)
        shutil.copyfile(folder.log, self.result / name)
        return name

    def _cached(self, stage: StageName, folder: Path) -> None:
        self.stage = stage
        report = read_stage_report(folder)
        record = StageRecord(name=stage, status="cached", cached=True)
        self.books.book(record, report, None)
        self.site.listener.stage_ended(record)

    def _book_export(self) -> None:
        try:
            text = (self.kept.model / "model" / "export.json").read_text(encoding="utf-8")
            self.books.provenance["export"] = json.loads(text)
        except (OSError, ValueError) as error:
            self.books.failure = Failure(
                kind=FailureKind.EXPORT,
                stage=StageName.EXPORT,
                message=f"the exported model in {self.kept.model} has no readable export.json: {error}",
                remedy=f"remove {self.kept.model} and run again",
            )

    def _explained(self, failure: Failure, stage: StageName) -> Failure:
        """Add to a guest's failure what only the driver knows."""
        by_vendor = stage in VENDOR_STAGES
        stack = self.planned.choice.stack if by_vendor else self.site.catalog.reference
        failure = with_names(failure, self.prepared.dataset.labels)
        failure = with_interpreter(failure, stack)
        compiled = any(one.name is StageName.COMPILE and one.cached for one in self.books.records)
        if compiled and stage in (StageName.VALIDATE, StageName.INFER):
            failure = with_engine(failure, self.kept.engine)
        return failure

    def _waiting(self) -> None:
        self.site.listener.note("another run is making the same thing; waiting for it")


def _provenance(site: Site, prepared: Prepared) -> dict[str, Any]:
    choice = prepared.planned.choice
    return {
        "assay": __version__,
        "commit": tree_commit(site.settings.root),
        "host": describe_host(),
        "preprocess": dict(choice.preprocess),
        "input": choice.request.input_kind,
        "arithmetic": choice.precision.arithmetic,
        "chips": CHIPS_MEASURED,
        "chips_per_card": choice.chip.chips_per_card,
        "chip": choice.chip.model_dump(include={"title", "peaks", "peaks_source"}),
        "measure": prepared.planned.template.measure.model_dump(),
        **prepared.provenance,
    }


def _isolation(spec: ContainerSpec) -> dict[str, object]:
    """Return what a stage could reach: shown in every result. Without a container, everything."""
    if spec.stack.image is None:
        return {"container": False, "limits": {"memory_bytes": spec.limits.memory_bytes}}
    return {
        "container": True,
        "network": "none",
        "root_filesystem": "read-only",
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
