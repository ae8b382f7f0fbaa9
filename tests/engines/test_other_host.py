"""HOST=lab3: a stage runs on another host's engine by ssh, and nothing of this machine is mounted there."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.models.base import StageName
from driver.runners.engine import client, tunnel
from driver.runners.remote.runner import RemoteRunner
from driver.runners.spec import InstalledStack
from driver.system.settings import load_settings
from tests.driver.runners.hooks import make_spec, nothing, read_out
from tests.engines.conftest import lacking
from tests.engines.other_host import OtherHost, other_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.runners.spec import ContainerSpec

pytestmark = [
    pytest.mark.engines,
    # A connection that was cut leaves its sockets to the collector; `runner` calls it while this holds.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def lab3() -> Iterator[OtherHost]:
    """Yield the other host, whose engine has the images of cpu and reference."""
    if os.geteuid() != 0:
        lacking("a second engine needs root")
    for program in ("dockerd", "sshd", "ssh"):
        if shutil.which(program) is None and not Path(f"/usr/sbin/{program}").exists():
            lacking(f"{program} is not installed: apt-get install docker.io openssh-server")
    try:
        engine = client.connect()
    except EnvironmentFault as error:
        lacking(error.message)
    tags = [tag for image in engine.images.list() for tag in image.tags]
    engine.close()
    wanted = [tag for tag in tags if tag.startswith(("assay/base", "assay/cpu", "assay/reference"))]
    if not wanted:
        lacking("Docker has no images of cpu and reference: make images BASE=debootstrap")
    with other_host() as host:
        with subprocess.Popen(["docker", "save", *wanted], stdout=subprocess.PIPE) as save:
            words = ["docker", "-H", host.socket, "load"]
            subprocess.run(words, stdin=save.stdout, stdout=subprocess.DEVNULL, check=True)
        yield host


@pytest.fixture
def runner(
    lab3: OtherHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RemoteRunner]:
    """Yield a runner of lab3; afterwards nothing of it is left there."""
    monkeypatch.setenv("PATH", lab3.path)
    monkeypatch.setenv("HOST", "lab3")
    monkeypatch.setattr(client, "load_settings", lambda: load_settings(root=lab3.tree))
    with RemoteRunner(home=tmp_path, host="lab3") as runner:
        yield runner
    # What it finds after the last test fails the session, with every test passed.
    gc.collect()
    assert lab3.docker("ps", "-aq") == ""
    assert [
        name for name in lab3.docker("volume", "ls", "-q").split() if "content" not in name
    ] == []


def spec_for(lab3: OtherHost, home: Path, script: str, **changes: Any) -> ContainerSpec:
    tags = lab3.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    image = next(tag for tag in tags if tag.startswith("assay/base"))
    return replace(make_spec(home, script, **changes), stack=InstalledStack(image=image))


PROBE = """
exec > "$2/out/probe" 2>/dev/null
touch /job/case/x /job/hook/x /job/data/x /job/x && echo 'wrote an input'
echo images: $(ls /job/case/images)
echo labels: $(ls /job | grep labels)
grep CapEff /proc/self/status
echo network: $(ls /sys/class/net)
touch /job/cache/kept
true
"""


def test_the_guest_is_locked_in_there_as_it_is_here(
    lab3: OtherHost, runner: RemoteRunner, tmp_path: Path
) -> None:
    spec = spec_for(lab3, tmp_path, PROBE, masks=("case/images",))
    (Path(str(spec.source("case"))) / "images" / "7").mkdir(parents=True)
    done = runner.run(spec, log=tmp_path / "log", on_tick=nothing)
    assert (done.code, done.enforced.memory) == (0, "cgroup")
    lines = [" ".join(line.split()) for line in read_out(spec, "probe").splitlines()]
    assert lines == ["images:", "labels:", "CapEff: 0000000000000000", "network: lo"]
    assert (Path(str(spec.source("cache"))) / "kept").is_file(), "a compiled engine comes back"


def test_data_is_sent_once(lab3: OtherHost, runner: RemoteRunner, tmp_path: Path) -> None:
    spec = spec_for(lab3, tmp_path, 'cat "$2/data/words" > "$2/out/words"')
    (Path(str(spec.source("data"))) / "words").write_text("of this very test")
    runner.run(spec, log=tmp_path / "log", on_tick=nothing)
    before = lab3.docker("volume", "ls", "-q", "--filter", "label=assay.content")
    again = replace(spec, name=f"{spec.name}-again")
    runner.run(again, log=tmp_path / "log", on_tick=nothing)
    assert read_out(spec, "words") == "of this very test"
    assert lab3.docker("volume", "ls", "-q", "--filter", "label=assay.content") == before


def test_a_link_that_a_guest_leaves_does_not_come_here(
    lab3: OtherHost, runner: RemoteRunner, tmp_path: Path
) -> None:
    spec = spec_for(lab3, tmp_path, 'ln -s /etc/passwd "$2/out/report.json"')
    with pytest.raises(Exception, match="neither a file nor a folder"):
        runner.run(spec, log=tmp_path / "log", on_tick=nothing)


def test_a_connection_that_is_lost_in_the_middle_is_the_hosts_fault_and_leaves_nothing_there(
    lab3: OtherHost, runner: RemoteRunner, tmp_path: Path
) -> None:
    spec = spec_for(lab3, tmp_path, "sleep 600", stage=StageName.INFER)
    cut: list[int] = []

    def cut_once() -> None:
        if not cut and lab3.docker("ps", "-q"):
            [open_one] = tunnel._open.values()
            cut.append(open_one._ssh.pid)
            os.killpg(open_one._ssh.pid, signal.SIGKILL)

    with pytest.raises(EnvironmentFault) as caught:
        runner.run(spec, log=tmp_path / "log", on_tick=cut_once)
    assert cut
    assert caught.value.exit_code == 3


def test_ctrl_c_leaves_nothing_there(lab3: OtherHost, runner: RemoteRunner, tmp_path: Path) -> None:
    def interrupt() -> None:
        if lab3.docker("ps", "-q"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(spec_for(lab3, tmp_path, "sleep 600"), log=tmp_path / "log", on_tick=interrupt)


def assay(lab3: OtherHost, *words: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ) | {
        "PATH": lab3.path,
        "PYTHONPATH": str(lab3.tree),
        "ASSAY_HOME": str(lab3.folder / "home"),
        "OUT": str(lab3.folder / "home" / "results"),
        "HOST": "lab3",
        "OFFLINE": "1",
    }
    return subprocess.run(
        [sys.executable, "-P", "-m", "driver", *words],
        env=env,
        cwd=lab3.tree,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_host_whose_key_is_another_one_is_refused(lab3: OtherHost) -> None:
    lab3.trust(lab3.folder / "key.pub")
    try:
        done = assay(lab3, "run", "--case", "vit_digits", "--vendor", "cpu")
    finally:
        lab3.trust(lab3.folder / "hostkey.pub")
    assert done.returncode == 3, done.stdout
    assert "check the host's key" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_whole_job_runs_there_and_its_result_names_the_host(lab3: OtherHost) -> None:
    done = assay(lab3, "run", "--case", "vit_digits", "--vendor", "cpu")
    assert done.returncode == 0, done.stdout
    [path] = (lab3.folder / "home" / "results").rglob("result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert (result["status"], result["job"]["runner"]) == ("ok", "docker")
    assert result["metrics"]["p_infer_core"] > 0
    assert result["provenance"]["host"]["name"] == "lab3"
    assert result["provenance"]["host"]["engine"].startswith("Docker ")
    assert "chip_unconfirmed" in {warning["code"] for warning in result["warnings"]}
    assert lab3.docker("ps", "-aq") == ""
    cleaned = assay(lab3, "clean")
    assert cleaned.returncode == 0, cleaned.stdout
    ours = f"label=assay.home={lab3.folder / 'home'}"
    assert lab3.docker("volume", "ls", "-q", "--filter", ours) == "", "of other homes, all stays"
