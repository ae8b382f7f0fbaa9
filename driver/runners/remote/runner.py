"""Runs a stage on the engine of another host: what it needs is sent, what it left is fetched."""

from __future__ import annotations

import platform
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.errors import EnvironmentFault
from driver.runners.docker import DockerRunner
from driver.runners.engine.archives import ARCHIVE_SILENCE_S
from driver.runners.engine.client import connect, engine_errors, engine_faults, not_found
from driver.runners.engine.containers import reap_volumes
from driver.runners.host_config import Admitted, container_config, guest_user
from driver.runners.remote.parcels import content_digest, packed, unpack
from driver.runners.spec import JOB_ROOT
from driver.system.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from driver.runners.spec import ContainerSpec, Mount

KEPT = frozenset({"data", "model", "weights", "golden", "labels"})
"""Inputs that stay on the other host, in a volume by their content's digest: sent once."""

WRITABLE = ("out", "cache")
SENT = "-sent"
"""Ends the name of an empty volume beside a kept one: everything has arrived in it."""

CONTENT = "assay.content"
RECONNECTS = 3
RECONNECT_EVERY_S = 1.0
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume on the other host: its name there and where the stage sees it."""

    name: str
    target: str
    read_only: bool

    def bind(self) -> dict[str, Any]:
        """Return it as a mount of the Engine API."""
        return {
            "Type": "volume",
            "Source": self.name,
            "Target": self.target,
            "ReadOnly": self.read_only,
            # The image's own files at that path are not to appear in it.
            "VolumeOptions": {"NoCopy": True},
        }


class RemoteRunner(DockerRunner):
    """Runs stages on another host; nothing is bind-mounted from here.

    Each stage gets a volume with its inputs, which it sees read-only, and one each for what it writes.
    A container that never starts (the carrier) is the door to them: the engine's copy calls need one.
    """

    POLLS_MEMORY = False

    def __init__(self, *, home: Path, host: str) -> None:
        super().__init__(home=home)
        self._host = host
        self._on_tick: Callable[[], None] = lambda: None

    def availability(self) -> None:
        """Connect, check that images made here run there, and remove what dead drivers left there."""
        if self._client is not None:
            return
        super().availability()
        client: Any = self._client
        with engine_faults():
            info = client.info()
        client.api.timeout = ARCHIVE_SILENCE_S
        reap_volumes(client, self._home)
        require_architecture(self._host, info, platform.machine())

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Any:
        """Run one stage; see Runner. ``on_tick`` also watches over what comes back."""
        self._on_tick = on_tick
        return super().run(spec, log=log, on_tick=on_tick)

    @contextmanager
    def _config(self, spec: ContainerSpec) -> Iterator[dict[str, Any]]:
        """Send the stage's inputs; after the block fetch what it left, and remove everything of it."""
        carrier = f"{spec.name}-carrier"
        try:
            yield self._send(spec, carrier)
            for mount in spec.mounts:
                if not mount.read_only:
                    self._fetch(carrier, mount)
        finally:
            with interrupts_deferred():
                self._clear(
                    (spec.name, carrier), [f"{spec.name}-{part}" for part in ("in", *WRITABLE)]
                )

    def _send(self, spec: ContainerSpec, carrier: str) -> dict[str, Any]:
        kept = {
            one.target: self._kept_volume(one)
            for one in spec.mounts
            if one.target in KEPT and one.source.is_dir()
        }
        volumes = [
            Volume(name=f"{spec.name}-in", target=JOB_ROOT, read_only=True),
            *kept.values(),
            *(
                Volume(
                    name=f"{spec.name}-{mount.target}",
                    target=f"{JOB_ROOT}/{mount.target}",
                    read_only=False,
                )
                for mount in spec.mounts
                if not mount.read_only
            ),
        ]
        self._make_carrier(spec, carrier, volumes)
        owner = int(guest_user(spec, self.traits).partition(":")[0])
        inputs = [
            (mount.target, None if mount.target in kept else mount.source)
            for mount in spec.mounts
            if mount.read_only
        ]
        self._put(carrier, JOB_ROOT, inputs, masks=spec.masks)
        for mount in spec.mounts:
            if not mount.read_only:
                # From the folder above: an engine leaves the owner of an archive's "." as it is.
                self._put(carrier, JOB_ROOT, [(mount.target, mount.source)], owner=owner)
        for mount in spec.mounts:
            if mount.target in kept:
                self._put_once(carrier, mount, kept[mount.target])
        return self._stage_config(spec, volumes)

    def _stage_config(self, spec: ContainerSpec, volumes: list[Volume]) -> dict[str, Any]:
        # The vendor's driver is the other host's: its engine says what of it is missing.
        host_mounts = tuple(mount for mount in spec.devices.host_mounts if not mount.optional)
        admitted = Admitted(mounts=(), host_mounts=host_mounts, masks=(), group_ids=())
        config = container_config(spec, admitted, self.traits)
        config["HostConfig"]["Mounts"] += [volume.bind() for volume in volumes]
        return config

    def _kept_volume(self, mount: Mount) -> Volume:
        digest = content_digest(mount.source, self._home / "cache" / "sha256")
        return Volume(
            name=f"assay-content-{digest[:32]}",
            target=f"{JOB_ROOT}/{mount.target}",
            read_only=True,
        )

    def _make_carrier(self, spec: ContainerSpec, carrier: str, volumes: list[Volume]) -> None:
        with engine_faults(), interrupts_deferred():
            for volume in volumes:
                kept = "-content-" in volume.name
                labels = self._content_labels() if kept else dict(spec.labels)
                self._client.api.create_volume(volume.name, labels=labels)
            config = {
                "Image": spec.stack.image,
                "Cmd": ["never-started"],
                "Labels": dict(spec.labels),
                "HostConfig": {
                    "NetworkMode": "none",
                    "Mounts": [volume.bind() | {"ReadOnly": False} for volume in volumes],
                },
            }
            self._client.api.create_container_from_config(config, carrier)

    def _put(
        self,
        carrier: str,
        target: str,
        items: list[tuple[str, Path | None]],
        *,
        owner: int = 0,
        masks: tuple[str, ...] = (),
    ) -> None:
        with packed(items, owner=owner, masks=masks) as archive, self._transfer():
            self._client.api.put_archive(carrier, target, archive)

    def _put_once(self, carrier: str, mount: Mount, volume: Volume) -> None:
        sent = volume.name + SENT
        with suppress(not_found()), self._transfer():
            self._client.api.inspect_volume(sent)
            return
        self._put(carrier, f"{JOB_ROOT}/{mount.target}", [(".", mount.source)])
        with engine_faults():
            self._client.api.create_volume(sent, labels=self._content_labels())

    def _content_labels(self) -> dict[str, str]:
        return {"assay.home": str(self._home), CONTENT: "1"}

    def _fetch(self, carrier: str, mount: Mount) -> None:
        with self._transfer():
            chunks, _ = self._client.api.get_archive(carrier, f"{JOB_ROOT}/{mount.target}")
            unpack(chunks, mount.source, self._on_tick)

    @contextmanager
    def _transfer(self) -> Iterator[None]:
        """Name a full disk of the other host; a path that is not there stays the SDK's NotFound."""
        try:
            with engine_faults(but=(not_found(),)):
                yield
        except EnvironmentFault as error:
            if "no space left" not in error.message:
                raise
            raise EnvironmentFault(
                f"the disk of {self._host}'s engine is full: {error.message}",
                f"free some there: make clean HOST={self._host}, docker system df",
            ) from error

    def _clear(self, containers: Sequence[str], volumes: Sequence[str]) -> None:
        """Remove what a stage had there; once more over a new connection if this one was lost."""
        with suppress(*engine_errors()):
            self._client.api.ping()
            return self._remove_all(containers, volumes)
        self._client.close()
        for _ in range(RECONNECTS):
            # An ssh that has closed its sockets may still count as alive.
            time.sleep(RECONNECT_EVERY_S)
            with suppress(EnvironmentFault, *engine_errors()):
                self._client = connect()
                self._client.api.timeout = ARCHIVE_SILENCE_S
                return self._remove_all(containers, volumes)
        # What cannot be removed now, the next run on that host removes by its labels.
        return None

    def _remove_all(self, containers: Sequence[str], volumes: Sequence[str]) -> None:
        for container in containers:
            with suppress(not_found()):
                self._client.api.remove_container(container, force=True, v=True)
        for volume in volumes:
            with suppress(not_found()):
                self._client.api.remove_volume(volume, force=True)


def require_architecture(host: str, info: Mapping[str, Any], machine: str) -> None:
    """Raise EnvironmentFault for an engine whose machine cannot run what is made for this one."""
    there = str(info.get("Architecture") or machine)
    if MACHINES.get(there, there) != MACHINES.get(machine, machine):
        raise EnvironmentFault(
            f"{host} is a {there}, and images and wheels are made for this machine's {machine}",
            f"run Assay on a {there} host, or on {host} itself",
        )
