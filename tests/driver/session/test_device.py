"""Two runs at once on one device: the second waits from compile on, says for whom, or fails with WAIT=0."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.models.base import FailureKind, StageName
from driver.session.result import exit_code
from driver.system.device_lock import devices_locked, this_process
from tests.driver.session.test_run import Lab, Recorder, on_host

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection
    from pathlib import Path

pytestmark = pytest.mark.jobs

FORK = multiprocessing.get_context("fork")


class Teller(Recorder):
    """Tells another process what a session says, and waits there for a word when it is asked to."""

    def __init__(self, pipe: Connection, hold_in: StageName | None = None) -> None:
        super().__init__()
        self._pipe = pipe
        self._hold_in = hold_in

    def note(self, text: str) -> None:
        self._pipe.send(text)

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        self._pipe.send(f"stage {stage}")
        if stage is self._hold_in:
            self._pipe.recv()


def run(lab: Lab, pipe: Connection, hold_in: StageName | None) -> None:
    lab.listener = Teller(pipe, hold_in)
    result = lab.run().result
    pipe.send((result.status, result.provenance["device_wait_s"], result.metrics.e2e_time_s))


def started(lab: Lab, hold_in: StageName | None = None) -> Connection:
    mine, its = FORK.Pipe()
    FORK.Process(target=run, args=(lab, its, hold_in), daemon=True).start()
    its.close()
    return mine


def until(pipe: Connection, said: str) -> list[Any]:
    """Return what comes up to the first text that holds ``said``, with it."""
    heard: list[Any] = []
    while True:
        heard.append(pipe.recv())
        if said in str(heard[-1]):
            return heard


def busy(lab: Lab, device: str) -> AbstractContextManager[None]:
    """Return what holds a device as another run would."""
    return devices_locked(
        lab.settings.locks, [device], this_process("sam acme"), wait_s=0, on_wait=pytest.fail
    )


def test_the_second_of_two_runs_waits_for_the_first_to_end_infer(tmp_path: Path) -> None:
    first = started(Lab(tmp_path / "a"), hold_in=StageName.INFER)
    until(first, "stage infer")
    lab = Lab(tmp_path / "b")
    lab.settings = lab.settings.model_copy(update={"locks": tmp_path / "a" / "locks"})
    second = started(lab)
    heard = until(second, "in use")
    assert heard[0] == "stage export", "export needs no device"
    assert "stage compile" not in heard
    assert "(tiny acme turbo fp32 bs2 smoke)" in str(heard[-1])
    first.send("go on")
    (_, *_, ended) = until(first, "ok")
    assert ended[0] == "ok"
    (_, *_, waited) = until(second, "'ok'")
    status, wait_s, e2e_s = waited
    assert status == "ok"
    assert wait_s > 0
    assert e2e_s is not None


def test_a_busy_device_fails_a_run_with_wait_0_before_anything_is_done(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with (
        busy(lab, "acme-0"),
        pytest.raises(EnvironmentFault, match=r"device acme-0 is in use by pid \d+ of") as caught,
    ):
        lab.run(wait_s=0)
    assert caught.value.exit_code == 3
    assert lab.listener.started == []
    assert lab.run(wait_s=0).result.status == "ok"


def test_a_device_that_stays_in_use_is_the_hosts_failure(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with busy(lab, "acme-0"):
        result = lab.run(wait_s=1).result
    assert result.failure is not None
    assert (result.failure.kind, result.failure.stage) == (FailureKind.HOST, StageName.COMPILE)
    assert exit_code(result) == 3
    assert result.provenance["device_wait_s"] >= 1
    assert sum(share.wall_s for share in result.time_shares) == pytest.approx(
        result.metrics.e2e_time_s
    )


def test_another_device_is_not_waited_for(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with busy(lab, "acme-0"):
        assert lab.run(device="1", wait_s=0).result.status == "ok"


def test_the_hosts_processor_is_one_device_for_every_vendor(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    on_host(lab)
    with (
        busy(lab, "processor"),
        pytest.raises(EnvironmentFault, match="device processor is in use"),
    ):
        lab.run(wait_s=0)


def test_a_stand_in_has_its_device_in_itself(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.settings = lab.settings.model_copy(update={"stand_ins": True})
    with busy(lab, "acme-0"):
        assert lab.run(wait_s=0).result.status == "ok"


def test_an_interrupted_wait_is_an_interruption(tmp_path: Path) -> None:
    lab = Lab(tmp_path)

    class Impatient(Recorder):
        def note(self, text: str) -> None:
            if "in use" in text:
                raise KeyboardInterrupt

    lab.listener = Impatient()
    with busy(lab, "acme-0"):
        result = lab.run().result
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INTERRUPTED
