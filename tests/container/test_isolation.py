"""A real container as the engine reports it, and as the guest inside finds it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import ContractFault, EnvironmentFault, ImageFault
from driver.models.base import StageName
from driver.runners.devices import Devices
from driver.runners.docker import DockerRunner
from driver.runners.engine.containers import reap_containers
from driver.runners.host_config import guest_user
from driver.runners.spec import ContainerSpec, InstalledStack
from driver.system.settings import ROOT
from tests.container.conftest import containers_of
from tests.driver.runners.clock import Clock
from tests.driver.runners.hooks import make_spec, nothing, read_out
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    StartDriver = Callable[[], subprocess.Popen[bytes]]

pytestmark = pytest.mark.container


def spec_for(home: Path, image: str, script: str, **changes: Any) -> ContainerSpec:
    return replace(make_spec(home, script, **changes), stack=InstalledStack(image=image))


UNTIL_SEEN = 'until [ -e "$2/out/seen" ]; do sleep 0.1; done'


def inspected(engine: Any, runner: DockerRunner, spec: ContainerSpec, log: Path) -> dict[str, Any]:
    """Run a stage and return what `docker inspect` says of it meanwhile."""
    """Return what the engine tells of the container while its hook waits for ``out/seen``."""
    seen: list[dict[str, Any]] = []

    def look() -> None:
        if not seen:
            seen.append(engine.api.inspect_container(spec.name))
            (Path(str(spec.source("out"))) / "seen").touch()

    runner.run(spec, log=log, on_tick=look)
    return seen[0]


def test_inspect_shows_the_isolation_that_was_designed(
    engine: Any, runner: DockerRunner, home: Path, shell_image: str
) -> None:
    spec = spec_for(home, shell_image, UNTIL_SEEN, masks=("case/images",))
    (Path(str(spec.source("case"))) / "images").mkdir()
    found = inspected(engine, runner, spec, home / "log")
    host = found["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert not host["CapAdd"]
    assert "no-new-privileges" in host["SecurityOpt"]
    traits = runner.traits
    # Podman lists what "ALL" stands for; the guest itself finds out what it has in the next test but one.
    assert traits.podman or host["CapDrop"] == ["ALL"]
    memory = spec.limits.memory_bytes if traits.limits_memory else 0
    assert host["Memory"] == host["MemorySwap"] == memory
    assert host["PidsLimit"] == (spec.limits.processes if traits.limits_processes else 0)
    podmans_own = {"/run", "/var/tmp"} if traits.podman else set()
    assert host["Tmpfs"].keys() == {"/tmp", "/job/case/images"} | podmans_own
    assert found["Config"]["User"] == guest_user(spec, traits)
    assert traits.rootless or found["Config"]["User"] != "0:0"
    writable = {mount["Destination"]: mount["RW"] for mount in found["Mounts"]}
    read_only = ("job.json", "harness", "case", "hook", "data")
    expected = {f"/job/{name}": False for name in read_only} | {
        "/job/out": True,
        "/job/cache": True,
    }
    assert writable == expected


@pytest.mark.parametrize("stage", list(StageName))
def test_labels_are_in_the_scoring_container_only(
    engine: Any, runner: DockerRunner, home: Path, shell_image: str, stage: StageName
) -> None:
    spec = spec_for(home, shell_image, f'ls "$2" > "$2/out/ls"; {UNTIL_SEEN}', stage=stage)
    found = inspected(engine, runner, spec, home / "log")
    mounted = any("labels" in mount["Destination"] for mount in found["Mounts"])
    listed = "labels" in read_out(spec, "ls").split()
    assert mounted is listed is (stage is StageName.SCORE)


PROBE = """
exec > "$2/out/probe" 2>/dev/null
echo user=$(id -u) group=$(id -g)
for place in / /usr /job /job/case /job/data /job/hook /job/harness /job/case/images; do
  touch "$place/x" && echo "wrote $place"
done
echo '{}' > /job/job.json && echo 'wrote job.json'
for place in /tmp /job/out /job/cache; do touch "$place/x" || echo "could not write $place"; done
echo images: $(ls /job/case/images)
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status
echo network: $(ls /sys/class/net)
true
"""


def test_the_guest_finds_itself_locked_in(
    runner: DockerRunner, home: Path, shell_image: str
) -> None:
    spec = spec_for(home, shell_image, PROBE, masks=("case/images",))
    (Path(str(spec.source("case"))) / "images" / "7").mkdir(parents=True)
    assert runner.run(spec, log=home / "log", on_tick=nothing).code == 0
    lines = [" ".join(line.split()) for line in read_out(spec, "probe").splitlines()]
    assert lines == [
        "user={} group={}".format(*guest_user(spec, runner.traits).split(":")),
        "images:",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "network: lo",
    ]


def test_what_is_in_out_belongs_to_the_caller(
    runner: DockerRunner, home: Path, shell_image: str
) -> None:
    spec = spec_for(home, shell_image, 'mkdir "$2/out/d"; echo 1 > "$2/out/d/f"; exit 5')
    done = runner.run(spec, log=home / "log", on_tick=nothing)
    out = Path(str(spec.source("out")))
    assert done.code == 5
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (out, *out.rglob("*"))}
    assert owners == {(os.geteuid(), os.getegid())}


def test_the_log_has_both_streams_and_the_image_is_named_by_its_id(
    engine: Any, runner: DockerRunner, home: Path, shell_image: str
) -> None:
    spec = spec_for(home, shell_image, 'echo "$1" "$2"; echo bad >&2')
    done = runner.run(spec, log=home / "log", on_tick=nothing)
    assert sorted((home / "log").read_text().splitlines()) == ["bad", "infer /job"]
    assert done.executed_in == engine.images.get(shell_image).id


def test_too_much_memory_is_recognised(runner: DockerRunner, home: Path, shell_image: str) -> None:
    hog = "exec tail /dev/zero"
    spec = spec_for(home, shell_image, hog, memory_bytes=32 << 20)
    done = runner.run(spec, log=home / "log", on_tick=nothing)
    assert done.oom_killed
    assert (done.code, done.timed_out) == (137, False)


def test_an_abort_is_told_as_what_it_is(runner: DockerRunner, home: Path, shell_image: str) -> None:
    spec = spec_for(home, shell_image, "kill -ABRT $$; exit 3")
    ended = runner.run(spec, log=home / "log", on_tick=nothing)
    assert ended.code == 128 + signal.SIGABRT


def test_an_engine_without_an_init_runs_the_stage_all_the_same(
    engine: Any, home: Path, shell_image: str
) -> None:
    from docker.errors import APIError  # type: ignore[import-untyped]

    class Api:
        """This engine, refusing as one does that lacks the program."""

        def __getattr__(self, name: str) -> Any:
            return getattr(engine.api, name)

        def start(self, container: str) -> None:
            found = engine.api.inspect_container(container)
            if found["HostConfig"].get("Init", "catatonit" in str(found.get("Path"))):
                said = 'exec: "docker-init": executable file not found in $PATH'
                raise APIError("500", explanation=said)
            engine.api.start(container)

    runner = DockerRunner(home=home)
    runner.availability()
    runner._client = SimpleNamespace(api=Api(), close=lambda: None)
    spec = spec_for(home, shell_image, "exit 7")
    assert runner.run(spec, log=home / "log", on_tick=nothing).code == 7


def test_a_hang_ends_at_the_time_limit(
    runner: DockerRunner, home: Path, shell_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("driver.runners.docker.time", clock)
    script = "echo begun; trap '' TERM; touch \"$2/out/deaf\"; sleep 600"
    spec = spec_for(home, shell_image, script)

    def tick() -> None:
        if (Path(str(spec.source("out"))) / "deaf").exists():
            clock.pass_s(spec.limits.timeout_s)

    done = runner.run(spec, log=home / "log", on_tick=tick)
    assert (done.timed_out, done.oom_killed) == (True, False)
    assert (home / "log").read_text() == "begun\n"


def test_a_container_costs_little(
    engine: Any, runner: DockerRunner, home: Path, shell_image: str
) -> None:
    """In turns with a bare container of the same image: a busy machine slows both."""

    def bare() -> float:
        started = time.monotonic()
        container = engine.api.create_container(
            shell_image, ["true"], host_config=engine.api.create_host_config(network_mode="none")
        )
        engine.api.start(container)
        engine.api.wait(container)
        engine.api.remove_container(container)
        return time.monotonic() - started

    def ours() -> float:
        spec = spec_for(home, shell_image, "exit 0")
        return runner.run(spec, log=home / "log", on_tick=nothing).wall_s

    costs = [(ours(), bare()) for _ in range(3)]
    assert min(one for one, _ in costs) < 3 * min(other for _, other in costs), costs


def test_whatever_a_tick_raises_removes_the_container(
    runner: DockerRunner, home: Path, shell_image: str
) -> None:
    def tick() -> None:
        raise RuntimeError("the session's own")

    spec = spec_for(home, shell_image, "echo begun; sleep 600")
    with pytest.raises(RuntimeError, match="the session's own"):
        runner.run(spec, log=home / "log", on_tick=tick)
    assert (home / "log").read_text() == "begun\n"


def test_a_missing_image_is_an_image_fault(runner: DockerRunner, home: Path) -> None:
    spec = spec_for(home, "assay/no-such-image:v0", "exit 0")
    with pytest.raises(ImageFault, match="no-such-image"):
        runner.run(spec, log=home / "log", on_tick=nothing)


def test_a_missing_device_is_named_before_anything_starts(
    runner: DockerRunner, home: Path, shell_image: str
) -> None:
    devices = Devices(nodes=("/dev/davinci0",))
    spec = spec_for(home, shell_image, "exit 0", devices=devices)
    with pytest.raises(EnvironmentFault, match="/dev/davinci0"):
        runner.run(spec, log=home / "log", on_tick=nothing)


@pytest.fixture
def folder_of_devices() -> Iterator[Path]:
    """Yield a folder below /dev, since guests open no device below /tmp: two nodes and a link."""
    folder = Path("/dev") / f"assay-{os.getpid()}"
    try:
        folder.mkdir()
        for name, mode in (("renderD128", 0o666), ("card0", 0o600)):
            os.mknod(folder / name, stat.S_IFCHR, os.makedev(1, 3))
            (folder / name).chmod(mode)
    except PermissionError:
        pytest.skip("only root makes device nodes")
    (folder / "by-path").mkdir()
    (folder / "by-path" / "gpu").symlink_to("../renderD128")
    yield folder
    shutil.rmtree(folder)


def test_a_folder_of_devices_arrives_node_by_node_with_the_hosts_modes(
    runner: DockerRunner, home: Path, shell_image: str, folder_of_devices: Path
) -> None:
    folder = folder_of_devices
    script = (
        f"cd {folder} && ls | xargs > /job/out/nodes; echo x > renderD128 && "
        "echo opened >> /job/out/nodes; echo x > card0 || echo refused >> /job/out/nodes"
    )
    spec = spec_for(home, shell_image, script, devices=Devices(nodes=(str(folder),)))
    assert runner.run(spec, log=home / "log", on_tick=nothing).code == 0
    assert read_out(spec, "nodes") == "card0 renderD128\nopened\nrefused\n"


def test_gpus_without_a_toolkit_are_the_hosts_fault(
    engine: Any, runner: DockerRunner, home: Path, shell_image: str
) -> None:
    if "nvidia" in engine.info()["Runtimes"]:
        pytest.skip("this engine can give GPUs")
    devices = Devices(gpus="nvidia", gpu_ids=("0",))
    spec = spec_for(home, shell_image, "exit 0", devices=devices)
    with pytest.raises(
        EnvironmentFault, match=r"container its devices|containers without the GPUs"
    ):
        runner.run(spec, log=home / "log", on_tick=nothing)


def test_a_hook_that_the_image_cannot_execute_is_the_hooks_fault(
    runner: DockerRunner, home: Path, shell_image: str
) -> None:
    spec = spec_for(home, shell_image, "exit 0")
    (Path(str(spec.source("hook"))) / "hook").write_text("#!/no/such/shell\n")
    with pytest.raises(ContractFault, match=r"(?i)no such file or directory"):
        runner.run(spec, log=home / "log", on_tick=nothing)


DRIVER = """
from driver.system.interrupts import heed_interrupts
heed_interrupts()
import json, sys
from dataclasses import replace
from pathlib import Path
from driver.system.driver_process import DriverProcess
from driver.runners.spec import InstalledStack
from driver.runners.docker import DockerRunner
from tests.driver.runners.hooks import make_spec
home = Path(sys.argv[1])
spec = make_spec(home, 'echo x > "$2/out/begun"; sleep 600')
spec = replace(spec, stack=InstalledStack(image=sys.argv[2]))
owner = DriverProcess.current().to_dict() | {"runner": "docker"}
(home / "work/job-1-0/owner.json").write_text(json.dumps(owner))
try:
    with DockerRunner(home=home) as runner:
        runner.run(spec, log=home / "log", on_tick=lambda: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def start_driver(
    engine: Any, home: Path, shell_image: str
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a driver whose container has begun; no driver and no container outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(home), shell_image])
        started.append(driver)
        begun = home / "work/job-1-0/infer-0/places/out/begun"
        wait_until(lambda: begun.exists() or driver.poll() is not None)
        assert driver.poll() is None
        return driver

    yield start
    for driver in started:
        driver.kill()
        driver.wait()
    reap_containers(engine, home)


def test_ctrl_c_removes_the_container(engine: Any, home: Path, start_driver: StartDriver) -> None:
    driver = start_driver()
    assert len(containers_of(engine, home)) == 1
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=PATIENCE_S) == 130
    assert containers_of(engine, home) == []


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6])
def test_ctrl_c_at_any_moment_leaves_no_container(
    engine: Any, home: Path, shell_image: str, delay_s: float
) -> None:
    heed = "heed_interrupts()\n"
    code = DRIVER.replace(heed, f"{heed}print('up', flush=True)\n", 1)
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(home), shell_image],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert driver.stdout is not None
        driver.stdout.readline()
        time.sleep(delay_s)
        driver.send_signal(signal.SIGINT)
        driver.wait(timeout=PATIENCE_S)
        driver.stdout.close()
    finally:
        driver.kill()
    assert containers_of(engine, home) == []


def test_after_kill_9_the_next_driver_removes_the_container(
    engine: Any, home: Path, start_driver: StartDriver
) -> None:
    driver = start_driver()
    assert reap_containers(engine, home) == []  # its driver lives
    driver.kill()
    driver.wait()
    assert len(containers_of(engine, home)) == 1
    with DockerRunner(home=home) as runner:
        runner.availability()
    assert containers_of(engine, home) == []


@pytest.mark.parametrize("words", [("clean",), ("doctor", "--vendor", "cpu")])
def test_after_kill_9_other_verbs_remove_the_container_and_then_its_mounts(
    engine: Any, home: Path, start_driver: StartDriver, words: tuple[str, ...]
) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "driver", *words]
        env = os.environ | {"ASSAY_HOME": str(home)}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    driver = start_driver()
    (home / "cache").mkdir(exist_ok=True)
    alive = run()
    assert len(containers_of(engine, home)) == 1
    assert (home / "work/job-1-0").exists()
    if words == ("clean",):
        assert (alive.returncode, "in progress" in alive.stderr) == (3, True)
        assert (home / "cache").exists()
    driver.kill()
    driver.wait()
    assert "which a killed run left behind" in run().stderr
    assert containers_of(engine, home) == []
    assert not (home / "work/job-1-0").exists()


def test_another_homes_leftovers_are_not_touched(
    engine: Any, home: Path, start_driver: StartDriver
) -> None:
    driver = start_driver()
    driver.kill()
    driver.wait()
    assert reap_containers(engine, home / "another") == []
    assert len(reap_containers(engine, home)) == 1
