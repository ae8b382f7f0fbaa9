"""The process runner: clean environment, limits, and nothing left running however a stage ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.errors import ContractFault, EnvironmentFault, ImageFault
from driver.runners.base import CappedLog
from driver.runners.process import ProcessRunner
from tests.driver.runners.clock import Clock
from tests.driver.runners.hooks import make_spec, nothing, read_out
from tests.waiting import PATIENCE_S, wait_for_line, wait_gone

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("driver.runners.process.time", clock)
    return clock


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


def test_the_venvs_python_is_first_on_path(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'command -v python3 > "$2/out/which"')
    ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert read_out(spec, "which").strip() == str(tmp_path / "venv/bin/python3")


def test_labels_are_not_in_the_job_folder_of_infer(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'ls "$2" > "$2/out/ls"')
    ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert "labels" not in read_out(spec, "ls").split()


def test_a_guest_killed_by_a_signal_exits_with_128_plus_its_number(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "kill -SEGV $$")
    assert ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing).code == 128 + 11


def test_a_hang_ends_at_the_time_limit(tmp_path: Path, clock: Clock) -> None:
    spec = make_spec(tmp_path, "echo begun; exec sleep 600")
    log = tmp_path / "log"

    def tick() -> None:
        if log.read_text() == "begun\n":
            clock.pass_s(spec.limits.timeout_s)

    done = ProcessRunner(grace_s=PATIENCE_S).run(spec, log=log, on_tick=tick)
    assert done.timed_out
    assert done.code == 128 + signal.SIGTERM
    assert log.read_text() == "begun\n"


def test_a_hook_that_ignores_the_request_to_stop_is_killed(tmp_path: Path, clock: Clock) -> None:
    spec = make_spec(tmp_path, "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    log = tmp_path / "log"

    def tick() -> None:
        if log.read_text() == "deaf\n":
            clock.pass_s(spec.limits.timeout_s)

    done = ProcessRunner(grace_s=0.3).run(spec, log=log, on_tick=tick)
    assert done.timed_out
    assert done.code == 128 + signal.SIGKILL
    assert not done.oom_killed


def test_processes_that_a_hook_leaves_running_are_killed(tmp_path: Path) -> None:
    script = (
        'setsid sh -c \'echo $$ > "$0/out/pid"; exec sleep 600\' "$2" &'
        'until [ -s "$2/out/pid" ]; do sleep 0.05; done'
    )
    spec = make_spec(tmp_path, script)
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.code == 0
    assert not Path(f"/proc/{read_out(spec, 'pid').strip()}").exists()


def test_memory_over_the_limit_is_distinguished_from_a_crash(tmp_path: Path) -> None:
    hold = 'exec python3 -c "x = bytearray(300 << 20); import time; time.sleep(600)"'
    spec = make_spec(tmp_path, hold, memory_bytes=100 << 20)
    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.oom_killed
    assert not done.timed_out
    assert done.wall_s < PATIENCE_S


def test_shared_memory_counts_once(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time; x = bytearray(os.urandom(1)) * (120 << 20);"
        "pids = [os.fork() for _ in range(2)]; out = pathlib.Path(sys.argv[1]);"
        "(out / str(os.getpid())).touch()\n"
        'while not (out / "seen").exists(): time.sleep(0.05)'
    )
    spec = make_spec(tmp_path, f"exec python3 -c '{code}' \"$2/out\"", memory_bytes=300 << 20)
    out, looks = Path(str(spec.source("out"))), iter(range(5))

    def tick() -> None:
        # Four processes share it; memory is checked on every tick.
        if len(list(out.iterdir())) == 4 and next(looks, None) is None:
            (out / "seen").touch()

    done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=tick)
    assert (done.code, done.oom_killed) == (0, False)


def test_ticks_come_while_a_stage_runs(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'until [ -e "$2/out/seen" ]; do sleep 0.05; done')
    out, ticks = Path(str(spec.source("out"))), iter(range(2))

    def tick() -> None:
        if next(ticks, None) is None:
            (out / "seen").touch()

    assert ProcessRunner().run(spec, log=tmp_path / "log", on_tick=tick).code == 0


LIBCS_OWN = 1 << 31 | 1 << 32
"""Signals 32 and 33, which glibc's posix_spawn (that is, make) leaves ignored; they are no program's."""
IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD)


def test_a_hook_starts_with_no_signal_ignored_whatever_the_driver_ignores(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, 'exec grep -E "^Sig(Ign|Blk)" /proc/self/status > "$2/out/signals"')
    with ignoring(*IGNORED):
        done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
    assert done.code == 0
    masks = dict(line.split(":") for line in read_out(spec, "signals").splitlines())
    found = {name: int(mask, 16) & ~LIBCS_OWN for name, mask in masks.items()}
    assert found == {"SigBlk": 0, "SigIgn": 0}


@contextmanager
def ignoring(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore and block signals as a process does that `nohup` or a shell's `&` started."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in previous.items():
            signal.signal(number, handler)


def test_an_exception_in_a_tick_ends_the_stage_and_propagates(tmp_path: Path) -> None:
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
from tests.driver.runners.clock import Clock
from tests.driver.runners.hooks import make_spec
from driver.system.interrupts import heed_interrupts
home = Path(sys.argv[1])
spec = make_spec(home, sys.argv[2])
heed_interrupts()
try:
    ProcessRunner().run(spec, log=home / "log", on_tick=lambda: None)
except KeyboardInterrupt:
    sys.exit(130)
"""
STUBBORN = (
    'trap "" TERM INT HUP; setsid sleep 600 & echo $! $$ > "$2/out/pids"; while :; do sleep 1; done'
)


@contextmanager
def started_driver(home: Path, script: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Start a driver whose stage has written ``pids``; nothing of it is left, however a test ends."""
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(home), script])
    pids: list[int] = []
    try:
        text = wait_for_line(home / "work/job-1-0/infer-0/places/out/pids")
        pids += [int(pid) for pid in text.split()]
        yield driver, pids
    finally:
        driver.kill()
        driver.wait()
        wait_gone(*pids)


def test_after_kill_9_of_the_driver_nothing_is_left_running(tmp_path: Path) -> None:
    with started_driver(tmp_path, STUBBORN) as (driver, pids):
        driver.kill()
        # The guard waits for the usual grace period first.
        wait_gone(*pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_driver_and_stage_at_once(tmp_path: Path, number: signal.Signals) -> None:
    polite = 'sleep 600 & echo $! $$ > "$2/out/pids"; wait'
    with started_driver(tmp_path, polite) as (driver, pids):
        os.kill(driver.pid, number)
        assert driver.wait(timeout=PATIENCE_S) == 130
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_everything_that_a_hook_started_dies_with_its_guard(tmp_path: Path) -> None:
    with started_driver(tmp_path, STUBBORN) as (driver, (orphan, hook)):
        guard = int(Path(f"/proc/{hook}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGKILL)
        wait_gone(hook, orphan)
        driver.wait(timeout=PATIENCE_S)


KILLS_ITS_GUARD = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        with open(sys.argv[1] + "/pid", "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists(sys.argv[1] + "/pid") or not os.path.getsize(sys.argv[1] + "/pid"):
    time.sleep(0.01)
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(600)
"""


def test_a_hook_that_kills_its_guard_leaves_no_grandchild(tmp_path: Path) -> None:
    program = tmp_path / "kills.py"
    program.write_text(KILLS_ITS_GUARD)
    spec = make_spec(tmp_path, f'exec {sys.executable} {program} "$2/out"')
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        done = ProcessRunner().run(spec, log=tmp_path / "log", on_tick=nothing)
        assert done.code == 128 + signal.SIGKILL
        assert not Path(f"/proc/{read_out(spec, 'pid')}").exists()
        assert bystander.poll() is None, "a process of the driver's own was taken for an orphan"
    finally:
        bystander.kill()
        bystander.wait()


def test_a_log_that_the_disk_does_not_take_is_the_hosts_and_the_hook_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tmp_path, 'seq 100000; echo done > "$2/out/end"')
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    with pytest.raises(EnvironmentFault, match="No space left on device") as caught:
        ProcessRunner().run(spec, log=log, on_tick=nothing)
    assert caught.value.exit_code == 3
    assert read_out(spec, "end") == "done\n"
