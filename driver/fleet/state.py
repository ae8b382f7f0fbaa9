"""Where every task of a sweep stands: from the ledger and Slurm's queue. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.fleet.ledger import RUNNING
from driver.fleet.slurm import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.fleet.ledger import Entry
    from driver.fleet.slurm import QueuedTask
    from driver.models.sweep import SweepPlan, SweepTask


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The tasks of a sweep by where they stand, each by its index.

    ``ended`` are those with a last attempt that has ended, and none waiting. ``stray`` are attempts that
    the ledger has as running and the queue no longer has. ``absent`` are tasks with neither.
    """

    ended: Mapping[int, Entry]
    running: Mapping[int, str]
    """By index, the node."""
    waiting: Mapping[int, str]
    """By index, Slurm's reason."""
    stray: Mapping[int, Entry]
    absent: tuple[int, ...]

    @property
    def open(self) -> int:
        """The number of tasks that may still end by themselves."""
        return len(self.running) + len(self.waiting)

    @property
    def to_submit(self) -> list[int]:
        """The tasks that a submission runs: those without an end, and those that a host ended."""
        again = [index for index, entry in self.ended.items() if not entry.final]
        return sorted([*again, *self.absent])

    def reasons(self) -> str:
        """Return what waiting tasks wait for, for people, the most frequent reason first."""
        counts = Counter(reason for reason in self.waiting.values() if reason != "None")
        return ", ".join(reason for reason, _ in counts.most_common(3))

    def nodes(self) -> list[str]:
        """Return the nodes that run tasks."""
        return sorted(set(filter(None, self.running.values())))


def stand(
    tasks: Sequence[SweepTask],
    entries: Mapping[str, Entry],
    queued: Mapping[int, QueuedTask],
    elsewhere: frozenset[int] = frozenset(),
) -> Standing:
    """Sort the tasks of a sweep.

    ``entries`` is the ledger by key, read after the queue: what that no longer has ended before.
    ``queued`` is the queue by index of the task, ``elsewhere`` the tasks that another sweep's task runs.
    """
    ended: dict[int, Entry] = {}
    stray: dict[int, Entry] = {}
    running: dict[int, str] = {}
    waiting: dict[int, str] = {}
    absent: list[int] = []
    for index, task in enumerate(tasks):
        entry, there = entries.get(task.key), queued.get(index)
        if entry is not None and entry.final:
            ended[index] = entry
        elif there is not None and there.state in ACTIVE:
            running[index] = there.node
        elif there is not None:
            waiting[index] = there.reason
        elif index in elsewhere:
            running[index] = ""
        elif entry is None:
            absent.append(index)
        elif entry.state == RUNNING:
            stray[index] = entry
        else:
            ended[index] = entry
    return Standing(
        ended=ended, running=running, waiting=waiting, stray=stray, absent=tuple(absent)
    )


def by_index(plan: SweepPlan, queued: Sequence[QueuedTask]) -> dict[int, QueuedTask]:
    """Return the queue by the index of each task in the sweep."""
    return {
        plan.arrays[task.array].first + task.task: task
        for task in queued
        if task.sweep == plan.id and task.task is not None and task.array < len(plan.arrays)
    }
