"""A sweep on a real Slurm: every job once, whatever ends in the middle, and nothing blamed on the chip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.cluster import LARGEST_ARRAY
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


def test_ctrl_c_detaches_and_another_shell_attaches(lab: FleetLab, gate: Gate) -> None:
    with lab.start("--precision", "fp32,fp16") as running:
        gate.wait_for(2)
        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, output
    assert f"sweep --attach {sweep_id(lab)}" in output
    gate.open()
    attached = lab.assay("sweep", "--attach", sweep_id(lab))
    assert attached.returncode == 0, attached.stderr
    assert "2 jobs: 2 run now" in attached.stderr
    assert "next: the same `make sweep` as then runs what is missing" in attached.stderr
    assert states(lab) == ["1.ok"] * 3


def test_a_submitter_that_was_killed_goes_on_where_it_was(lab: FleetLab, gate: Gate) -> None:
    with lab.start("--precision", "fp32,fp16") as running:
        gate.wait_for(2)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=PATIENCE_S)
    with lab.start("--precision", "fp32,fp16") as again:
        gate.open()
        output, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, output
    assert "task (" not in output, "nothing was submitted twice"
    assert states(lab) == ["1.ok"] * 3
    assert len(lab.documents()) == 2


def test_the_controller_may_restart_in_the_middle(
    lab: FleetLab, cluster: Cluster, gate: Gate
) -> None:
    with lab.start("--precision", "fp32,fp16") as running:
        gate.wait_for(2)
        cluster.kill("slurmctld")
        gate.open()
        assert running.stdout is not None
        said = ""
        while "Slurm does not answer" not in said:
            said = running.stdout.readline()
        cluster.start_controller()
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, output
    assert states(lab) == ["1.ok"] * 3


def test_two_sweeps_into_one_folder_share_the_jobs_that_they_have_in_common(
    lab: FleetLab, gate: Gate
) -> None:
    with lab.start("--precision", "fp32,fp16", "--bs", "1") as first:
        gate.wait_for(2)
        with lab.start("--precision", "fp32,fp16", "--bs", "1,2") as second:
            wait_until(lambda: len(list(lab.results.glob("sweeps/*/plan.json"))) == 2)
            gate.open()
            output, _ = second.communicate(timeout=PATIENCE_S)
        first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, second.returncode) == (0, 0), output
    assert "acme One: 2 tasks" in output
    assert "4 jobs: 4 run now" in output
    assert states(lab) == ["1.ok"] * 5
    assert len(lab.documents()) == 4


def test_a_task_that_slurm_queues_again_is_recorded_and_run_again(
    lab: FleetLab, cluster: Cluster, gate: Gate
) -> None:
    with lab.start("--precision", "fp32") as running:
        gate.wait_for(1)
        (job,) = cluster.call("squeue", "-h", "-t", "R", "-o", "%i").stdout.split()
        assert cluster.call("scontrol", "requeue", job).returncode == 0
        gate.open()
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, output
    found: list[Any] = lab.documents()
    ends = sorted((one["failure"] or {"kind": "ok"})["kind"] for one in found)
    assert ends in (["host", "ok"], ["ok"])
    assert states(lab) == ["1.host", "1.ok", "2.ok"]


def test_a_cancelled_sweep_ends_and_can_be_taken_up_again(lab: FleetLab, gate: Gate) -> None:
    words = ("--precision", "fp32,fp16", "--bs", "1,2")
    with lab.start(*words, "--detach") as running:
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, output
    gate.wait_for(2)
    cancelled = lab.assay("sweep", "--cancel", sweep_id(lab))
    assert cancelled.returncode == 0, cancelled.stderr
    wait_until(lambda: states(lab) == ["1.interrupted", "1.interrupted", "1.ok"])
    gate.open()
    again = lab.sweep(*words)
    assert again.returncode == 0, again.stderr
    assert "acme One: 4 tasks" in again.stderr
    assert len([one for one in lab.documents() if one["status"] == "ok"]) == 4


def test_more_tasks_than_an_array_may_have_are_split(lab: FleetLab, cluster: Cluster) -> None:
    sizes = ",".join(map(str, range(1, LARGEST_ARRAY + 4)))
    cluster.drain()
    done = lab.sweep("--bs", sizes, "--detach")
    assert done.returncode == 0, done.stderr
    assert f"acme One: {LARGEST_ARRAY} tasks" in done.stderr
    assert "acme One: 3 tasks" in done.stderr
    assert lab.assay("sweep", "--cancel", sweep_id(lab)).returncode == 0
    wait_until(lambda: not cluster.queue())
    assert lab.documents() == []


def test_a_node_with_another_tree_is_refused(lab: FleetLab, cluster: Cluster) -> None:
    lab.commit("as planned")
    planned = lab.head()
    cluster.drain()
    assert lab.sweep("--detach").returncode == 0
    lab.behave(infer="disagrees")
    lab.commit("another hook")
    cluster.resume()
    done = lab.assay("sweep", "--attach", sweep_id(lab))
    assert done.returncode == 3, done.stderr
    assert lab.documents() == []
    assert states(lab) == ["1.host", "1.host"]
    messages = [line for line in done.stderr.splitlines() if "has another tree" in line]
    assert len(messages) == 2, done.stderr
    assert all(planned in line and lab.head() in line for line in messages)
    assert all("hook/acme" in line for line in messages)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('partition = "nope"', "invalid partition"),
        ('gres = { acme = "tpu:1" }', "generic resource"),
        ('account = "none"\nqos = "nope"', ""),
    ],
)
def test_what_slurm_refuses_is_a_mistake_in_the_settings(
    lab: FleetLab, line: str, said: str
) -> None:
    lab.settings(line)
    done = lab.sweep("--detach")
    if said:
        assert done.returncode == 2
        assert said in done.stderr
        assert "assay.local.toml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small(lab: FleetLab) -> Iterator[Path]:
    """Make the results a disk of 300 KiB."""
    lab.results.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(lab.results)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield lab.results
    subprocess.run(["umount", "-l", str(lab.results)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room of a disk; return the file that has it."""
    path = folder / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as stream:
        while stream.write(b"x" * 4096):
            pass
    return path


def test_a_full_results_folder_is_named_and_nothing_is_lost(
    lab: FleetLab, cluster: Cluster, small: Path
) -> None:
    filler = fill(small)
    done = lab.sweep()
    assert done.returncode == 3, done.stderr
    assert "No space left on device" in done.stderr
    assert not cluster.queue()
    filler.unlink()
    cluster.drain()
    assert lab.sweep("--detach").returncode == 0
    fill(small)
    cluster.resume()
    wait_until(lambda: not cluster.queue())
    attached = lab.assay("sweep", "--attach", sweep_id(lab))
    assert attached.returncode == 3, attached.stderr
    assert "left nothing, not even a claim" in attached.stderr
    filler.unlink()
    again = lab.sweep()
    assert again.returncode == 0, again.stderr
    assert [one["status"] for one in lab.documents()] == ["ok"]
