"""A failing monitor leaves a warning, not a failure; a working one has its figures in the result."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.driver.miniature import VENDOR, write_executable
from tests.driver.session.test_run import Lab
from tests.waiting import PATIENCE_S, wait_gone

if TYPE_CHECKING:
    from driver.models.result import Result

pytestmark = pytest.mark.jobs

RECORDED = Path(__file__).parents[1] / "monitors" / "recorded"


def lab_with_monitor(
    root: Path,
    script: str,
    *,
    parser: str = "npu-smi",
    timeout_s: float = PATIENCE_S,
    interval_s: float = 0.05,
) -> Lab:
    """Return a lab whose vendor's monitor is a shell script, or a missing command."""
    lab = Lab(root)
    command = root / "acme-smi"
    if script:
        write_executable(command, f"#!/bin/sh\n{script}\n")
    monitor = {"command": [str(command)], "interval_s": interval_s, "timeout_s": timeout_s}
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
        ("", "missing", "is missing or not executable"),
        ("echo '<<< the driver is being updated >>>'", "format", "no table with Power(W)"),
        ("sleep 600", "hung", "did not answer in 0.3 s"),
        ("echo no device; exit 9", "exit", "exited with 9: 'no device'"),
    ],
)
def test_a_failed_monitor_ends_in_a_warning_not_a_failure(
    tmp_path: Path, script: str, kind: str, said: str
) -> None:
    limit_s = 0.3 if kind == "hung" else PATIENCE_S
    lab = lab_with_monitor(tmp_path, script, timeout_s=limit_s)
    lab.behave(infer="takes-a-second")
    result = lab.run().result
    assert result.status == "ok"
    assert any(said in message for message in warned(result))
    assert result.monitor is not None
    assert {one["kind"] for one in result.monitor["infer-0"]["failures"]} == {kind}
    assert result.metrics.mem_gib is None
    assert result.metrics.energy_j is None


def test_a_hung_monitor_costs_the_job_no_time(tmp_path: Path) -> None:
    limit_s = 4.0
    script = f"echo $$ >> {tmp_path}/pids\nsleep 600"
    lab = lab_with_monitor(tmp_path, script, timeout_s=limit_s)
    began = time.monotonic()
    result = lab.run().result
    took = time.monotonic() - began
    assert result.status == "ok"
    e2e_s = result.metrics.e2e_time_s
    assert e2e_s is not None
    # Only the read of the chip's name, before the job, waits for it.
    assert e2e_s < took - limit_s
    assert sum(share.wall_s for share in result.time_shares) == pytest.approx(e2e_s)
    assert result.provenance["monitor_wait_s"] > 0.5
    # Stages do not wait: it is killed when the stage ends.
    assert "did not answer before the stage ended" in " ".join(warned(result))
    wait_gone(*map(int, (tmp_path / "pids").read_text().split()))


def test_memory_and_the_energy_of_the_measured_window_are_in_the_result(tmp_path: Path) -> None:
    recorded = RECORDED / "npu-smi-22.0.2-310P3.txt"
    # One sample at the stage's start and one at its end, so that no gap is too long for the energy.
    lab = lab_with_monitor(tmp_path, f"cat {recorded}", interval_s=PATIENCE_S)
    lab.behave(infer="takes-a-second")
    result = lab.run().result
    assert warned(result) == []
    device = result.monitor["infer-0"]["samples"][0]["devices"][0] if result.monitor else {}
    metrics = result.metrics
    assert metrics.mem_gib == pytest.approx(device["memory_used_bytes"] / 2**30)
    assert metrics.mem_total_gib == pytest.approx(device["memory_total_bytes"] / 2**30)
    # The loop took 0.6 s of the stage's second, at constant power.
    assert metrics.energy_j == pytest.approx(0.6 * device["power_w"], rel=1e-3)
    # The items of the same loop, so that energy per item mixes no two processes.
    assert metrics.p_infer_core is not None
    assert metrics.energy_items == pytest.approx(0.6 * metrics.p_infer_core, rel=1e-3)
