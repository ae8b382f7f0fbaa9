"""A run whose monitor fails goes on and says so; one whose monitor answers has its figures in the result."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.driver.miniature import VENDOR, write_executable
from tests.driver.monitors.test_sampler import alive, wait_until
from tests.driver.test_session import Lab

if TYPE_CHECKING:
    from driver.models.result import Result

RECORDED = Path(__file__).parent / "monitors" / "recorded"


def lab_with_monitor(root: Path, script: str, *, parser: str = "npu-smi") -> Lab:
    """Return a lab whose vendor's monitor is a shell script; without one, a command that is not there."""
    lab = Lab(root)
    command = root / "acme-smi"
    if script:
        write_executable(command, f"#!/bin/sh\n{script}\n")
    monitor = {"command": [str(command)], "interval_s": 0.05, "timeout_s": 0.3}
    lines = [f"{key} = {json.dumps(value)}" for key, value in monitor.items()]
    (lab.root / "vendor_hooks/acme/vendor.toml").write_text(
        "\n".join([VENDOR, "[monitor]", f'parser = "{parser}"', *lines])
    )
    return lab


def warned(result: Result) -> list[str]:
    return [found.message for found in result.warnings if found.code == "monitor_failed"]


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("", "missing", "is not there or not executable"),
        ("echo '<<< the driver is being updated >>>'", "format", "no table with Power(W)"),
        ("sleep 60", "hung", "did not answer in 0.3 s"),
        ("echo no device; exit 9", "exit", "exited with 9: 'no device'"),
    ],
)
def test_a_run_goes_on_without_its_monitor_and_the_result_says_so(
    tmp_path: Path, script: str, kind: str, said: str
) -> None:
    lab = lab_with_monitor(tmp_path, script)
    lab.behave(infer="takes-a-second")
    result = lab.run().result
    assert result.status == "ok"
    assert any(said in message for message in warned(result))
    assert result.monitor is not None
    assert {one["kind"] for one in result.monitor["infer-0"]["failures"]} == {kind}
    assert result.metrics.mem_gib is None
    assert result.metrics.energy_j is None


def test_a_monitor_that_hangs_costs_the_job_no_time_and_is_not_waited_for(tmp_path: Path) -> None:
    lab = lab_with_monitor(
        tmp_path, "echo $$ >> pids\nsleep 60".replace("pids", f"{tmp_path}/pids")
    )
    manifest = lab.root / "vendor_hooks/acme/vendor.toml"
    manifest.write_text(manifest.read_text().replace("timeout_s = 0.3", "timeout_s = 8.0"))
    began = time.monotonic()
    result = lab.run().result
    took = time.monotonic() - began
    assert result.status == "ok"
    assert "did not answer" in " ".join(warned(result))
    # The chip's name is asked for before the job; from the first stage on nobody waits 8 s any more.
    assert took < 2 * 8
    e2e_s = result.metrics.e2e_time_s
    assert e2e_s is not None
    assert e2e_s < took - 8
    assert sum(share.wall_s for share in result.time_shares) == pytest.approx(e2e_s, abs=0.05)
    assert result.provenance["monitor_wait_s"] > 0.5
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    wait_until(lambda: not any(map(alive, pids)))


def test_memory_and_the_energy_of_the_measured_window_are_in_the_result(tmp_path: Path) -> None:
    recorded = RECORDED / "npu-smi-22.0.2-310P3.txt"
    lab = lab_with_monitor(tmp_path, f"cat {recorded}")
    lab.behave(infer="takes-a-second")
    result = lab.run().result
    assert warned(result) == []
    device = result.monitor["infer-0"]["samples"][0]["devices"][0] if result.monitor else {}
    metrics = result.metrics
    assert metrics.mem_gib == pytest.approx(device["memory_used_bytes"] / 2**30)
    assert metrics.mem_total_gib == pytest.approx(device["memory_total_bytes"] / 2**30)
    # The loop took 0.6 s of the stage's second; its power was the same all the time.
    assert metrics.energy_j == pytest.approx(0.6 * device["power_w"], rel=1e-3)
