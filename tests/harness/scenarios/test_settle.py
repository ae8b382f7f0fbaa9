"""What LoadGen's threads log before a test counts: a log that grows for the first time has a second writer."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.modules import errors, loadgen, logged_thread
from tests.harness.scenarios.test_scenario_run import ran

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness.conftest import MakeJob


def grown(folder: Path) -> dict[str, set[str]]:
    """Return folder of a test → the threads whose log has grown, as LoadGen warns of them."""
    found = {}
    for path in folder.rglob("mlperf_log_detail.txt"):
        warnings = re.findall(r"Logging allocation detected: tid: (\d+)", path.read_text("utf-8"))
        found[str(path.parent.relative_to(folder))] = set(warnings)
    return found


@pytest.mark.jobs
@pytest.mark.parametrize(
    ("name", "engine", "threads"), [("server", "static", 2), ("offline", "static", 1)]
)
def test_in_every_test_the_logs_have_grown_already_of_the_same_threads(
    make_job: MakeJob, name: str, engine: str, threads: int
) -> None:
    outcome = ran(make_job, name, engine=engine, batch_size=4)
    assert outcome.ok.scenario is not None
    found = grown(outcome.out / "loadgen")
    # The accuracy run has 24 samples, which alone let no log grow.
    assert {"accuracy", "performance/run_1"} <= set(found)
    assert len(found["accuracy"]) == threads
    assert all(one == found["accuracy"] for one in found.values()), found


@pytest.mark.jobs
def test_a_slow_engines_logs_have_no_such_warning(make_job: MakeJob) -> None:
    outcome = ran(
        make_job,
        "server",
        engine="enqueue",
        batch_size=1,
        engine_options={"item_ms": 20},
        target_qps=5.0,
    )
    assert outcome.ok.scenario is not None
    assert set().union(*grown(outcome.out / "loadgen").values()) == set()


class SlowLog:
    """A LoadGen that writes what a thread logged a while later, and minds a thread that does not wait for it."""

    def __init__(self, accuracy: Path) -> None:
        self._accuracy = accuracy
        self._unread = 0
        self.bursts: list[int] = []

    def QuerySamplesComplete(self, responses: Sequence[Any]) -> None:  # noqa: N802  # as LoadGen has it
        assert not self._unread, "it was still reading this thread's log"
        self._unread = len(responses)
        self.bursts.append(len(responses))
        threading.Timer(0.03, self._write).start()

    def _write(self) -> None:
        count, self._unread = self._unread, 0
        with self._accuracy.open("a", encoding="utf-8") as log:
            log.writelines(json.dumps({"qsl_idx": n}) + "\n" for n in range(count))


def test_a_thread_waits_until_its_log_was_read(tmp_path: Path) -> None:
    accuracy = tmp_path / "log"
    accuracy.write_text(json.dumps({"qsl_idx": 0}) + "\n", encoding="utf-8")
    log = SlowLog(accuracy)
    loadgen._respond(log, list(range(1 + loadgen.BURSTS * loadgen.BURST)), accuracy)
    assert log.bursts == [1, *[loadgen.BURST] * loadgen.BURSTS]
    assert not log._unread


def test_what_is_never_written_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loadgen, "WRITTEN_WITHIN_S", 0.05)

    class Full(SlowLog):
        def QuerySamplesComplete(self, responses: Sequence[Any]) -> None:  # noqa: N802
            self.bursts.append(len(responses))

    log = Full(tmp_path / "log")
    loadgen._respond(log, list(range(1 + loadgen.BURSTS * loadgen.BURST)), tmp_path / "log")
    assert len(log.bursts) == 1 + loadgen.BURSTS


def test_logs_that_cannot_be_written_are_the_hosts_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loadgen, "WRITTEN_WITHIN_S", 0.05)
    # As on a full disk.
    monkeypatch.setattr(loadgen, "_written", lambda accuracy: 0)
    thread = logged_thread.LoggedThread("loadgen")
    with pytest.raises(errors.StageFailure, match="LoadGen left no readable log in") as caught:
        loadgen.settle(loadgen.load(), [thread])
    assert caught.value.kind == "host"
    thread.end()


def test_a_thread_is_idle_again_after_what_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    thread = logged_thread.LoggedThread("raises")
    thread.start(lambda: 1 / 0)
    thread.join()
    thread._thread.join()
    assert [one.exc_type for one in raised] == [ZeroDivisionError]


def test_a_thread_runs_one_after_the_other_and_ends() -> None:
    thread = logged_thread.LoggedThread("one")
    seen: list[tuple[int, int]] = []
    for number in range(3):
        thread.start(lambda number=number: seen.append((number, threading.get_ident())))
        thread.join()
    thread.end()
    assert [number for number, _ in seen] == [0, 1, 2]
    assert len({ident for _, ident in seen}) == 1
    assert "one" not in {living.name for living in threading.enumerate()}
