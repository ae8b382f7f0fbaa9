"""Runs a stage in a container. The only module that knows the Docker SDK."""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from driver.errors import AssayError, ContractFault, EnvironmentFault, ImageFault
from driver.identity import DriverProcess
from driver.runners.admission import admit, lent
from driver.runners.base import (
    GRACE_S,
    TICK_S,
    CappedLog,
    Closing,
    Exit,
    interrupts_deferred,
    require_hook,
)
from driver.runners.host_config import EngineTraits, container_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from driver.containers import ContainerSpec

OTHER_WAY = "or use RUNNER=process, which needs no container engine"
DEFAULT_HOST = "unix:///var/run/docker.sock"
LABEL_PREFIX = "assay.driver-"
COMMAND_NOT_RUN = (126, 127)
INIT_FAILED = re.compile(r"tini.*exec .* failed|catatonit.*exec")
"""What tini (docker-init) and Podman's catatonit say of a command that they cannot execute."""
NO_INIT = re.compile(
    r'exec: "[^"]*(docker-init|tini|catatonit)"|container-init binary not found', re.IGNORECASE
)
"""What Docker and Podman say where the program is missing that `Init` asks for."""


class NoInitError(EnvironmentFault):
    """The engine has no small init to put before a container's command."""


def connect() -> Any:  # docker.DockerClient; the SDK has no types
    """Return a client of this machine's engine (DOCKER_HOST and so on are the environment's).

    Raises EnvironmentFault when the SDK is missing or no engine answers.
    """
    try:
        # A sixth of a second that only those who use containers pay.
        import docker  # type: ignore[import-untyped]
    except ImportError as error:
        raise EnvironmentFault(
            f"the Docker SDK for Python cannot be imported: {error}",
            f"remove .venv and run again, so that it is installed, {OTHER_WAY}",
        ) from error
    _knock(os.environ.get("DOCKER_HOST") or DEFAULT_HOST)
    try:
        return docker.from_env()
    except docker.errors.DockerException as error:
        raise unreachable(str(error)) from error


def _knock(host: str) -> None:
    """Open and close the engine's socket: its errors are clearer than the SDK's about it."""
    kind, _, path = host.partition("://")
    if kind != "unix":
        return
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(path)
        except OSError as error:
            raise unreachable(f"{path}: {error.strerror}") from error


def unreachable(reason: str) -> EnvironmentFault:
    """Return the error for an engine that does not answer, with what usually helps."""
    if "Permission denied" in reason:
        return EnvironmentFault(
            f"this user may not open the Docker engine's socket ({reason})",
            f"type: sudo usermod -aG docker $USER, and log in again, {OTHER_WAY}",
        )
    if "Connection refused" in reason or "No such file" in reason:
        return EnvironmentFault(
            f"no Docker engine answers on this machine ({reason})",
            f"type: sudo systemctl start docker (or set DOCKER_HOST), {OTHER_WAY}",
        )
    return EnvironmentFault(
        f"the Docker engine cannot be used: {reason}", f"see what `docker info` says, {OTHER_WAY}"
    )


class DockerRunner(Closing):
    """Runs stages in containers of this machine's engine, and removes every one of them."""

    def __init__(self, *, home: Path, grace_s: float = GRACE_S) -> None:
        self._home = home
        self._grace_s = grace_s
        self._client: Any = None
        self._traits = EngineTraits()

    def availability(self) -> None:
        """Connect, and remove what killed drivers of this ASSAY_HOME left behind."""
        if self._client is not None:
            return
        self._client = connect()
        info = self._client.info()
        self._traits = EngineTraits.of(info.get("SecurityOptions") or [])
        reap_leftovers(self._client, self._home)

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner."""
        self.availability()
        require_hook(spec)
        try:
            return self._run(spec, log, on_tick)
        except NoInitError:
            # An engine may lack the program; only an abort() is told worse without it.
            self._traits = replace(self._traits, init=False)
            return self._run(spec, log, on_tick)

    def _run(self, spec: ContainerSpec, log: Path, on_tick: Callable[[], None]) -> Exit:
        started = time.monotonic()
        with lent(spec), self._container(spec, log) as container:
            with engine_faults(), interrupts_deferred():
                self._client.api.start(container)
            timed_out = self._watch(container, spec.limits.timeout_s, on_tick)
            with engine_faults():
                found = self._client.api.inspect_container(container)
            if self._traits.init and found["State"]["ExitCode"] in COMMAND_NOT_RUN:
                self._require_executed(container)
        wall_s = time.monotonic() - started
        state = found["State"]
        return Exit(
            code=state["ExitCode"],
            oom_killed=state["OOMKilled"],
            timed_out=timed_out,
            wall_s=wall_s,
            overhead_s=max(0.0, wall_s - lifetime_s(state)),
            executed_in=found["Image"],
        )

    def _require_executed(self, container: str) -> None:
        """ContractFault where the engine's init says that it could not execute the hook."""
        with engine_faults():
            text = self._client.api.logs(container, tail=5).decode("utf-8", "replace")
        said = next((line for line in text.splitlines() if INIT_FAILED.search(line)), None)
        if said is not None:
            raise _cannot_execute(said)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _container(self, spec: ContainerSpec, log: Path) -> Iterator[str]:
        """Create a container; when the block is left, however, its log is kept and it is gone."""
        config = container_config(spec, admit(spec), self._traits)
        # We name it, so that it can be removed although the engine's answer never came.
        try:
            with engine_faults(), interrupts_deferred():
                self._client.api.create_container_from_config(config, spec.name)
            yield spec.name
        finally:
            with interrupts_deferred():
                self._collect_log(spec.name, log)
                self._remove(spec.name)

    def _watch(self, container: str, timeout_s: float, on_tick: Callable[[], None]) -> bool:
        """Wait for the end; say whether the time limit had to be enforced."""
        deadline = time.monotonic() + timeout_s
        # Asking the engine again and again would cost the measurement a share of a core.
        waiter = threading.Thread(target=self._wait, args=(container,), daemon=True)
        waiter.start()
        while True:
            waiter.join(TICK_S)
            if not waiter.is_alive():
                return False
            on_tick()
            if time.monotonic() > deadline:
                with engine_faults():
                    self._client.api.stop(container, timeout=math.ceil(self._grace_s))
                waiter.join(self._grace_s)
                return True

    def _wait(self, container: str) -> None:
        import docker

        # Errors show up again, for the main thread, when it inspects the container.
        with suppress(docker.errors.DockerException, OSError):
            self._client.api.wait(container, timeout=None)

    def _collect_log(self, container: str, log: Path) -> None:
        import docker

        copy = CappedLog(log)
        with suppress(docker.errors.DockerException, OSError):
            for chunk in self._client.api.logs(container, stream=True, follow=False):
                copy.write(chunk)
        copy.close()

    def _remove(self, container: str) -> None:
        import docker

        # 404: it never came to be. 409: the engine is at it already.
        with suppress(docker.errors.DockerException, OSError):
            self._client.api.remove_container(container, force=True, v=True)


def reap_leftovers(client: Any, home: Path) -> list[str]:
    """Remove the containers of drivers of this home that are certainly dead; return their names.

    A living driver's containers, another home's, and those whose driver cannot be judged from
    here (another host or pid namespace on the same engine) are not touched.
    """
    import docker

    reaped = []
    for found in client.api.containers(all=True, filters={"label": f"assay.home={home}"}):
        owner = _owner(found["Labels"])
        if owner is None or not owner.is_dead():
            continue
        with suppress(docker.errors.APIError):
            client.api.remove_container(found["Id"], force=True, v=True)
            reaped.append(found["Names"][0].removeprefix("/"))
    return reaped


def _owner(labels: dict[str, str]) -> DriverProcess | None:
    values = {
        name.removeprefix(LABEL_PREFIX): value
        for name, value in labels.items()
        if name.startswith(LABEL_PREFIX)
    }
    try:
        return DriverProcess.from_dict(values)
    except (KeyError, ValueError):
        return None


@contextmanager
def engine_faults() -> Iterator[None]:
    """Turn the SDK's errors into ours: whose fault, and what to type next."""
    import docker

    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageFault(
            f"the stage's image is not on this machine: {error.explanation}",
            "type: make images, or `docker load` where there is no network",
        ) from error
    except docker.errors.APIError as error:
        raise _refused(str(error.explanation or error)) from error
    except (docker.errors.DockerException, OSError) as error:
        raise unreachable(str(error)) from error


def _cannot_execute(said: str) -> ContractFault:
    return ContractFault(
        f"the image cannot execute the hook: {said}",
        "the hook's first line must name a program of the image, such as #!/bin/sh",
    )


def _refused(explanation: str) -> AssayError:
    if NO_INIT.search(explanation):
        return NoInitError(
            f"the engine has no init: {explanation}", f"install docker-init (tini), {OTHER_WAY}"
        )
    if 'exec: "' in explanation:
        return _cannot_execute(explanation)
    if "could not select device driver" in explanation or "CDI device" in explanation:
        return EnvironmentFault(
            f"the engine cannot give the container its devices: {explanation}",
            "install the vendor's container toolkit (for NVIDIA: nvidia-container-toolkit, then "
            "`sudo nvidia-ctk runtime configure` or `nvidia-ctk cdi generate`)",
        )
    return EnvironmentFault(
        f"the Docker engine refused the container: {explanation}",
        f"see what `docker info` and the engine's log say, {OTHER_WAY}",
    )


def lifetime_s(state: dict[str, Any]) -> float:
    """Return how long the guest itself lived, from the engine's own time stamps."""
    started = datetime.fromisoformat(state["StartedAt"])
    finished = datetime.fromisoformat(state["FinishedAt"])
    return max(0.0, (finished - started).total_seconds())
