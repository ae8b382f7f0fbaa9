"""What kind of engine answers, and which limits it can hold a container to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.runners.engine.client import engine_faults

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER = "Docker"
PODMAN = "Podman"
LIBPOD_HEADER = "Libpod-API-Version"
LIBPOD_INFO = "/v4.0.0/libpod/info"
"""Podman's own API. Its `/info` for Docker's clients reports the host's cgroups, not the user's."""

CDI_BY_API = (5, 4)
"""The first Podman that gives a container the CDI devices which Docker's API asks for; those before start
it without them (containers/podman#19338)."""


@dataclass(frozen=True, kw_only=True)
class EngineTraits:
    """Differences between engines that change the request, and what of it an engine can enforce.

    ``init``: the engine is believed to have an init program (docker-init, catatonit).
    ``limits_memory``, ``limits_processes``: by cgroups. A rootless engine has only the controllers
    that the system delegates to its user, with cgroups v1 none.
    """

    kind: str = DOCKER
    version: str = ""
    rootless: bool = False
    remapped: bool = False
    selinux: bool = False
    init: bool = True
    limits_memory: bool = True
    limits_processes: bool = True

    @property
    def podman(self) -> bool:
        """Whether it is Podman."""
        return self.kind == PODMAN

    @property
    def gives_gpus(self) -> bool:
        """Whether it heeds a request for GPUs; a Podman before 5.4 starts the container without them."""
        return not self.podman or _release(self.version) >= CDI_BY_API

    @property
    def title(self) -> str:
        """Return its name for people: "Podman 4.3.1, rootless"."""
        return f"{self.kind} {self.version}".strip() + (", rootless" if self.rootless else "")

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> EngineTraits:
        """Return the traits of a Docker engine: ``info`` is what `docker info` shows."""
        names = _security_names(info)
        return cls(
            version=str(info.get("ServerVersion") or ""),
            rootless="rootless" in names,
            remapped="userns" in names,
            selinux="selinux" in names,
            limits_memory=bool(info.get("MemoryLimit", True)),
            limits_processes=bool(info.get("PidsLimit", True)),
        )

    @classmethod
    def of_podman(cls, info: Mapping[str, Any]) -> EngineTraits:
        """Return the traits of Podman: ``info`` is what `podman info` shows."""
        host = info["host"]
        controllers = host.get("cgroupControllers") or ()
        return cls(
            kind=PODMAN,
            version=str(info["version"]["Version"]),
            rootless=bool(host["security"]["rootless"]),
            selinux=bool(host["security"].get("selinuxEnabled")),
            limits_memory="memory" in controllers,
            limits_processes="pids" in controllers,
        )


def read_traits(client: Any) -> EngineTraits:
    """Ask an engine what it is. Raises EnvironmentFault when it does not answer."""
    api = client.api
    with engine_faults():
        # One question to Podman: it takes half a second to answer each.
        if LIBPOD_HEADER in api.get(f"{api.base_url}/_ping").headers:
            answer = api.get(f"{api.base_url}{LIBPOD_INFO}")
            answer.raise_for_status()
            return EngineTraits.of_podman(answer.json())
        return EngineTraits.of(client.info())


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _security_names(info: Mapping[str, Any]) -> set[str]:
    """Return the names of SecurityOptions: entries such as "name=seccomp,profile=default"."""
    return {
        part.removeprefix("name=")
        for option in info.get("SecurityOptions") or []
        for part in option.split(",")
        if part.startswith("name=")
    }
