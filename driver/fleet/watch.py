"""Reads where a sweep stands: the queue, then the ledger; ends the attempts that are over without an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from driver.errors import AssayError
from driver.fleet import slurm
from driver.fleet.ledger import Ledger
from driver.fleet.lost import write_lost
from driver.fleet.state import by_index, stand
from driver.models.base import Failure, FailureKind
from driver.models.sweep import Outcome
from driver.plan.choice import choose
from driver.plan.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.catalog.catalog import Catalog
    from driver.fleet.ledger import Entry
    from driver.fleet.slurm import Ended, QueuedTask
    from driver.fleet.state import Standing
    from driver.fleet.sweep_folder import SweepFolder
    from driver.models.job import JobKey
    from driver.models.sweep import Holder, SweepPlan, SweepTask

REMEDIES = {
    FailureKind.TIMEOUT: 'raise time under [slurm] in assay.local.toml (time = "4:00:00"), then type '
    "the same command again",
    FailureKind.OUT_OF_MEMORY: 'raise memory under [slurm] in assay.local.toml (memory = "64G"), then '
    "type the same command again",
}
SAME_AGAIN = "the same `make sweep` as then runs what is missing"


@dataclass
class Watch:
    """Reads the state of one sweep again and again. ``unreachable`` says why Slurm did not answer last time."""

    folder: SweepFolder
    plan: SweepPlan
    tasks: Sequence[SweepTask]
    catalog: Catalog
    unreachable: str = ""
    queued: Sequence[QueuedTask] = ()
    _ledger: Ledger = field(init=False)
    _keys: list[str] = field(init=False)
    _sweeps: set[str] = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the first reading."""
        self._ledger = self.folder.ledger
        self._keys = [task.key for task in self.tasks]
        self._sweeps = {self.plan.id}

    @property
    def ledger(self) -> Ledger:
        """Return the ledger as last read."""
        return self._ledger

    def look(self) -> Standing:
        """Return where every task stands: one query of Slurm's, and the ledger.

        Where Slurm does not answer, what it said last counts.
        """
        try:
            self.queued = slurm.queue(self._sweeps)
            self.unreachable = ""
        except slurm.SlurmUnreachable as error:
            self.unreachable = str(error)
        entries = self._ledger.latest(self._keys)
        mine = by_index(self.plan, self.queued)
        standing = stand(self.tasks, entries, mine)
        elsewhere = self._elsewhere(standing.stray)
        return stand(self.tasks, entries, mine, elsewhere) if elsewhere else standing

    def ending(self, standing: Standing) -> int:
        """Return how many tasks still count as open although Slurm is ending them."""
        if self.cancelled:
            return standing.open
        mine = by_index(self.plan, self.queued)
        return sum(mine[i].state == slurm.COMPLETING for i in standing.running if i in mine)

    def settle(self, standing: Standing) -> int:
        """End the attempts that Slurm no longer runs, those of one array; return how many.

        One query. Each gets a result that attributes it to the host, a time limit or memory.
        """
        if self.unreachable:
            return 0
        holders = {index: self._ledger.holder(entry) for index, entry in standing.stray.items()}
        job = next((one.job for one in holders.values() if one is not None), None)
        known = {} if job is None else slurm.ended(job)
        done = 0
        for index, entry in standing.stray.items():
            holder = holders[index]
            if holder is None or holder.job == job:
                ended = slurm.Ended() if holder is None else known.get(holder.task, slurm.Ended())
                done += self._end(self.tasks[index], entry, holder, ended)
        return done

    def _elsewhere(self, stray: Mapping[int, Entry]) -> frozenset[int]:
        """Return the tasks that another sweep into the same results runs; its queue is asked for from now on."""
        found = set()
        # As asked for in this reading: of a sweep that is only added here, nothing is known yet.
        asked = frozenset(self._sweeps)
        there = {(task.job, task.task) for task in self.queued}
        for index, entry in stray.items():
            holder = self._ledger.holder(entry)
            if holder is None:
                continue
            if holder.sweep not in asked:
                self._sweeps.add(holder.sweep)
                found.add(index)
            elif (holder.job, holder.task) in there:
                found.add(index)
        return frozenset(found)

    def _end(self, task: SweepTask, entry: Entry, holder: Holder | None, ended: Ended) -> bool:
        if ended.alive:  # it was submitted after the queue was read
            return False
        failure = lost_failure(holder, ended, cancelled=self.cancelled)
        said = Outcome(message=failure.message, remedy=failure.remedy)
        over = self._ledger.end(entry, failure.kind.value, said)
        if over is None:
            return False
        job = self._ledger.outcome(over).job
        if job is not None and (path := self._write(task, job, holder, failure)) is not None:
            self._ledger.amend(over, Outcome(result=path))
        return True

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled the sweep."""
        return (self.folder.path / "cancelled").is_file()

    def _write(
        self, task: SweepTask, job: JobKey, holder: Holder | None, failure: Failure
    ) -> str | None:
        """Write the result of a job that its node had planned; None where this tree does not know it."""
        request = Request.model_validate(task.request).model_copy(update={"runner": job.runner})
        node = holder.node if holder else None
        where = {"sweep": self.plan.id, "job": holder.name if holder else None, "node": node}
        provenance = {"slurm": where, "host": {"name": node}}
        try:
            choice = choose(request, self.catalog)
            found = write_lost(self.folder.results, job, choice, failure, provenance)
        except AssayError:
            return None
        return found.relative_to(self.folder.results).as_posix()


def lost_failure(holder: Holder | None, ended: Ended, *, cancelled: bool = False) -> Failure:
    """Return the failure of a task that left no end, given what Slurm says of how it ended."""
    kind = FailureKind.INTERRUPTED if cancelled and ended.kind is FailureKind.HOST else ended.kind
    who = "a task" if holder is None else f"task {holder.name} on {holder.node}"
    said = f"Slurm says {ended.state}" if ended.state else "Slurm no longer knows it"
    if ended.exit_code and ended.exit_code != "0:0":
        said += f", exit code {ended.exit_code}"
    return Failure(
        kind=kind,
        message=f"{who} ended without leaving a result: {said}",
        remedy=REMEDIES.get(kind, SAME_AGAIN),
    )
