"""Runs a stage in a container. The only module that knows the Docker SDK."""

from __future__ import annotations

import math
import os
import re
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.errors import AssayError, ContractFault, EnvironmentFault, ImageFault
from driver.runners.admission import admit, lent
from driver.runners.base import (
    GRACE_S,
    TICK_S,
    CappedLog,
    Closing,
    Exit,
    require_hook,
)
from driver.runners.host_config import EngineTraits, container_config
from driver.system.driver_process import DriverProcess
from driver.system.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from driver.runners.spec import ContainerSpec

OTHER_WAY = "or use RUNNER=process, which needs no container engine"
DEFAULT_HOST = "unix:///var/run/docker.sock"
LABEL_PREFIX = "assay.driver-"
COMMAND_NOT_RUN = (126, 127)
ARCHIVE_CHUNK_BYTES = 1 << 20
ARCHIVE_SILENCE_S = 3600
"""Read timeout: packing or unpacking gigabytes is silent for longer than the SDK's minute."""
INIT_FAILED = re.compile(r"tini.*exec .* failed|catatonit.*exec")
"""Messages of tini (docker-init) and Podman's catatonit about a command they cannot execute."""
NO_INIT = re.compile(
    r'exec: "[^"]*(docker-init|tini|catatonit)"|container-init binary not found', re.IGNORECASE
)
"""Messages of Docker and Podman when the init program for `Init` is not installed."""


class NoInitError(EnvironmentFault):
    """The engine has no init program (docker-init, catatonit) installed."""


def connect() -> Any:  # docker.DockerClient; the SDK has no types
    """Return a client of the engine that the environment selects (DOCKER_HOST and so on).

    Raises EnvironmentFault when the SDK is missing or no engine answers.
    """
    try:
        # Imported late: it takes 0.17 s, which only container runs should pay.
        import docker  # type: ignore[import-untyped]
    except ImportError as error:
        raise EnvironmentFault(
            f"the Docker SDK for Python cannot be imported: {error}",
            f"remove {sys.prefix} and run again, which makes it anew, {OTHER_WAY}",
        ) from error
    _knock(os.environ.get("DOCKER_HOST") or DEFAULT_HOST)
    try:
        return docker.from_env()
    except docker.errors.DockerException as error:
        raise unreachable(str(error)) from error


def _knock(host: str) -> None:
    """Open and close the engine's socket: its errors are clearer than the SDK's."""
    kind, _, path = host.partition("://")
    if kind != "unix":
        return
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(path)
        except OSError as error:
            raise unreachable(f"{path}: {error.strerror}") from error


def unreachable(reason: str) -> EnvironmentFault:
    """Return the error for an engine that does not answer, with the usual remedy."""
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
        f"the Docker engine cannot be used: {reason}", f"type: docker info, {OTHER_WAY}"
    )


class DockerRunner(Closing):
    """Runs stages in containers of this machine's engine and removes every container."""

    def __init__(self, *, home: Path, grace_s: float = GRACE_S) -> None:
        self._home = home
        self._grace_s = grace_s
        self._client: Any = None
        self._traits = EngineTraits()

    def availability(self) -> None:
        """Connect, and remove containers that killed drivers of this ASSAY_HOME left behind."""
        if self._client is not None:
            return
        client = connect()
        with engine_faults():
            info = client.info()
            reap_containers(client, self._home)
        self._client = client
        self._traits = EngineTraits.of(info.get("SecurityOptions") or [])

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner."""
        self.availability()
        require_hook(spec)
        try:
            return self._run(spec, log, on_tick)
        except NoInitError:
            # Retry without it: the only loss is that an abort() is reported less precisely.
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
        """Raise ContractFault if the engine's init could not execute the hook."""
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
        """Create a container; on leaving the block, save its log and remove it."""
        config = container_config(spec, admit(spec), self._traits)
        # Name it ourselves, so that it can be removed even if the engine's answer never arrives.
        try:
            with engine_faults(), interrupts_deferred():
                self._client.api.create_container_from_config(config, spec.name)
            yield spec.name
        finally:
            with interrupts_deferred():
                try:
                    self._collect_log(spec.name, log)
                finally:
                    self._remove(spec.name)

    def _watch(self, container: str, timeout_s: float, on_tick: Callable[[], None]) -> bool:
        """Wait for the end; return whether the time limit had to be enforced."""
        deadline = time.monotonic() + timeout_s
        # Polling the engine would take processor time from the measurement.
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
        # The main thread sees the same errors when it inspects the container.
        with suppress(*_engine_errors()):
            self._client.api.wait(container, timeout=None)

    def _collect_log(self, container: str, log: Path) -> None:
        """Save the container's output. Raises EnvironmentFault if the disk does not take it."""
        copy = CappedLog(log)
        with suppress(*_engine_errors()):
            for chunk in self._client.api.logs(container, stream=True, follow=False):
                copy.write(chunk)
        copy.close()
        copy.require_written()

    def _remove(self, container: str) -> None:
        # 404: it was never created. 409: the engine is already removing it.
        with suppress(*_engine_errors()):
            self._client.api.remove_container(container, force=True, v=True)


def reap_containers(client: Any, home: Path) -> list[str]:
    """Remove containers of this home whose driver is certainly dead; return their names.

    Containers of live drivers, of other homes, and of drivers that cannot be checked from here
    (another host or pid namespace on the same engine) are kept.
    """
    import docker

    reaped = []
    for found in _containers(client, home):
        owner = _owner(found["Labels"])
        if owner is None or not owner.is_dead():
            continue
        with suppress(docker.errors.APIError):
            client.api.remove_container(found["Id"], force=True, v=True)
            reaped.append(_name(found))
    return reaped


def containers_of(client: Any, home: Path) -> dict[str, tuple[Path, ...]]:
    """Return this home's containers, running or not, by name, each with the host's paths that it mounts."""
    return {
        _name(found): tuple(
            Path(mount["Source"]) for mount in found.get("Mounts") or [] if mount.get("Source")
        )
        for found in _containers(client, home)
    }


def _containers(client: Any, home: Path) -> list[dict[str, Any]]:
    with engine_faults():
        return list(client.api.containers(all=True, filters={"label": f"assay.home={home}"}))


def _name(found: dict[str, Any]) -> str:
    return str(found["Names"][0]).removeprefix("/")


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


def read_image(client: Any, image: str) -> Iterator[bytes]:
    """Yield the archive of an image (`docker save`) in chunks of bytes."""
    client.api.timeout = ARCHIVE_SILENCE_S
    with engine_faults():
        yield from client.api.get_image(image, chunk_size=ARCHIVE_CHUNK_BYTES)


def write_images(client: Any, archive: Iterable[bytes]) -> None:
    """Load an archive of images into the engine (`docker load`); ImageFault if the engine rejects it."""
    client.api.timeout = ARCHIVE_SILENCE_S
    with engine_faults():
        steps = list(client.api.load_image(iter(archive), quiet=True))
    problems = [str(step["error"]) for step in steps if "error" in step]
    if problems:
        raise ImageFault(
            f"the engine did not accept the images: {problems[0]}",
            "check the engine's log and its disk (docker system df), then run `make load` again",
        )


@contextmanager
def engine_faults() -> Iterator[None]:
    """Turn the SDK's errors into ours, with kind and remedy."""
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
    except _engine_errors() as error:
        raise unreachable(str(error)) from error


def _engine_errors() -> tuple[type[Exception], ...]:
    """Return what the SDK raises for an engine that refuses, is gone, or stops in the middle of an answer."""
    import docker
    from urllib3.exceptions import HTTPError

    return docker.errors.DockerException, HTTPError, OSError


def _cannot_execute(said: str) -> ContractFault:
    return ContractFault(
        f"the image cannot execute the hook: {said}",
        "start the hook with the path of a program in the image, such as #!/bin/sh",
    )


def _refused(explanation: str) -> AssayError:
    if NO_INIT.search(explanation):
        return NoInitError(
            f"the engine has no init program: {explanation}",
            f"install docker-init (tini), {OTHER_WAY}",
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
        f"check `docker info` and the engine's log, {OTHER_WAY}",
    )


def lifetime_s(state: dict[str, Any]) -> float:
    """Return how long the guest itself ran, in seconds, by the engine's timestamps."""
    started = datetime.fromisoformat(state["StartedAt"])
    finished = datetime.fromisoformat(state["FinishedAt"])
    return max(0.0, (finished - started).total_seconds())
