"""A sweep on a real Slurm: every job once, whatever ends in the middle, and nothing blamed on the chip."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.cluster import Cluster
    from tests.fleet.planted_lab import FleetLab

pytestmark = pytest.mark.slurm

WAITS = """python:import os, time, pathlib
here = pathlib.Path('{gate}')
mark = here / f"{{job['job']['precision']}}-{{job['job']['batch_size']}}"
if not mark.exists():
    mark.write_text(os.environ.get('SLURMD_NODENAME', ''))
    while not (here / 'go').exists(): time.sleep(0.05)
"""
"""A hook that stops the first time it infers a job, until the test lets all go on."""


class Gate:
    """Where hooks wait the first time that they infer."""

    def __init__(self, lab: FleetLab, folder: Path) -> None:
        self.folder = folder / "gate"
        self.folder.mkdir()
        lab.behave(infer=WAITS.format(gate=self.folder))

    def wait_for(self, count: int) -> None:
        """Return when that many jobs wait."""
        wait_until(lambda: len(list(self.folder.glob("*-*"))) == count)

    def open(self) -> None:
        """Let every job go on."""
        (self.folder / "go").write_text("")


@pytest.fixture
def gate(lab: FleetLab, tmp_path: Path) -> Iterator[Gate]:
    """Return a gate that is open when the test is over."""
    made = Gate(lab, tmp_path)
    yield made
    made.open()


def states(lab: FleetLab) -> list[str]:
    """Return the names of the ledger without the tasks' keys, sorted."""
    names = (path.name for path in lab.results.glob("sweeps/ledger/*/*"))
    return sorted(name.partition(".")[2] for name in names)


def sweep_id(lab: FleetLab) -> str:
    (plan,) = lab.results.glob("sweeps/*/plan.json")
    return plan.parent.name


def test_every_job_runs_once_on_two_nodes_and_the_exports_first(lab: FleetLab) -> None:
    done = lab.sweep("--bs", "1,2,4", "--precision", "fp32,fp16")
    assert done.returncode == 0, done.stderr
    documents: list[Any] = lab.documents()
    assert [one["status"] for one in documents] == ["ok"] * 6
    jobs = Counter((one["job"]["precision"], one["job"]["batch_size"]) for one in documents)
    assert set(jobs.values()) == {1}
    assert {one["provenance"]["slurm"]["node"] for one in documents} == {"node0", "node1"}
    assert {one["job"]["runner"] for one in documents} == {"process"}
    exports = [stage for one in documents for stage in one["stages"] if stage["name"] == "export"]
    assert {stage["status"] for stage in exports} == {"cached"}
    assert states(lab) == ["1.ok"] * 7
    # The same sweep again finds everything and submits nothing.
    again = lab.sweep("--bs", "1,2,4", "--precision", "fp32,fp16")
    assert again.returncode == 0
    assert "6 have a result, 0 wait or run already" in again.stderr
    assert len(lab.documents()) == 6


def test_the_device_that_slurm_granted_is_passed_on(lab: FleetLab, cluster: Cluster) -> None:
    lab.settings('options = ["--nodelist=node0"]', cpus=1)
    # Somebody else has the node's first device.
    held = ("sbatch", "-w", "node0", "--gres=gpu:acme:1", "--mem=1", "-o", "/dev/null")
    assert cluster.call(*held, "--wrap", "sleep 600").returncode == 0
    done = lab.sweep()
    (document,) = lab.documents()
    found: Any = document
    assert done.returncode == 0, done.stderr
    assert found["provenance"]["settings"]["device"] == "1"


def test_a_node_that_dies_in_the_middle_loses_nothing(
    lab: FleetLab, cluster: Cluster, gate: Gate
) -> None:
    with lab.start("--precision", "fp32,fp16") as running:
        gate.wait_for(2)
        cluster.cut("node1")
        gate.open()
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, output
    # Slurm queued the dead node's task again, and the other node ran it.
    assert states(lab) == ["1.host", "1.ok", "1.ok", "2.ok"]
    assert [one["status"] for one in lab.documents()] == ["ok", "ok"]
    assert "node1" in one_message(lab, "1.host")


def test_a_task_that_is_killed_is_recorded_as_the_hosts_and_run_again(
    lab: FleetLab, cluster: Cluster, gate: Gate
) -> None:
    with lab.start("--precision", "fp32,fp16") as running:
        gate.wait_for(2)
        os.kill(driver_on(cluster, "node1"), signal.SIGKILL)
        gate.open()
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 3, output
    assert "runs exactly those" in output
    assert states(lab) == ["1.host", "1.ok", "1.ok"]
    found: list[Any] = lab.documents()
    (lost,) = [one for one in found if one["status"] == "failed"]
    assert lost["failure"]["kind"] == "host"
    assert "node1" in lost["failure"]["message"]
    assert "exit code 0:9" in lost["failure"]["message"]
    again = lab.sweep("--precision", "fp32,fp16")
    assert again.returncode == 0, again.stderr
    assert "acme One: 1 task" in again.stderr
    assert states(lab) == ["1.host", "1.ok", "1.ok", "2.ok"]


def driver_on(cluster: Cluster, node: str) -> int:
    """Return the driver that runs a task on a node."""
    (found,) = [
        pid
        for pid in cluster.processes(node)
        if b"driver\0task\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def one_message(lab: FleetLab, state: str) -> str:
    """Return what the ledger says of the one attempt that ended so."""
    (path,) = lab.results.glob(f"sweeps/ledger/*/*.{state}")
    return str(json.loads(path.read_text().splitlines()[-1])["message"])
