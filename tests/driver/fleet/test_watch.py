"""Where a sweep stands: another sweep's tasks are left alone, and what Slurm lost is ended once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.fleet.slurm import Ended, QueuedTask
from driver.fleet.sweep_folder import SweepFolder, lines_of
from driver.fleet.watch import Watch
from driver.models.sweep import Holder, SweepArray, SweepPlan, SweepTask, TreeVersion
from tests.driver.miniature import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MINE, OTHER = "aaaaaaaa", "bbbbbbbb"
TASKS = [SweepTask(key=f"{n:032x}", request={}, chip="One", name=f"job {n}") for n in range(3)]


class Slurm:
    """A queue and what is known of ended tasks, for a test to set."""

    def __init__(self) -> None:
        self.tasks: list[QueuedTask] = []
        self.known: dict[int | None, Ended] = {}

    def queue(self, sweeps: Iterable[str]) -> list[QueuedTask]:
        asked = set(sweeps)
        return [task for task in self.tasks if task.sweep in asked]

    def ended(self, job: int) -> dict[int | None, Ended]:
        return self.known


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Slurm:
    found = Slurm()
    monkeypatch.setattr("driver.fleet.slurm.queue", found.queue)
    monkeypatch.setattr("driver.fleet.slurm.ended", found.ended)
    return found


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    text, width = lines_of(TASKS)
    plan = SweepPlan(
        id=MINE,
        assay="0",
        tree=TreeVersion(commit=None, code={}),
        arrays=(SweepArray(title="acme One", first=0, count=3),),
        tasks=3,
        line_bytes=width,
        tasks_sha256="0" * 64,
    )
    assert text.count("\n") == 3
    folder = SweepFolder(results=tmp_path / "results", id=MINE)
    catalog = load_catalog(make_tree(tmp_path / "tree"))
    return Watch(folder=folder, plan=plan, tasks=TASKS, catalog=catalog)


def claim(watch: Watch, index: int, sweep: str = MINE, job: int = 7) -> None:
    holder = Holder(sweep=sweep, index=index, job=job, task=index, node="n0")
    assert watch.ledger.claim(TASKS[index].key, holder, 1) is not None


def running(index: int, sweep: str = MINE, job: int = 7) -> QueuedTask:
    return QueuedTask(sweep, 0, job, index, "RUNNING", "None", "n0")


def test_what_slurm_is_ending_is_told_from_what_it_runs(watch: Watch, slurm: Slurm) -> None:
    """Submitted again at once, a cancelled task would count as running, and end interrupted after that."""
    for index in (0, 1):
        claim(watch, index)
    slurm.tasks = [running(0), running(1)._replace(state="COMPLETING")]
    assert watch.ending(watch.look()) == 1
    watch.folder.path.mkdir(parents=True, exist_ok=True)
    (watch.folder.path / "cancelled").touch()
    assert watch.ending(watch.look()) == 2
    slurm.tasks = []
    assert watch.ending(watch.look()) == 0


def test_all_tasks_that_another_sweep_runs_are_left_alone(watch: Watch, slurm: Slurm) -> None:
    """The first of them makes its sweep known, and the queue did not show it yet."""
    for index in (0, 1):
        claim(watch, index, OTHER)
    slurm.tasks = [running(index, OTHER) for index in (0, 1)]
    for _ in range(2):
        standing = watch.look()
        assert (sorted(standing.running), standing.stray) == ([0, 1], {})
        assert standing.to_submit == [2]


def test_a_lost_task_is_ended_once_and_submitted_again(watch: Watch, slurm: Slurm) -> None:
    claim(watch, 1)
    slurm.known = {1: Ended(state="NODE_FAIL", exit_code="0:0", node="n0")}
    standing = watch.look()
    assert list(standing.stray) == [1]
    assert watch.settle(standing) == 1
    assert watch.settle(standing) == 0
    after = watch.look()
    assert {index: entry.state for index, entry in after.ended.items()} == {1: "host"}
    assert after.to_submit == [0, 1, 2]
    assert "NODE_FAIL" in watch.ledger.outcome(after.ended[1]).message


def test_a_task_that_started_after_the_queue_was_read_is_not_ended(
    watch: Watch, slurm: Slurm
) -> None:
    claim(watch, 0)
    slurm.known = {0: Ended(state="RUNNING")}
    standing = watch.look()
    assert watch.settle(standing) == 0
    slurm.tasks = [running(0)]
    assert list(watch.look().running) == [0]


def test_a_task_that_ended_while_it_was_settled_keeps_its_result(
    watch: Watch, slurm: Slurm
) -> None:
    from driver.models.sweep import Outcome

    claim(watch, 0)
    standing = watch.look()
    entry = standing.stray[0]
    watch.folder.ledger.end(entry, "ok", Outcome(result="r"))
    assert watch.settle(standing) == 0
    assert watch.look().ended[0].state == "ok"
