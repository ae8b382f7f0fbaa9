"""What an engine's own description says of what it is, and of what it can enforce."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.runners.devices import Devices
from driver.runners.docker import enforced, require_gpus
from driver.runners.engine.client import engine_addresses, unreachable
from driver.runners.engine.traits import EngineTraits, read_traits
from tests.driver.runners.hooks import make_spec

if TYPE_CHECKING:
    from pathlib import Path

PODMAN_INFO: dict[str, Any] = {
    "host": {
        "cgroupControllers": [],
        "cgroupVersion": "v1",
        "security": {"rootless": True, "selinuxEnabled": False},
    },
    "version": {"Version": "4.3.1"},
}
"""Of `podman info`, recorded from Debian's 4.3.1 as an ordinary user without a delegated cgroup."""


class Answer(SimpleNamespace):
    """A response of requests."""

    def json(self) -> dict[str, Any]:
        return PODMAN_INFO

    def raise_for_status(self) -> None:
        pass


def test_podman_is_told_by_its_header_and_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def get(url: str) -> Answer:
        asked.append(url)
        return Answer(headers={"Libpod-API-Version": "4.3.1"})

    traits = read_traits(SimpleNamespace(api=SimpleNamespace(base_url="http://x", get=get)))
    assert (traits.title, traits.podman) == ("Podman 4.3.1, rootless", True)
    assert not traits.limits_memory
    assert not traits.limits_processes
    assert asked == ["http://x/_ping", "http://x/v4.0.0/libpod/info"]


def test_delegated_controllers_limit_a_rootless_container() -> None:
    host = PODMAN_INFO["host"] | {"cgroupControllers": ["cpu", "memory", "pids"]}
    traits = EngineTraits.of_podman(PODMAN_INFO | {"host": host})
    assert (traits.limits_memory, traits.limits_processes) == (True, True)


def test_docker_without_cgroups_says_so_itself() -> None:
    info = {"ServerVersion": "27.0", "MemoryLimit": False, "SecurityOptions": ["name=rootless"]}
    traits = EngineTraits.of(info)
    assert (traits.title, traits.limits_memory) == ("Docker 27.0, rootless", False)


@pytest.mark.parametrize(
    ("version", "kind", "heeds"),
    [
        ("4.3.1", "Podman", False),
        ("5.3.2", "Podman", False),
        ("5.4.0", "Podman", True),
        ("10.0.0-rc1", "Podman", True),
        ("20.10", "Docker", True),
    ],
)
def test_an_engine_that_would_start_without_the_gpu_is_refused(
    tmp_path: Path, version: str, kind: str, *, heeds: bool
) -> None:
    engine = EngineTraits(kind=kind, version=version)
    gpu = Devices(gpus="nvidia", gpu_ids=("0",))
    spec = replace(make_spec(tmp_path, "exit 0"), devices=gpu)
    assert engine.gives_gpus is heeds
    if heeds:
        require_gpus(spec, engine)
        return
    with pytest.raises(EnvironmentFault, match="without the GPUs") as caught:
        require_gpus(spec, engine)
    assert "Podman 5.4" in caught.value.remedy


def test_the_result_says_what_the_engine_really_applied() -> None:
    rootless = EngineTraits.of_podman(PODMAN_INFO)
    dropped = enforced(rootless, {"Ulimits": []})
    assert (dropped.memory, dropped.processes) == ("driver", "nobody")
    kept = enforced(rootless, {"Ulimits": [{"Name": "RLIMIT_NPROC", "Hard": 9, "Soft": 9}]})
    assert kept.processes == "rlimit"
    docker = enforced(EngineTraits(), {"Ulimits": None})
    assert (docker.memory, docker.processes, docker.rootless) == ("cgroup", "cgroup", False)


def test_the_engine_that_docker_host_names_is_the_only_one_asked() -> None:
    named = {"DOCKER_HOST": "tcp://lab3:2376", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert engine_addresses(named, is_root=False) == ("tcp://lab3:2376",)


def test_without_docker_host_dockers_socket_comes_before_the_users_own_engines() -> None:
    found = engine_addresses({"XDG_RUNTIME_DIR": "/run/user/7"}, is_root=False)
    assert found == (
        "unix:///var/run/docker.sock",
        "unix:///run/user/7/docker.sock",
        "unix:///run/user/7/podman/podman.sock",
    )
    assert engine_addresses({}, is_root=True)[-1] == "unix:///run/podman/podman.sock"


def test_podman_that_does_not_run_says_how_to_start_it() -> None:
    fault = unreachable("/run/user/7/podman/podman.sock: No such file or directory")
    assert "systemctl --user start podman.socket" in fault.remedy
