"""Who may run a task: the first to claim it, or the one that follows an attempt that is certainly over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.fleet import slurm
from driver.fleet.ledger import RUNNING, next_attempt
from driver.models.base import FailureKind
from driver.models.sweep import Outcome

if TYPE_CHECKING:
    from driver.events import Listener
    from driver.fleet.ledger import Entry, Ledger
    from driver.models.sweep import Holder, SweepTask


def take(ledger: Ledger, task: SweepTask, holder: Holder, listener: Listener) -> Entry | None:
    """Claim a task for ``holder``; None if it has a result, or if somebody runs it.

    Raises EnvironmentFault if the results folder takes no claim.
    """
    before = ledger.latest([task.key]).get(task.key)
    if before is not None and before.final:
        listener.note(f"{task.name} has a result already")
        return None
    if before is not None and before.state == RUNNING:
        before = _given_up(ledger, before, holder)
        if before is None:
            listener.note(f"{task.name} is run by another task")
            return None
    entry = ledger.claim(task.key, holder, next_attempt(before))
    if entry is None:
        listener.note(f"{task.name} was claimed by another task")
    return entry


def _given_up(ledger: Ledger, before: Entry, holder: Holder) -> Entry | None:
    """End a running attempt that is certainly over; None if it may still run."""
    other = ledger.holder(before)
    if other is not None and (other.job, other.task) == (holder.job, holder.task):
        if holder.restart <= other.restart:
            return None
        message = f"Slurm queued the task again (job {other.name} on {other.node}): it was preempted, or its node failed"
    elif other is not None and _still_there(other):
        return None
    else:
        message = "the task that ran it is gone"
    return ledger.end(before, FailureKind.HOST.value, Outcome(message=message))


def _still_there(other: Holder) -> bool:
    """Whether Slurm still has the task that runs an attempt; so it is where Slurm does not answer."""
    try:
        queued = slurm.queue([other.sweep])
        return any((task.job, task.task) == (other.job, other.task) for task in queued)
    except slurm.SlurmUnreachable:
        return True
