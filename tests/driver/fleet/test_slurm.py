"""What Slurm's commands are asked and how their answers are read; recorded from Slurm 22.05."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault, UsageFault, stages_chosen_by, stages_in
from driver.fleet import slurm
from driver.fleet.grant import grant_here, granted_devices, numbered_by_node
from driver.fleet.slurm import Array, Ended, QueuedTask, ranges
from driver.fleet.task import ended_failure
from driver.fleet.watch import lost_failure
from driver.models.base import FailureKind, RunnerName
from driver.models.device_access import DeviceSpec
from driver.models.sweep import Holder
from driver.runners.apptainer.program import find_program

if TYPE_CHECKING:
    from pathlib import Path

SWEEP = "0a1b2c3d"
ENVIRON = {
    "SLURM_JOB_ID": "31",
    "SLURM_ARRAY_JOB_ID": "29",
    "SLURM_ARRAY_TASK_ID": "4",
    "SLURM_RESTART_COUNT": "1",
    "SLURMD_NODENAME": "gpu07",
}
GRANT = grant_here(ENVIRON)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder alone on PATH; a test writes Slurm's commands into it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def write(folder: Path, name: str, out: str = "", err: str = "", code: int = 0) -> Path:
    """Write a command that records its words, prints and exits."""
    (folder / f"{name}.out").write_text(out)
    (folder / f"{name}.err").write_text(err)
    (folder / name).write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/{name}.argv\nenv > {folder}/{name}.env\n'
        f"cat {folder}/{name}.out; cat {folder}/{name}.err >&2; exit {code}\n"
    )
    (folder / name).chmod(0o755)
    return folder / f"{name}.argv"


@pytest.mark.parametrize(
    ("indices", "text"),
    [([0], "0"), ([0, 1, 2], "0-2"), ([9, 1, 3, 2, 7], "1-3,7,9"), (list(range(1001)), "0-1000")],
)
def test_indices_are_written_as_slurm_takes_them(indices: list[int], text: str) -> None:
    assert ranges(indices) == text
    assert set(slurm._indices(text)) == set(indices)


def test_an_array_is_found_again_by_its_name_and_gets_no_other_variables(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    argv = write(commands, "sbatch", "4711;cluster\n")
    array = Array(
        sweep=SWEEP,
        number=2,
        command="exec assay task",
        indices=[0, 1, 5],
        ask=("--gres=npu:1",),
        output="/r/%A_%a.log",
        at_once=8,
        after=(4709, 4710),
    )
    assert slurm.submit(array, {"PATH": f"{commands}:/usr/bin:/bin", "OUT": "/r"}) == 4711
    asked = argv.read_text().splitlines()
    assert {"--job-name=assay-0a1b2c3d", "--comment=2", "--array=0-1,5%8"} <= set(asked)
    assert {"--gres=npu:1", "--dependency=afterany:4709:4710", "--requeue"} <= set(asked)
    env = (commands / "sbatch.env").read_text()
    assert "OUT=/r" in env
    assert "HF_TOKEN" not in env


def test_a_queue_of_compressed_and_single_tasks_is_read(commands: Path) -> None:
    lines = (
        f"assay-{SWEEP}|1|29|2-3,7%3|PENDING|Resources|\n"
        f"assay-{SWEEP}|1|29|0|RUNNING|None|gpu07\n"
        f"assay-{SWEEP}|(null)|33|N/A|RUNNING|None|gpu08\n"
    )
    argv = write(commands, "squeue", lines)
    assert slurm.queue([SWEEP]) == [
        *(QueuedTask(SWEEP, 1, 29, task, "PENDING", "Resources", "") for task in (2, 3, 7)),
        QueuedTask(SWEEP, 1, 29, 0, "RUNNING", "None", "gpu07"),
    ]
    assert f"--name=assay-{SWEEP}" in argv.read_text()
    # A list of indices that is cut short would lose tasks.
    assert "SLURM_BITSTR_LEN=0" in (commands / "squeue.env").read_text()


def test_the_controller_and_accounting_are_asked(commands: Path) -> None:
    rows = "29_0|COMPLETED|0:0|gpu07\n29_1|CANCELLED by 1000|0:15|gpu07\n29_2|NODE_FAIL|1:0|gpu08\n"
    write(commands, "sacct", rows)
    found = slurm.ended(29)
    assert found[1] == Ended(state="CANCELLED", exit_code="0:15", node="gpu07")
    assert found[2].kind is FailureKind.HOST
    write(commands, "sacct", err="Slurm accounting storage is disabled", code=1)
    line = "JobId=31 ArrayJobId=29 ArrayTaskId=4 JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15 NodeList=gpu07\n"
    write(commands, "scontrol", line)
    assert slurm.ended(29) == {4: Ended(state="TIMEOUT", exit_code="0:15", node="gpu07")}
    write(commands, "scontrol", err="slurm_load_jobs error: Invalid job id specified", code=1)
    assert slurm.ended(29) == {}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("TIMEOUT", FailureKind.TIMEOUT),
        ("OUT_OF_MEMORY", FailureKind.OUT_OF_MEMORY),
        ("CANCELLED", FailureKind.INTERRUPTED),
        ("NODE_FAIL", FailureKind.HOST),
        ("PREEMPTED", FailureKind.HOST),
        ("BOOT_FAIL", FailureKind.HOST),
        ("FAILED", FailureKind.HOST),
        ("", FailureKind.HOST),
    ],
)
def test_no_end_by_slurm_is_attributed_to_the_chip(state: str, kind: FailureKind) -> None:
    holder = Holder(sweep=SWEEP, index=0, job=29, task=4, node="gpu07")
    failure = lost_failure(holder, Ended(state=state, exit_code="0:9"))
    assert failure.kind is kind
    assert failure.stage is None
    assert "29_4 on gpu07" in failure.message


def test_a_task_at_its_time_limit_says_so_and_another_one_is_the_hosts() -> None:
    assert GRANT is not None
    late = ended_failure(GRANT, "JobId=31 JobState=COMPLETING Reason=TimeLimit Dependency=(null)")
    assert late.kind is FailureKind.TIMEOUT
    assert "time" in late.remedy
    other = ended_failure(GRANT, "JobId=31 JobState=COMPLETING Reason=None")
    assert other.kind is FailureKind.HOST


def test_what_slurm_refuses_is_wrong_usage_and_silence_is_the_environment(commands: Path) -> None:
    array = Array(sweep=SWEEP, number=0, command="true", indices=[0], ask=(), output="/r")
    path = {"PATH": f"{commands}:/usr/bin:/bin"}
    write(commands, "sbatch", err="sbatch: error: invalid partition specified: nope", code=1)
    with pytest.raises(UsageFault, match="invalid partition specified: nope"):
        slurm.submit(array, path)
    down = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
    write(commands, "sbatch", err=down, code=1)
    with pytest.raises(EnvironmentFault, match="Unable to contact"):
        slurm.submit(array, path)


def test_without_slurm_what_is_missing_is_named(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(commands, "squeue")
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(
        EnvironmentFault, match="sbatch and scancel, which are not on PATH"
    ) as error:
        slurm.require_slurm()
    assert "RUNNER=process" in error.value.remedy


# --- what was granted --------------------------------------------------------------------------


def test_a_task_knows_its_place_in_the_queue() -> None:
    assert GRANT is not None
    assert (GRANT.job, GRANT.task, GRANT.restart, GRANT.node) == (29, 4, 1, "gpu07")
    assert grant_here({}) is None


@pytest.mark.parametrize(
    ("runner", "device"),
    [(RunnerName.PROCESS, "0"), (RunnerName.APPTAINER, "0"), (RunnerName.DOCKER, "3")],
)
def test_a_process_counts_what_it_sees_and_a_container_engine_the_whole_node(
    runner: RunnerName, device: str
) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_GPUS": "3"}
    by_node = numbered_by_node(DeviceSpec(gpus="nvidia"), runner)
    assert granted_devices(environ, "31", "gpu:a100:1", by_node=by_node) == device


def test_apptainer_opens_nodes_by_the_nodes_numbers_and_gpus_by_those_that_it_sees() -> None:
    assert numbered_by_node(DeviceSpec(nodes=("/dev/davinci{index}",)), RunnerName.APPTAINER)
    assert not numbered_by_node(DeviceSpec(gpus="nvidia"), RunnerName.APPTAINER)


@pytest.mark.parametrize(
    ("shown", "device"),
    [
        ("Nodes=n CPU_IDs=0 Mem=0 GRES=npu:1(IDX:5) MinCPUsNode=1", "5"),
        ("Nodes=n GRES=gpu:a100:1(IDX:0),npu:ascend310p:3(IDX:0,2-3) X", "0,2,3"),
        ("JOB_GRES=npu:1 Nodes=n GRES=", None),
    ],
)
def test_a_resource_without_a_variable_is_asked_of_slurm(
    monkeypatch: pytest.MonkeyPatch, shown: str, device: str | None
) -> None:
    monkeypatch.setattr("driver.fleet.slurm.details", lambda _job: shown)
    assert granted_devices({}, "31", "npu:1", by_node=False) == device
    assert granted_devices({}, "31", "", by_node=False) is None


@pytest.mark.parametrize(
    ("state", "alive"), [("RUNNING", True), ("PENDING", True), ("FAILED", False), ("", False)]
)
def test_a_task_that_has_not_ended_is_not_given_up(state: str, alive: bool) -> None:
    assert Ended(state=state).alive == alive


def test_a_remedy_for_a_node_names_what_the_sweep_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with stages_chosen_by("INSIDE"), pytest.raises(EnvironmentFault) as caught:
        find_program()
    assert caught.value.message.startswith("INSIDE=apptainer needs")
    assert caught.value.remedy.endswith("or use INSIDE=docker or INSIDE=process")
    assert stages_in("docker") == "RUNNER=docker"
