"""Runs a stage in a container of an engine that speaks Docker's API: Docker, or Podman."""

from __future__ import annotations

import math
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from driver.errors import EnvironmentFault
from driver.models.base import REFERENCE_STAGES
from driver.runners.admission import admit, lent
from driver.runners.base import (
    GRACE_S,
    TICK_S,
    CappedLog,
    Closing,
    Enforced,
    Exit,
    Limiter,
    require_hook,
)
from driver.runners.engine.client import (
    NoInitError,
    cannot_execute,
    connect,
    engine_errors,
    engine_faults,
    engine_refusal,
    other_way,
)
from driver.runners.engine.containers import reap_containers
from driver.runners.engine.traits import EngineTraits, read_traits
from driver.runners.host_config import container_config
from driver.runners.memory import MemoryWatch, container_watch
from driver.runners.orphans import Init
from driver.system.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from driver.runners.spec import ContainerSpec

INIT_FAILURES = (1, 126, 127)
"""What an init ends with if it cannot execute the command: Podman's catatonit with 1."""
INIT_FAILED = re.compile(r"tini.*exec .* failed|catatonit.*exec")
"""Messages of tini (docker-init) and Podman's catatonit about a command they cannot execute."""


class DockerRunner(Closing):
    """Runs stages in containers of one engine and removes every container.

    ``traits``: what that engine is, known after ``availability``.
    """

    POLLS_MEMORY = True
    """Whether the driver sees the container's processes, and can add up their memory."""

    def __init__(self, *, home: Path, grace_s: float = GRACE_S) -> None:
        self._home = home
        self._grace_s = grace_s
        self._client: Any = None
        self.traits = EngineTraits()
        self._init: Init | None = None

    def availability(self) -> None:
        """Connect, and remove containers that killed drivers of this ASSAY_HOME left behind."""
        if self._client is not None:
            return
        client = connect()
        self.traits = read_traits(client)
        reap_containers(client, self._home)
        self._client = client

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner."""
        self.availability()
        require_hook(spec)
        require_gpus(spec, self.traits)
        try:
            return self._run(spec, log, on_tick)
        except NoInitError:
            # Retry without it: the only loss is that an abort() is reported less precisely.
            self.traits = replace(self.traits, init=False)
            return self._run(spec, log, on_tick)

    def _run(self, spec: ContainerSpec, log: Path, on_tick: Callable[[], None]) -> Exit:
        started = time.monotonic()
        with self._config(spec) as config, self._container(spec, config, log) as container:
            with engine_faults(), interrupts_deferred():
                self._client.api.start(container)
                self._init = Init.of(self._client.api.inspect_container(container))
            memory = self._memory_watch(spec)
            why = self._watch(container, memory, spec.limits.timeout_s, on_tick)
            with engine_faults():
                found = self._client.api.inspect_container(container)
            if self.traits.init and found["State"]["ExitCode"] in INIT_FAILURES:
                self._require_executed(container)
        wall_s = time.monotonic() - started
        state = found["State"]
        return Exit(
            code=state["ExitCode"],
            oom_killed=state["OOMKilled"] or why == "memory",
            timed_out=why == "time",
            wall_s=wall_s,
            overhead_s=max(0.0, wall_s - lifetime_s(state)),
            executed_in=found["Image"],
            enforced=enforced(self.traits, found["HostConfig"], polls=self.POLLS_MEMORY),
            peak_memory_bytes=None if memory is None else memory.peak_bytes or None,
        )

    def _memory_watch(self, spec: ContainerSpec) -> MemoryWatch | None:
        """Return what samples the memory of a stage that measures nothing, as looking takes processor time.

        Where the engine has no memory cgroup, it stands in for that in every stage.
        """
        limited = self.traits.limits_memory
        if not self.POLLS_MEMORY or (limited and spec.stage not in REFERENCE_STAGES):
            return None
        with engine_faults():
            found = self._client.api.inspect_container(spec.name)
        pid = found["State"]["Pid"]
        if limited:
            return container_watch(pid, found["Id"])
        return MemoryWatch(pid, spec.limits.memory_bytes) if pid else None

    def _require_executed(self, container: str) -> None:
        """Raise ContractFault if the engine's init could not execute the hook."""
        with engine_faults():
            text = self._client.api.logs(container, tail=5).decode("utf-8", "replace")
        said = next((line for line in text.splitlines() if INIT_FAILED.search(line)), None)
        if said is not None:
            raise cannot_execute(said)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _config(self, spec: ContainerSpec) -> Iterator[dict[str, Any]]:
        """Yield the request for the stage's container, while what it needs is there."""
        with lent(spec):
            yield container_config(spec, admit(spec), self.traits)

    @contextmanager
    def _container(self, spec: ContainerSpec, config: dict[str, Any], log: Path) -> Iterator[str]:
        """Create a container; on leaving the block, save its log and remove it."""
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
                    self._forget_init()

    def _watch(
        self,
        container: str,
        memory: MemoryWatch | None,
        timeout_s: float,
        on_tick: Callable[[], None],
    ) -> Literal["time", "memory"] | None:
        """Wait for the end; return which limit the driver had to enforce."""
        deadline = time.monotonic() + timeout_s
        # Polling the engine would take processor time from the measurement.
        waiter = threading.Thread(target=self._wait, args=(container,), daemon=True)
        waiter.start()
        while True:
            waiter.join(TICK_S)
            if not waiter.is_alive():
                return None
            on_tick()
            if memory is not None and memory.exceeded():
                with engine_faults():
                    self._client.api.kill(container)
                waiter.join(self._grace_s)
                return "memory"
            if time.monotonic() > deadline:
                with engine_faults():
                    self._client.api.stop(container, timeout=math.ceil(self._grace_s))
                waiter.join(self._grace_s)
                return "time"

    def _wait(self, container: str) -> None:
        # The main thread sees the same errors when it inspects the container.
        with suppress(*engine_errors()):
            self._client.api.wait(container, timeout=None)

    def _collect_log(self, container: str, log: Path) -> None:
        """Save the container's output. Raises EnvironmentFault if the disk does not take it."""
        copy = CappedLog(log)
        with suppress(*engine_errors()):
            for chunk in self._client.api.logs(container, stream=True, follow=False):
                copy.write(chunk)
        copy.close()
        copy.require_written()

    def _remove(self, container: str) -> None:
        try:
            self._client.api.remove_container(container, force=True, v=True)
        except engine_refusal():
            return  # 404: it was never created. 409: the engine is already removing it.
        except engine_errors():
            if self._init is not None:
                self._init.end()

    def _forget_init(self) -> None:
        if self._init is not None:
            self._init.close()
        self._init = None


def require_gpus(spec: ContainerSpec, engine: EngineTraits) -> None:
    """Raise EnvironmentFault if the engine would start the stage without the GPUs that it needs."""
    if spec.devices.gpus != "none" and not engine.gives_gpus:
        raise EnvironmentFault(
            f"{engine.title} starts containers without the GPUs that are asked for through Docker's API",
            f"install Podman 5.4 or newer, or a Docker engine (DOCKER_HOST=), {other_way()}",
        )


def enforced(engine: EngineTraits, config: Mapping[str, Any], *, polls: bool = True) -> Enforced:
    """Return what held a container, by its HostConfig as the engine reports it.

    Podman drops limits that it cannot apply (all without a cgroup; ulimits before 5.5, if rootless).
    """
    limited = {limit["Name"].lower().removeprefix("rlimit_") for limit in config["Ulimits"] or []}
    processes: Limiter = "rlimit" if "nproc" in limited else "nobody"
    return Enforced(
        engine=engine.title,
        rootless=engine.rootless,
        memory="cgroup" if engine.limits_memory else "driver" if polls else "nobody",
        processes="cgroup" if engine.limits_processes else processes,
    )


def lifetime_s(state: dict[str, Any]) -> float:
    """Return how long the guest itself ran, in seconds, by the engine's timestamps."""
    started = datetime.fromisoformat(state["StartedAt"])
    finished = datetime.fromisoformat(state["FinishedAt"])
    return max(0.0, (finished - started).total_seconds())
