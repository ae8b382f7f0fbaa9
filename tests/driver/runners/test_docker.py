"""The Docker runner without an engine, or with one that refuses: failure kinds and remedies."""

from __future__ import annotations

import builtins
import os
import socket
from dataclasses import replace
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from driver.errors import ContractFault, EnvironmentFault, ImageFault
from driver.models.base import RunnerName
from driver.runners import RunnerSettings, open_runner
from driver.runners.docker import lifetime_s
from driver.runners.engine import client
from driver.runners.engine.client import NoInitError, connect, engine_faults
from driver.runners.engine.containers import reap_containers
from driver.system.driver_process import DriverProcess


@pytest.fixture
def engine_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


def test_no_engine_is_an_environment_fault_that_names_the_alternative(engine_at: Path) -> None:
    with pytest.raises(EnvironmentFault, match="no Docker engine answers") as error:
        open_runner(RunnerName.DOCKER, RunnerSettings(home=engine_at.parent)).availability()
    assert error.value.exit_code == 3
    assert "systemctl start docker" in error.value.remedy
    assert "RUNNER=process" in error.value.remedy


def test_a_dead_socket_is_an_environment_fault_too(engine_at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(engine_at))
    with pytest.raises(EnvironmentFault, match="no Docker engine answers"):
        connect()


def test_a_path_that_no_socket_can_have_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It said `None`, and to ask `docker info`, which says less."""
    monkeypatch.setenv("DOCKER_HOST", f"unix:///tmp/{'long' * 30}/docker.sock")
    with pytest.raises(EnvironmentFault, match="path too long") as error:
        connect()
    assert "from a shorter path" in error.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
def test_a_forbidden_socket_has_a_remedy(engine_at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(engine_at))
        listening.listen()
        engine_at.chmod(0)
        with pytest.raises(EnvironmentFault, match="may not open the Docker engine's socket"):
            connect()


def test_permission_denied_names_the_group() -> None:
    fault = client.unreachable("('Connection aborted.', PermissionError(13, 'Permission denied'))")
    assert "usermod -aG docker" in fault.remedy


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_docker(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "docker":
            raise ImportError("No module named 'docker'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_docker)
    with pytest.raises(EnvironmentFault, match="SDK for Python cannot be imported") as error:
        connect()
    assert "RUNNER=process" in error.value.remedy


@pytest.mark.parametrize(
    ("explanation", "kind", "said"),
    [
        ('OCI: exec: "/job/hook/hook": permission denied', ContractFault, "cannot execute"),
        ('could not select device driver "" with capabilities', EnvironmentFault, "its devices"),
        ("failed to inject: unresolvable CDI devices a/b=0", EnvironmentFault, "its devices"),
        ('exec: "docker-init": executable file not found', NoInitError, "has no init"),
        ("container-init binary not found on the host: stat /x", NoInitError, "has no init"),
        ("no space left on device", EnvironmentFault, "refused the container: no space left"),
    ],
)
def test_the_engines_refusals_are_attributed_correctly(
    explanation: str, kind: type[Exception], said: str
) -> None:
    from docker.errors import APIError  # type: ignore[import-untyped]

    with pytest.raises(kind, match=said), engine_faults():
        raise APIError("500", explanation=explanation)


def test_a_missing_image_says_how_to_make_it() -> None:
    from docker.errors import ImageNotFound

    with pytest.raises(ImageFault, match="not on this machine") as error, engine_faults():
        raise ImageNotFound("404", explanation="No such image: assay/acme")
    assert "make images" in error.value.remedy


def test_an_engine_that_went_away_is_the_hosts_fault() -> None:
    for said in (
        ConnectionResetError("Connection reset by peer"),
        ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer")),
        ProtocolError("Connection aborted.", RemoteDisconnected("Remote end closed connection")),
        ProtocolError("Connection broken: IncompleteRead(0 bytes read, 5 more expected)"),
        BrokenPipeError(32, "Broken pipe"),
    ):
        with (
            pytest.raises(EnvironmentFault, match="engine ended, or cut") as error,
            engine_faults(),
        ):
            raise said
        assert "journalctl --unit docker" in error.value.remedy


def test_the_guests_lifetime_has_nanosecond_precision() -> None:
    state = {
        "StartedAt": "2024-02-29T23:59:59.500000001Z",
        "FinishedAt": "2024-03-01T00:00:01.750000999Z",
    }
    assert lifetime_s(state) == pytest.approx(2.25)


class Engine:
    """Implements the two calls that reaping needs."""

    def __init__(self, containers: list[dict[str, Any]]) -> None:
        self.api = self
        self._containers = containers
        self.removed: list[str] = []

    def containers(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:
        key, _, value = filters["label"].partition("=")
        return [found for found in self._containers if all and found["Labels"].get(key) == value]

    def remove_container(self, container: str, *, force: bool, v: bool) -> None:
        assert force
        assert v
        self.removed.append(container)


def container(name: str, home: str, owner: DriverProcess | None) -> dict[str, Any]:
    labels = {"assay.home": home}
    if owner is not None:
        labels |= {f"assay.driver-{key}": value for key, value in owner.to_dict().items()}
    return {"Id": name, "Names": [f"/{name}"], "Labels": labels}


def test_only_dead_drivers_containers_of_this_home_are_reaped(tmp_path: Path) -> None:
    living = DriverProcess.current()
    dead = replace(living, start=living.start - 1)
    home = str(tmp_path)
    engine = Engine(
        [
            container("dead", home, dead),
            container("living", home, living),
            container("elsewhere", home, replace(dead, namespace="pid:[2]")),
            container("unsigned", home, None),
            container("other-home", "/other", dead),
        ]
    )
    assert reap_containers(engine, tmp_path) == ["dead"]
    assert engine.removed == ["dead"]
