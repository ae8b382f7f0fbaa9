"""An engine that is killed in the middle of a stage is the host's fault, wherever it happens."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from docker.errors import APIError  # type: ignore[import-untyped]
from urllib3.exceptions import ProtocolError

from driver.errors import EnvironmentFault
from driver.runners.docker import DockerRunner
from driver.runners.orphans import Init
from driver.runners.spec import InstalledStack
from tests.driver.runners.hooks import make_spec, nothing

if TYPE_CHECKING:
    from pathlib import Path

STATE = {
    "ExitCode": 0,
    "OOMKilled": False,
    "StartedAt": "2026-01-01T00:00:00+00:00",
    "FinishedAt": "2026-01-01T00:00:01+00:00",
}
CONFIG: dict[str, Any] = {"Ulimits": []}


class Api:
    """An engine's API that answers until ``dies_in`` is called, and never after."""

    def __init__(self, dies_in: str, error: Exception) -> None:
        self._dies_in = dies_in
        self._error = error
        self._dead = False
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            self.called.append(name)
            self._dead = self._dead or name == self._dies_in
            if self._dead:
                raise self._error
            return (
                {"State": STATE, "Image": "sha256:1", "HostConfig": CONFIG}
                if name.startswith("inspect")
                else []
            )

        return call


class Client:
    def __init__(self, api: Api) -> None:
        self.api = api

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("Connection aborted."),
        ProtocolError("Connection broken: IncompleteRead"),
        APIError("500 Server Error"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "dies_in", ["create_container_from_config", "start", "wait", "inspect_container"]
)
def test_an_engine_that_dies_is_the_hosts_fault(
    tmp_path: Path, dies_in: str, error: Exception
) -> None:
    api = Api(dies_in, error)
    runner = DockerRunner(home=tmp_path)
    runner._client = Client(api)
    spec = replace(make_spec(tmp_path, "exit 0"), stack=InstalledStack(image="assay/x:1"))
    with pytest.raises(EnvironmentFault) as caught:
        runner.run(spec, log=tmp_path / "log", on_tick=nothing)
    assert caught.value.exit_code == 3
    assert api.called[-1] == "remove_container", "it tries to leave nothing behind"


@pytest.mark.parametrize("error", [ProtocolError("broken"), requests.exceptions.ConnectionError()])
def test_an_engine_that_dies_while_it_sends_the_log_ends_no_stage(
    tmp_path: Path, error: Exception
) -> None:
    runner = DockerRunner(home=tmp_path)
    runner._client = Client(Api("logs", error))
    spec = replace(make_spec(tmp_path, "exit 0"), stack=InstalledStack(image="assay/x:1"))
    assert runner.run(spec, log=tmp_path / "log", on_tick=nothing).code == 0


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def test_a_container_whose_engine_is_gone_is_ended() -> None:
    guest = sleeper()
    # Part of every line of /proc/<pid>/cgroup.
    init = Init.of({"Id": ":", "State": {"Pid": guest.pid}})
    assert init is not None
    init.end()
    init.close()
    assert guest.wait() == -signal.SIGKILL


@pytest.mark.parametrize("pid", [0, 1, None, "own"])
def test_a_process_that_may_be_anybodys_is_left_alone(pid: int | str | None) -> None:
    guest = sleeper()
    number = guest.pid if pid == "own" else pid
    assert Init.of({"Id": "f" * 64, "State": {"Pid": number}}) is None
    assert guest.poll() is None
    guest.kill()
    guest.wait()
