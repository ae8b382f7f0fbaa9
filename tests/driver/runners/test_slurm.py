"""The Slurm runner, with an `srun` on PATH that records its arguments and runs the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.errors import EnvironmentFault
from driver.models.base import RunnerName
from driver.runners import RunnerSettings, open_runner
from driver.runners.base import Exit
from driver.runners.slurm import SlurmRunner
from tests.driver.runners.hooks import make_spec, nothing, read_out

RECORD = """#!/bin/sh
printf '%s\\n' "$@" > "$SLURM_RECORD"
while case $1 in --*) true;; *) false;; esac; do shift; done
{verdict}
"""


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an srun on PATH that runs its task; return where it records its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_srun(folder, 'exec "$@"')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_RECORD", str(tmp_path / "argv"))
    return tmp_path / "argv"


def write_srun(folder: Path, verdict: str) -> None:
    (folder / "srun").write_text(RECORD.format(verdict=verdict))
    (folder / "srun").chmod(0o755)


def run(tmp_path: Path, script: str, options: tuple[str, ...] = ()) -> Exit:
    spec = make_spec(tmp_path, script, timeout_s=90.0, memory_bytes=3 << 30)
    settings = RunnerSettings(home=tmp_path, srun_options=options)
    with open_runner(RunnerName.SLURM, settings) as runner:
        return runner.run(spec, log=tmp_path / "log", on_tick=nothing)


def test_the_specs_limits_are_passed_to_slurm(tmp_path: Path, srun: Path) -> None:
    done = run(tmp_path, "exit 3", ("--partition=npu", "--gres=npu:1"))
    asked = srun.read_text().splitlines()
    assert done.code == 3
    assert {"--nodes=1", "--ntasks=1", "--cpus-per-task=2", "--mem=3072M", "--time=2"} <= set(asked)
    task = [f"{tmp_path}/work/job-1-0/infer-0/job/hook/hook", "infer"]
    assert asked[-5:-1] == ["--partition=npu", "--gres=npu:1", *task]


def test_a_task_gets_its_own_variables_and_no_others(
    tmp_path: Path, srun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    run(tmp_path, 'env > "$2/out/env"')
    exported = next(a for a in srun.read_text().splitlines() if a.startswith("--export="))
    names = exported.removeprefix("--export=").split(",")
    assert {"PATH", "HOME", "TMPDIR", "OMP_NUM_THREADS"} <= set(names)
    assert not any("=" in name or name.startswith("SLURM_") for name in names)
    env = read_out(make_spec(tmp_path, "exit 0"), "env")
    assert "HF_TOKEN" not in env


@pytest.mark.parametrize(
    ("said", "oom", "late"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.", True, False),
        ("srun: error: n1: task 0: Out Of Memory", True, False),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT X DUE TO TIME LIMIT ***", False, True),
        ("srun: error: n1: task 0: Exited with exit code 1", False, False),
    ],
)
def test_slurms_failure_messages_are_recognised(
    tmp_path: Path, srun: Path, said: str, oom: bool, late: bool
) -> None:
    write_srun(tmp_path / "bin", f'"$@"; echo "{said}" >&2; exit 1')
    done = run(tmp_path, "exit 1")
    assert (done.code, done.oom_killed, done.timed_out) == (1, oom, late)


def test_a_successful_task_may_print_anything(tmp_path: Path, srun: Path) -> None:
    done = run(tmp_path, "echo Detected 1 oom_kill event; echo DUE TO TIME LIMIT")
    assert (done.code, done.oom_killed, done.timed_out) == (0, False, False)


def test_an_interruption_reaches_srun(tmp_path: Path, srun: Path) -> None:
    received = tmp_path / "signal"
    write_srun(tmp_path / "bin", f"trap 'echo TERM > {received}; exit 143' TERM; sleep 600 & wait")
    spec = make_spec(tmp_path, "exit 0")

    def tick() -> None:
        if srun.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SlurmRunner().run(spec, log=tmp_path / "log", on_tick=tick)
    assert received.read_text() == "TERM\n"


def test_without_slurm_the_alternatives_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="`srun`, which is not on PATH") as error:
        open_runner(RunnerName.SLURM, RunnerSettings(home=tmp_path)).availability()
    assert "RUNNER=process" in error.value.remedy
