"""The ledger: one claim, one end, whoever asks and whatever its clock says."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault
from driver.fleet.claim import take
from driver.fleet.ledger import OK, RUNNING, TRY_AGAIN, Entry, Ledger, next_attempt, parsed
from driver.fleet.slurm import QueuedTask
from driver.models.base import FailureKind
from driver.models.sweep import Holder, Outcome, SweepTask
from tests.driver.session.test_run import Recorder

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ab" * 16
TASK = SweepTask(key=KEY, request={}, chip="One", name="tiny")


def holder(job: int = 7, task: int = 0, restart: int = 0, node: str = "n0") -> Holder:
    return Holder(sweep="0" * 8, index=0, job=job, task=task, restart=restart, node=node)


def queue_of(*tasks: tuple[int, int]) -> list[QueuedTask]:
    return [QueuedTask("0" * 8, 1, job, task, "RUNNING", "None", "n0") for job, task in tasks]


def test_of_many_that_claim_at_once_one_has_the_task(tmp_path: Path) -> None:
    barrier = threading.Barrier(16)

    def claim(number: int) -> Entry | None:
        barrier.wait()
        return Ledger(tmp_path).claim(KEY, holder(job=number, node=f"n{number}"), 1)

    with ThreadPoolExecutor(16) as pool:
        won = [entry for entry in pool.map(claim, range(1, 17)) if entry is not None]
    assert won == [Entry(KEY, 1, RUNNING)]
    assert [path.name for path in (tmp_path / KEY[:2]).iterdir()] == [won[0].file]


def test_of_two_that_end_an_attempt_one_does(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    entry = ledger.claim(KEY, holder(), 1)
    assert entry is not None
    ended = Ledger(tmp_path).end(entry, "host", Outcome(message="lost"))
    assert ended is not None
    assert ledger.end(entry, OK, Outcome(result="late")) is None
    assert ledger.latest([KEY])[KEY].state == "host"
    assert ledger.outcome(ended).message == "lost"
    assert ledger.holder(ended) == holder()


def test_an_attempt_that_has_ended_cannot_be_claimed_again(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    assert second.latest([KEY]) == {}
    entry = first.claim(KEY, holder(), 1)
    assert entry is not None
    first.end(entry, OK, Outcome())
    # The name of the claim is free again, and the second one has not seen the end.
    assert second.claim(KEY, holder(job=8), 1) is None
    assert sorted(path.name for path in (tmp_path / KEY[:2]).iterdir()) == [f"{KEY}.1.ok"]


def test_a_change_within_one_tick_of_the_disks_clock_is_seen(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    entry = ledger.claim(KEY, holder(), 1)
    assert entry is not None
    shard = tmp_path / KEY[:2]
    before = shard.stat().st_mtime_ns
    assert ledger.latest([KEY])[KEY].state == RUNNING
    Ledger(tmp_path).end(entry, OK, Outcome())
    os.utime(shard, ns=(before, before))
    assert ledger.latest([KEY])[KEY].state == OK


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_node_whose_clock_is_an_hour_off_changes_nothing(tmp_path: Path, hours: int) -> None:
    ledger = Ledger(tmp_path)
    entry = ledger.claim(KEY, holder(), 1)
    assert entry is not None
    ledger.end(entry, "host", Outcome())
    again = ledger.claim(KEY, holder(job=8), 2)
    assert again is not None
    ledger.end(again, OK, Outcome())
    shard = tmp_path / KEY[:2]
    for path in (*shard.iterdir(), shard):
        changed = path.stat().st_mtime_ns + hours * 3600 * 10**9
        os.utime(path, ns=(changed, changed))
    assert Ledger(tmp_path).latest([KEY])[KEY] == Entry(KEY, 2, OK)


def test_a_folder_that_takes_no_claim_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("")
    with pytest.raises(EnvironmentFault, match="ledger"):
        Ledger(tmp_path / "ledger").claim(KEY, holder(), 1)


def test_what_others_put_there_is_no_entry(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.claim(KEY, holder(), 1)
    for name in (".nfs0001", f".{KEY}.2.running.n0.7", "README", f"{KEY}.x.ok"):
        (tmp_path / KEY[:2] / name).write_text("")
    assert ledger.latest([KEY]) == {KEY: Entry(KEY, 1, RUNNING)}
    assert parsed("a.1.ok") == Entry("a", 1, "ok")


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_the_chip_had_no_part_in_is_run_again(kind: FailureKind) -> None:
    own = {"export", "compile", "infer", "contract", "accuracy"}
    assert (kind.value in TRY_AGAIN) == (kind.value not in own)


# --- who may run a task ------------------------------------------------------------------------


def ended(ledger: Ledger, state: str, before: Entry | None = None) -> Entry:
    entry = ledger.claim(KEY, holder(), next_attempt(before))
    assert entry is not None
    found = ledger.end(entry, state, Outcome())
    assert found is not None
    return found


def test_a_task_with_a_result_is_left_alone_and_a_lost_one_taken(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    lost = ended(ledger, "timeout")
    entry = take(ledger, TASK, holder(job=8), Recorder())
    assert entry == Entry(KEY, 2, RUNNING)
    assert lost.attempt == 1
    ledger.end(entry, "infer", Outcome())
    assert take(ledger, TASK, holder(job=9), Recorder()) is None


def test_a_task_that_slurm_started_again_gives_its_own_first_attempt_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.claim(KEY, holder(restart=0, node="n1"), 1)
    assert first is not None
    assert take(ledger, TASK, holder(restart=0), Recorder()) is None
    assert take(ledger, TASK, holder(restart=1), Recorder()) == Entry(KEY, 2, RUNNING)
    over = Entry(KEY, 1, "host")
    assert "n1" in ledger.outcome(over).message


@pytest.mark.parametrize(("there", "taken"), [([(7, 0)], False), ([(7, 1)], True), ([], True)])
def test_anothers_task_is_taken_only_once_slurm_no_longer_has_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: list[tuple[int, int]],
    taken: bool,
) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.claim(KEY, holder(job=7, task=0), 1) is not None
    monkeypatch.setattr("driver.fleet.slurm.queue", lambda sweeps: queue_of(*there))
    found = take(ledger, TASK, holder(job=8), Recorder())
    assert (found is not None) == taken
