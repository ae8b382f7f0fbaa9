"""The process runner: clean environment, limits, and nothing left running however a stage ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from driver.errors import ContractFault, ImageFault
from driver.runners.base import CappedLog
from driver.runners.process import ProcessRunner
from tests.driver.runners.hooks import make_spec, nothing, read_out


def wait_for(path: Path, timeout_s: float = 10.0) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def wait_gone(pid: int, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.01)
    return False


def test_a_hook_runs_with_the_job_folder_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'cat "$2/job.json" > "$2/out/seen"; echo "$1"; echo no >&2; exit 7')
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert (done.code, done.timed_out, done.oom_killed) == (7, False, False)
    assert read_out(spec, "seen") == "{}"
    assert (tmp_path / "log").read_text() == "infer\nno\n"
    assert done.executed_in == str(tmp_path / "venv/bin/python3")
    assert 0 < done.overhead_s <= done.wall_s


def test_the_environment_is_the_specs_and_nothing_of_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "PYTHONPATH", "https_proxy", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD"):
        monkeypatch.setenv(name, "")
    spec = make_spec(tmp_path, 'env > "$2/out/env"', env={"LC_ALL": "C", "CACHE": "/job/cache/x"})
    ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    env = dict(line.split("=", 1) for line in read_out(spec, "env").splitlines())
    for shells_own in ("PWD", "OLDPWD", "SHLVL", "_"):
        env.pop(shells_own, None)
    assert env.pop("PATH").startswith(f"{tmp_path}/venv/bin:")
    assert env.pop("HOME") == env.pop("TMPDIR") == str(spec.folder / "tmp")
    assert env == {"LC_ALL": "C", "CACHE": f"{spec.folder}/job/cache/x"}


def test_the_venvs_python_is_the_one_that_is_found(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'command -v python3 > "$2/out/which"')
    ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert read_out(spec, "which").strip() == str(tmp_path / "venv/bin/python3")


def test_labels_are_not_in_the_job_folder_of_infer(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'ls "$2" > "$2/out/ls"')
    ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert "labels" not in read_out(spec, "ls").split()


def test_a_signals_victim_has_128_plus_its_number(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "kill -SEGV $$")
    assert ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing).code == 128 + 11


def test_a_hang_ends_at_the_time_limit(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "echo begun; exec sleep 600", timeout_s=0.3)
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.timed_out
    assert done.code == 128 + signal.SIGTERM
    assert done.wall_s < 4
    assert (tmp_path / "log").read_text() == "begun\n"


def test_a_hook_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    spec = make_spec(tmp_path, script, timeout_s=0.3)
    done = ProcessRunner(grace_s=0.3).run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.timed_out
    assert done.code == 128 + signal.SIGKILL
    assert not done.oom_killed


def test_what_a_hook_leaves_running_is_killed_when_it_ends(tmp_path: Path) -> None:
    script = 'setsid sh -c \'echo $$ > "$0/out/pid"; exec sleep 600\' "$2" & sleep 0.3; exit 0'
    spec = make_spec(tmp_path, script)
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.code == 0
    assert not Path(f"/proc/{read_out(spec, 'pid').strip()}").exists()


def test_memory_over_the_limit_is_told_apart_from_a_crash(tmp_path: Path) -> None:
    hold = 'exec python3 -c "x = bytearray(300 << 20); import time; time.sleep(600)"'
    spec = make_spec(tmp_path, hold, memory_bytes=100 << 20)
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.oom_killed
    assert not done.timed_out
    assert done.wall_s < 8


def test_memory_that_processes_share_counts_once(tmp_path: Path) -> None:
    code = (
        "import os, time; x = bytearray(os.urandom(1)) * (120 << 20);"
        "pids = [os.fork() for _ in range(2)]; time.sleep(1.2)"
    )
    spec = make_spec(tmp_path, f"exec python3 -c '{code}'", memory_bytes=300 << 20)
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert (done.code, done.oom_killed) == (0, False)


def test_ticks_come_while_a_stage_runs(tmp_path: Path) -> None:
    ticks: list[float] = []
    spec = make_spec(tmp_path, "sleep 1")
    ProcessRunner().run(spec, log=tmp_path / "log", on_tick=lambda: ticks.append(time.monotonic()))
    assert len(ticks) >= 2


def test_whatever_a_tick_raises_ends_the_stage_and_goes_on(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'echo $$ > "$2/out/pid"; exec sleep 600')
    pid_file = Path(str(spec.source("out"))) / "pid"

    def tick() -> None:
        if pid_file.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProcessRunner().run(spec, log=tmp_path / "log", on_tick=tick)
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


def test_a_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "log", limit_bytes=100)
    log.write(b"first ")
    for number in range(1000):
        log.write(b"%d " % number)
    log.write(b"last")
    log.close()
    kept = (tmp_path / "log").read_bytes()
    assert kept.startswith(b"first 0 1 2")
    assert kept.endswith(b"998 999 last")
    assert b"bytes of output left out" in kept
    assert len(kept) < 200


@pytest.mark.parametrize("pieces", [[b"x" * 1000], [b"x" * 30, b"x" * 300, b"x"], [b"xx"] * 500])
def test_a_log_never_grows_beyond_its_limit(tmp_path: Path, pieces: list[bytes]) -> None:
    log = CappedLog(tmp_path / "log", limit_bytes=100)
    for piece in pieces:
        log.write(piece)
    log.close()
    total = sum(map(len, pieces))
    assert (tmp_path / "log").read_bytes().count(b"x") == 100
    assert f"[... {total - 100} bytes of output".encode() in (tmp_path / "log").read_bytes()


def test_a_missing_hook_breaks_the_contract(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    hook = Path(str(spec.source("hook"))) / "hook"
    hook.chmod(0o644)
    with pytest.raises(ContractFault, match="not executable") as caught:
        ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert caught.value.remedy == f"type: chmod +x {hook}"
    hook.unlink()
    with pytest.raises(ContractFault, match="is missing"):
        ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)


def test_a_missing_interpreter_is_the_hooks_failure(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    (Path(str(spec.source("hook"))) / "hook").write_text("#!/no/such/shell\n")
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.code == 126
    assert "No such file or directory" in (tmp_path / "log").read_text()


def test_a_missing_environment_is_an_image_fault(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    (tmp_path / "venv/bin/python3").unlink()
    with pytest.raises(ImageFault, match="has no virtual environment"):
        ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)


DRIVER = """
import sys
from pathlib import Path
from driver.runners.process import ProcessRunner
from tests.driver.runners.hooks import make_spec
home = Path(sys.argv[1])
spec = make_spec(home, sys.argv[2])
try:
    ProcessRunner().run(spec, log=home / "log", on_tick=lambda: None)
except KeyboardInterrupt:
    sys.exit(130)
"""
STUBBORN = (
    'trap "" TERM INT HUP; setsid sleep 600 & echo $! $$ > "$2/out/pids"; while :; do sleep 1; done'
)


def start_driver(home: Path, script: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(home), script])
    pids = wait_for(home / "work/job-1-0/infer-0/places/out/pids")
    return driver, [int(pid) for pid in pids.split()]


def test_after_kill_9_of_the_driver_nothing_is_left_running(tmp_path: Path) -> None:
    driver, pids = start_driver(tmp_path, STUBBORN)
    driver.kill()
    driver.wait()
    # The guard grants the usual grace first.
    assert all(wait_gone(pid) for pid in pids)


def test_ctrl_c_ends_driver_and_stage_at_once(tmp_path: Path) -> None:
    polite = 'sleep 600 & echo $! $$ > "$2/out/pids"; wait'
    driver, pids = start_driver(tmp_path, polite)
    os.kill(driver.pid, signal.SIGINT)
    assert driver.wait(timeout=5) == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_when_the_guard_itself_is_killed_the_hook_goes_with_it(tmp_path: Path) -> None:
    driver, (orphan, hook) = start_driver(tmp_path, STUBBORN)
    guard = int(Path(f"/proc/{hook}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert wait_gone(hook)
    driver.wait(timeout=20)
    os.kill(orphan, signal.SIGKILL)  # with its guard gone, nobody is left who knows of it
