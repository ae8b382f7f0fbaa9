"""One task of a sweep on its node: claimed, run as `make run` would, and its end noted."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.errors import AssayError, EnvironmentFault, UsageFault, stages_chosen_by
from driver.fleet import slurm
from driver.fleet.claim import take
from driver.fleet.grant import grant_here, granted_devices, numbered_by_node
from driver.fleet.ledger import OK, TRY_AGAIN, Ledger
from driver.fleet.planning import MadeOf
from driver.models.base import Failure, FailureKind, RunnerName
from driver.models.sweep import Outcome
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.plan.sweep import gres_of
from driver.runners import RunnerSettings, open_runner
from driver.session.export import run_export
from driver.session.run import Repetition, run_job
from driver.session.site import open_site
from driver.session.telemetry import devices_here
from driver.system.host.machine import tree_commit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Catalog
    from driver.events import Listener
    from driver.fleet.grant import Grant
    from driver.fleet.ledger import Entry
    from driver.fleet.sweep_folder import SweepFolder
    from driver.models.job import JobKey
    from driver.models.sweep import SweepPlan, SweepTask
    from driver.plan.choice import Choice
    from driver.system.settings import Settings

TELL_S = 5.0
"""How long Slurm may take to say why it ends a task, which it kills KillWait (30 s) later."""


@dataclass(frozen=True, kw_only=True)
class NodeTask:
    """A claimed task, and everything on its node that running it needs."""

    folder: SweepFolder
    plan: SweepPlan
    task: SweepTask
    entry: Entry
    grant: Grant
    settings: Settings
    catalog: Catalog
    listener: Listener

    def run(self) -> tuple[str, Outcome]:
        """Run it; return the state and the outcome to note. Raises AssayError before there is a result."""
        self._require_same_tree()
        if self.task.does == "export":
            return self._export()
        self._require_export()
        runner = self._runner()
        choice = self._choice(runner)
        note = {"slurm": self.grant.provenance(self.plan.id, os.environ)}
        repetition = Repetition(check=self._note_job, note=note)
        with open_site(runner, self.settings, self.catalog, self.listener) as opened:
            site = dataclasses.replace(opened, interruption=self.interruption)
            finished = run_job(site, choice, repetition)
        failure = finished.result.failure
        where = finished.folder.relative_to(self.settings.results) / "result.json"
        state = OK if finished.result.status in ("ok", "accuracy_failed") else ""
        if failure is not None:
            state = failure.kind.value
        return state or FailureKind.HOST.value, _outcome(failure, where.as_posix())

    def _note_job(self, key: JobKey, _provenance: Mapping[str, Any]) -> None:
        """Note which job this is before it runs, for its result if the task is ended from outside."""
        self.folder.ledger.amend(self.entry, Outcome(job=key))

    def _export(self) -> tuple[str, Outcome]:
        runner = self._runner()
        # What is exported depends on no device, and the task was granted none.
        choice = dataclasses.replace(self._choice(runner, device=False), runner=RunnerName.SLURM)
        logs = self.folder.path / "exports" / f"{self.task.key}-{self.grant.job_id}"
        with open_site(runner, self.settings, self.catalog, self.listener) as site:
            failure = run_export(site, choice, logs, runner=runner)
        if failure is None:
            return OK, Outcome()
        return failure.kind.value, _outcome(failure)

    def _require_export(self) -> None:
        """Raise if the task that was to export this job's model has found that it cannot be exported."""
        if self.task.export is None:
            return
        export = self.folder.task(self.plan, self.task.export)
        ledger = self.folder.ledger
        entry = ledger.latest([export.key]).get(export.key)
        if entry is None or not entry.final or entry.state == OK:
            return
        raise _ExportFailed(
            f"the model was not exported: {ledger.outcome(entry).message or entry.state}",
            f"read {self.folder.path / 'exports'}; AGAIN=1 tries it again",
        )

    def _require_same_tree(self) -> None:
        """Raise EnvironmentFault if this node has other code than the one that the sweep was planned with."""
        made_of = MadeOf(self.settings, self.catalog)
        choice = choose(self._request(None), self.catalog)
        made_of.add(choice.case, choice.vendor, choice.stack)
        other = [
            name for name, digest in made_of.code.items() if digest != self.plan.tree.code.get(name)
        ]
        if not other:
            return
        here = tree_commit(self.settings.root) or "no commit"
        raise EnvironmentFault(
            f"node {self.grant.node} has another tree than the sweep was planned with: it has {here}, "
            f"the sweep {self.plan.tree.commit or 'no commit'}; {', '.join(other)} differ",
            f"update {self.settings.root} on that node, or plan a sweep with its tree; then the same "
            "command again",
        )

    def _runner(self) -> RunnerName:
        if self.plan.inside is not None:
            return self.plan.inside
        return runner_here(self.settings)

    def _request(self, runner: RunnerName | None) -> Request:
        request = Request.model_validate(self.task.request)
        return request.model_copy(update={"runner": runner})

    def _choice(self, runner: RunnerName, *, device: bool = True) -> Choice:
        request = self._request(runner)
        if not device:
            return choose(request, self.catalog)
        planned = choose(request, self.catalog)
        gres = gres_of(planned, self.settings.slurm)
        by_node = numbered_by_node(planned.vendor.manifest.devices, runner)
        granted = granted_devices(os.environ, self.grant.job_id, gres, by_node=by_node)
        if granted is not None:
            request = request.model_copy(update={"device": granted})
        return choose(request, self.catalog, devices_here(self.catalog.vendors, [request]))

    def interruption(self) -> Failure:
        """Return why this task is ended, as Slurm says while it waits for the end."""
        if (self.folder.path / "cancelled").is_file():
            return Failure(
                kind=FailureKind.INTERRUPTED,
                message="the sweep was cancelled; figures measured so far are kept",
                remedy="the same `make sweep` as then runs what is missing",
            )
        return ended_failure(self.grant, slurm.details(self.grant.job_id, TELL_S))


class _ExportFailed(AssayError):
    """The model of a job could not be exported, which another task has found."""

    kind = FailureKind.EXPORT


def ended_failure(grant: Grant, shown: str) -> Failure:
    """Return the failure of a task that Slurm ends, given what `scontrol` shows of it."""
    if "Reason=TimeLimit" in shown or "JobState=TIMEOUT" in shown:
        return Failure(
            kind=FailureKind.TIMEOUT,
            message=f"Slurm ended the task at its time limit (job {grant.job_id} on {grant.node})",
            remedy='raise time under [slurm] in assay.local.toml (time = "4:00:00"), then type the '
            "same command again",
        )
    return Failure(
        kind=FailureKind.HOST,
        message=f"Slurm ended the task before it was done: preempted, queued again or cancelled "
        f"(job {grant.job_id} on {grant.node})",
        remedy="type the same command again, which runs what is missing",
    )


def runner_here(settings: Settings) -> RunnerName:
    """Return what runs stages on this node: a container engine if one answers, else processes.

    Not Apptainer, which makes no images: INSIDE=apptainer asks for it where they have been put.
    """
    try:
        with open_runner(RunnerName.DOCKER, RunnerSettings(home=settings.home)) as runner:
            runner.availability()
    except AssayError:
        return RunnerName.PROCESS
    return RunnerName.DOCKER


def run_task(
    folder: SweepFolder, index: int, settings: Settings, catalog: Catalog, listener: Listener
) -> int:
    """Run one task of a sweep in a job of Slurm's; return 0 once its end is noted, whatever it is.

    Raises UsageFault outside a job of Slurm's, and EnvironmentFault if the results take no claim.
    """
    grant = grant_here(os.environ)
    if grant is None:
        raise UsageFault(
            "`task` runs a part of a sweep in a job of Slurm's, and this is none",
            "make sweep RUNNER=slurm submits such jobs; make run measures one job here",
        )
    plan = folder.plan()
    task = folder.task(plan, index)
    ledger = folder.ledger
    entry = take(ledger, task, grant.holder(plan.id, index), listener)
    if entry is None:
        return 0
    node = NodeTask(
        folder=folder,
        plan=plan,
        task=task,
        entry=entry,
        grant=grant,
        settings=settings.model_copy(update={"results": folder.results}),
        catalog=catalog,
        listener=listener,
    )
    listener.note(f"{task.name}, attempt {entry.attempt} on {grant.node}")
    with stages_chosen_by("INSIDE"):
        state, outcome = _ended(node)
    return _noted(ledger, entry, state, outcome, listener)


def _ended(node: NodeTask) -> tuple[str, Outcome]:
    """Run a task; what goes wrong before its job is planned leaves no result, as with `make sweep` here."""
    try:
        return node.run()
    except AssayError as error:
        failure = Failure(kind=error.kind, message=error.message, remedy=error.remedy)
        return failure.kind.value, _outcome(failure)
    except KeyboardInterrupt:
        failure = node.interruption()
        return failure.kind.value, _outcome(failure)


def _outcome(failure: Failure | None, result: str | None = None) -> Outcome:
    if failure is None:
        return Outcome(result=result)
    return Outcome(result=result, message=failure.message, remedy=failure.remedy)


def _noted(ledger: Ledger, entry: Entry, state: str, outcome: Outcome, listener: Listener) -> int:
    if ledger.end(entry, state, outcome) is None:
        listener.note(
            "this attempt was given up as lost meanwhile; its result stays, and counts too"
        )
    again = " (the next sweep runs it again)" if state in TRY_AGAIN else ""
    listener.note(f"ended: {state}{again}{f': {outcome.message}' if outcome.message else ''}")
    return 0
