"""A stage in Apptainer, whose stand-in seals it off with bubblewrap: what it sees, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import ContractFault, EnvironmentFault, ImageFault
from driver.runners.apptainer.runner import ApptainerRunner
from driver.runners.devices import Devices
from driver.runners.memory import CHECK_EVERY_S, ContainerMemory
from driver.runners.spec import InstalledStack
from driver.system.settings import ROOT
from tests.driver.runners.clock import Clock
from tests.driver.runners.hooks import make_spec, nothing, read_out
from tests.waiting import PATIENCE_S, alive, wait_for_line, wait_gone, wait_until

if TYPE_CHECKING:
    from driver.runners.base import Exit
    from driver.runners.spec import ContainerSpec
    from tests.driver.runners.apptainer.conftest import Site

PROBE = """
exec > "$2/out/probe" 2>/dev/null
for place in / /usr /job /job/case /job/data /job/hook /job/harness /job/case/images; do
  touch "$place/x" && echo "wrote $place"
done
echo '{}' > /job/job.json && echo 'wrote job.json'
for place in /tmp /var/tmp /job/out /job/cache; do touch "$place/x" || echo "could not write $place"; done
echo images: $(ls /job/case/images)
echo labels: $(ls /job | grep labels)
echo $HOME $TMPDIR $OF_THE_IMAGE $(pwd)
grep -E '^(CapEff|NoNewPrivs):' /proc/self/status
grep -c : /proc/self/net/dev
ls /home /root
true
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    # The guest of a caller who is root is somebody else: it must be able to read.
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def apptainer(sif: Path, site: Site) -> Path:
    """Return the SIF, with the stand-in on PATH."""
    return sif


def spec_for(home: Path, sif: Path, script: str, **changes: Any) -> ContainerSpec:
    spec = make_spec(home, script, **changes)
    stack = InstalledStack(image="sha256:1", sif=sif)
    return type(spec)(**{**vars(spec), "stack": stack})


def run(spec: ContainerSpec, home: Path, *, grace_s: float = 1.0) -> Exit:
    with ApptainerRunner(grace_s=grace_s) as runner:
        return runner.run(spec, log=home / "log", on_tick=nothing)


def test_the_guest_finds_itself_locked_in(home: Path, apptainer: Path) -> None:
    spec = spec_for(home, apptainer, PROBE, masks=("case/images",))
    (Path(str(spec.source("case"))) / "images" / "7").mkdir(parents=True)
    done = run(spec, home)
    assert done.code == 0, (home / "log").read_text()
    lines = [" ".join(line.split()) for line in read_out(spec, "probe").splitlines()]
    assert lines == [
        "images:",
        "labels:",
        "/tmp /tmp 1 /tmp",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 1",
        "1",
    ]


def test_the_exit_names_what_held_the_stage_and_what_did_not(home: Path, apptainer: Path) -> None:
    held = run(spec_for(home, apptainer, "exit 0"), home).enforced
    assert held.engine == "Apptainer 1.3.4+assay.standin"
    assert (held.memory, held.processes, held.network) == ("driver", "nobody", True)
    assert set(held.missing) <= {"seccomp", "tmp_size"}


@pytest.mark.parametrize("refused", [["--net"], ["--net", "--memory"]])
def test_a_network_that_cannot_be_taken_away_is_named(
    home: Path, apptainer: Path, site: Site, refused: list[str]
) -> None:
    site(refuses=refused)
    done = run(spec_for(home, apptainer, "exit 3"), home)
    assert done.code == 3
    assert not done.enforced.network
    assert "network" in done.enforced.missing


def test_a_site_without_binds_is_refused_before_a_stage_runs(
    home: Path, apptainer: Path, site: Site
) -> None:
    site(ignores=["--mount"])
    with pytest.raises(EnvironmentFault, match="ignores what is to be mounted") as caught:
        run(spec_for(home, apptainer, "exit 0"), home)
    assert "user bind control" in caught.value.remedy


def test_a_site_where_no_container_starts_says_why(home: Path, apptainer: Path, site: Site) -> None:
    site(refuses=["--containall"])
    with pytest.raises(EnvironmentFault, match="--containall is not permitted") as caught:
        run(spec_for(home, apptainer, "exit 0"), home)
    assert "apptainer-suid" in caught.value.remedy


def test_a_container_that_fails_to_start_later_is_the_hosts_fault(
    home: Path, apptainer: Path, site: Site
) -> None:
    with ApptainerRunner() as runner:
        runner.run(spec_for(home, apptainer, "exit 0"), log=home / "log", on_tick=nothing)
        site(refuses=["--containall"])
        with pytest.raises(EnvironmentFault, match="--containall is not permitted"):
            runner.run(spec_for(home, apptainer, "exit 0"), log=home / "log", on_tick=nothing)


def test_a_hook_that_exits_as_apptainer_would_is_still_the_hooks(
    home: Path, apptainer: Path
) -> None:
    done = run(spec_for(home, apptainer, "echo FATAL: not me >&2; exit 255"), home)
    assert done.code == 255


def test_the_log_has_both_streams_and_the_image_is_named_by_its_id(
    home: Path, apptainer: Path
) -> None:
    done = run(spec_for(home, apptainer, 'echo "$1" "$2"; echo bad >&2'), home)
    assert sorted((home / "log").read_text().splitlines()) == ["bad", "infer /job"]
    assert done.executed_in == "sha256:1"


def test_what_is_in_out_belongs_to_the_caller(home: Path, apptainer: Path) -> None:
    spec = spec_for(home, apptainer, 'mkdir "$2/out/d"; echo 1 > "$2/out/d/f"; id -u > "$2/out/id"')
    run(spec, home)
    out = Path(str(spec.source("out")))
    owners = {path.stat().st_uid for path in (out, *out.rglob("*"))}
    assert owners == {os.geteuid()}
    assert read_out(spec, "id").strip() == str(spec.uid) != "0"


def test_the_environment_is_the_specs(home: Path, apptainer: Path) -> None:
    spec = spec_for(
        home, apptainer, 'env > "$2/out/env"', env={"A": "x, $y 'z'", "CACHE": "/job/c"}
    )
    run(spec, home)
    env = dict(line.split("=", 1) for line in read_out(spec, "env").splitlines())
    assert (env["A"], env["CACHE"]) == ("x, $y 'z'", "/job/c")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_guest_killed_by_a_signal_exits_with_128_plus_its_number(
    home: Path, apptainer: Path, number: signal.Signals
) -> None:
    done = run(spec_for(home, apptainer, f"kill -{int(number)} $$; exit 3"), home)
    assert (done.code, done.oom_killed) == (128 + number, False)


def test_a_hang_ends_at_the_time_limit(
    home: Path, apptainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("driver.runners.process.time", clock)
    spec = spec_for(home, apptainer, "trap '' TERM; echo deaf; while :; do sleep 0.1; done")

    def tick() -> None:
        if (home / "log").read_text() == "deaf\n":
            clock.pass_s(spec.limits.timeout_s)

    with ApptainerRunner(grace_s=0.3) as runner:
        done = runner.run(spec, log=home / "log", on_tick=tick)
    assert (done.timed_out, done.oom_killed) == (True, False)


def test_memory_over_the_limit_is_recognised(home: Path, apptainer: Path) -> None:
    spec = spec_for(home, apptainer, "tail /dev/zero", memory_bytes=64 << 20)
    done = run(spec, home)
    assert (done.oom_killed, done.timed_out) == (True, False)


def test_the_memory_of_what_starts_a_container_is_not_the_guests(
    home: Path, apptainer: Path
) -> None:
    script = 'echo begun; until [ -e "$2/out/seen" ]; do sleep 0.05; done'
    spec = spec_for(home, apptainer, script)
    seen = Path(str(spec.source("out"))) / "seen"
    watch = ContainerMemory(os.getpid(), sys.maxsize)
    begun_s: list[float] = []

    def tick() -> None:
        if (home / "log").read_text() != "begun\n":
            return
        begun_s.append(time.monotonic())
        watch.exceeded()
        # The runner's own watch looks after a tick, and may have looked just before the container began.
        if begun_s[-1] - begun_s[0] > 2 * CHECK_EVERY_S:
            seen.touch()

    with ApptainerRunner() as runner:
        done = runner.run(spec, log=home / "log", on_tick=tick)
    # This process is large, its container is not.
    assert 0 < watch.peak_bytes < 32 << 20
    assert done.peak_memory_bytes is not None
    assert done.peak_memory_bytes < 32 << 20


def test_processes_that_a_hook_leaves_running_are_killed(home: Path, apptainer: Path) -> None:
    # Its number outside: what the host calls the newest process of the container.
    mark = f"7{os.getpid()}"
    run(spec_for(home, apptainer, f"(trap '' TERM HUP; exec sleep {mark}) & exit 0"), home)
    assert sleepers(mark) == []


def sleepers(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes() == f"sleep\0{mark}\0".encode():
                found.append(int(folder.name))
        except OSError:
            continue
    return [pid for pid in found if alive(pid)]


def test_whatever_a_tick_raises_ends_the_container(home: Path, apptainer: Path) -> None:
    mark = f"8{os.getpid()}"
    spec = spec_for(home, apptainer, f"echo begun; exec sleep {mark}")

    def tick() -> None:
        if sleepers(mark):
            raise RuntimeError("the session's own")

    with pytest.raises(RuntimeError, match="the session's own"), ApptainerRunner() as runner:
        runner.run(spec, log=home / "log", on_tick=tick)
    assert sleepers(mark) == []
    assert (home / "log").read_text() == "begun\n"


DRIVER = """
import sys
from pathlib import Path
from driver.runners.apptainer.runner import ApptainerRunner
from tests.driver.runners.apptainer.test_runner import nothing, spec_for
home, sif, mark = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
spec = spec_for(home, sif, f'echo $$ > "$2/out/begun"; exec sleep {mark}')
with ApptainerRunner() as runner:
    runner.run(spec, log=home / "log", on_tick=nothing)
"""


def test_after_kill_9_of_the_driver_nothing_of_the_container_is_left(
    home: Path, apptainer: Path
) -> None:
    mark = f"9{os.getpid()}"
    command = [sys.executable, "-c", DRIVER, str(home), str(apptainer), mark]
    driver = subprocess.Popen(command, cwd=ROOT, env=os.environ)
    try:
        begun = home / "work/job-1-0/infer-0/places/out/begun"
        wait_until(lambda: begun.exists() or driver.poll() is not None)
        wait_for_line(begun)
        wait_until(lambda: bool(sleepers(mark)))
        (pid,) = sleepers(mark)
        driver.kill()
        driver.wait(PATIENCE_S)
        wait_gone(pid)
    finally:
        driver.kill()
        driver.wait()


def test_without_a_sif_or_a_hook_nothing_starts(home: Path, apptainer: Path) -> None:
    with pytest.raises(ImageFault, match="no image for Apptainer"):
        run(spec_for(home, home / "gone.sif", "exit 0"), home)
    spec = spec_for(home, apptainer, "exit 0")
    (Path(str(spec.source("hook"))) / "hook").unlink()
    with pytest.raises(ContractFault, match="is missing"):
        run(spec, home)


def test_a_device_by_its_cdi_name_is_refused(home: Path, apptainer: Path) -> None:
    devices = Devices(gpus="cdi", gpu_ids=("acme.com/npu=0",))
    with pytest.raises(EnvironmentFault, match=r"acme\.com/npu=0"):
        run(spec_for(home, apptainer, "exit 0", devices=devices), home)


def test_a_device_node_arrives(home: Path, apptainer: Path) -> None:
    devices = Devices(nodes=("/dev/full",))
    spec = spec_for(home, apptainer, 'ls /dev/full > "$2/out/seen"', devices=devices)
    assert run(spec, home).code == 0
    assert read_out(spec, "seen") == "/dev/full\n"


def test_paths_of_any_name_are_mounted(home: Path, apptainer: Path) -> None:
    odd = home / "with, comma: and colon"
    odd.mkdir()
    done = run(spec_for(odd, apptainer, "exit 4"), odd)
    assert done.code == 4
