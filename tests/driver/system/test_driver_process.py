"""Owners of leftovers: only what certainly belongs to a dead driver is one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from driver.system.driver_process import DriverProcess


def test_this_process_is_alive() -> None:
    assert not DriverProcess.current().is_dead()


def test_an_ended_process_is_dead() -> None:
    code = "import json; from driver.system.driver_process import DriverProcess as D;"
    code += "print(json.dumps(D.current().to_dict()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    gone = DriverProcess.from_dict(json.loads(done.stdout))
    assert gone.is_dead()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()  # ends when the child does, which nobody has reaped yet
    child.stdout.close()
    here = DriverProcess.current()
    assert replace(here, pid=child.pid, start=here.start).is_dead()
    child.wait()


def test_a_reused_pid_is_not_taken_for_the_driver() -> None:
    here = DriverProcess.current()
    assert replace(here, start=here.start - 1).is_dead()


def test_after_a_reboot_everything_is_dead() -> None:
    assert replace(DriverProcess.current(), boot="another").is_dead()


def test_a_process_that_cannot_be_checked_counts_as_alive() -> None:
    gone = replace(DriverProcess.current(), pid=2**22 + 1)
    assert gone.is_dead()
    assert not replace(gone, host="elsewhere").is_dead()
    assert not replace(gone, namespace="elsewhere").is_dead()


def test_it_round_trips_as_text() -> None:
    here = DriverProcess.current()
    assert DriverProcess.from_dict(here.to_dict()) == here
