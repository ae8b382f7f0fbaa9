"""The facts about this machine, as plain values: gathered by the probes, judged by the checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from driver.system.host.processor import Identity

if TYPE_CHECKING:
    from driver.catalog.vendor import Stack, Vendor
    from driver.stacks.host_driver import DriverFact


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """Why something is not available, and what to type."""

    message: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class User:
    """The user that opens a device: effective user id, group id and all group ids."""

    uid: int
    gid: int
    gids: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A device node, or a folder without one. ``mode`` has the permission bits."""

    path: str
    exists: bool
    is_device: bool = False
    is_folder: bool = False
    mode: int = 0
    uid: int = 0
    gid: int = 0
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class HostMountFact:
    """A path of the vendor's driver that is mounted in containers, and whether this host has it."""

    source: str
    optional: bool
    exists: bool


@dataclass(frozen=True, kw_only=True)
class ContainerEngine:
    """The container engine that answered, or the problem if none did.

    ``free_bytes`` is the free space on the disk with its images; None if that is not on this host.
    ``unlimited``: the resources for which it has no cgroup to limit a container with.
    """

    problem: Unavailable | None = None
    version: str = ""
    runtimes: frozenset[str] = frozenset()
    cdi_kinds: frozenset[str] = frozenset()
    rootless: bool = False
    podman: bool = False
    unlimited: tuple[str, ...] = ()
    root: str = ""
    storage_driver: str = ""
    free_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class ApptainerFact:
    """Apptainer on this machine: its name and version, or its problem; both empty where it is not on PATH.

    ``lacking`` are the wanted stacks, as vendor/stack, whose images are in no file here.
    """

    title: str = ""
    problem: Unavailable | None = None
    lacking: tuple[str, ...] = ()
    images: str = ""
    """Where files with images are looked for."""


@dataclass(frozen=True, kw_only=True)
class StackFact:
    """A stack on this host: its image or what it would be built from, and its virtual environment.

    ``stand_in``: the image has a test's imitation of the SDK, which needs no device of the host.
    ``base_named``: the base image that BASE= used instead of the stack's own at build time.
    """

    stack: Stack
    wanted: bool
    image: str | None = None
    stand_in: bool = False
    base_named: str = ""
    base_here: bool = False
    installers: Unavailable | None = None
    environment: bool = False
    python: bool = True
    lock: Unavailable | None = None
    wheels: int = 0
    wheels_missing: int = 0
    driver: DriverFact | None = None


@dataclass(frozen=True, kw_only=True)
class MonitorFact:
    """The monitor's answer, one line per device, or its problem.

    ``indices`` and ``uuids`` are the devices' names that DEVICE= accepts.
    """

    devices: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    problem: str = ""
    hung: bool = False
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class CaseFact:
    """A case's weights and dataset on this host, or why they are not available."""

    name: str
    weights: str | Unavailable
    dataset_name: str
    dataset: str | Unavailable
    memory_gib: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Processor, memory and disk. ``home_problem`` is why ``home`` is not writable, or ""."""

    threads: int
    memory_bytes: int
    home: str
    free_bytes: int
    home_problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the checks need.

    ``case_named``: the cases are those of one run, which cannot start without their weights and data.
    ``host``: the other host whose engine runs the stages, None for this one.
    """

    vendor: Vendor
    device: str = "0"
    user: User
    machine: Machine
    engine: ContainerEngine
    apptainer: ApptainerFact = ApptainerFact()
    nodes: tuple[Node, ...] = ()
    gpu_problem: str = ""
    host_mounts: tuple[HostMountFact, ...] = ()
    group_ids: dict[str, int] = field(default_factory=dict)
    stacks: tuple[StackFact, ...] = ()
    reference_problem: Unavailable | None = None
    """Why there is no reference stack, which every run needs."""
    monitor: MonitorFact = MonitorFact()
    processor: Identity = field(default_factory=lambda: Identity(model=""))
    vendors: tuple[Vendor, ...] = ()
    """All that there are: another one may measure this processor."""
    cases: tuple[CaseFact, ...] = ()
    case_named: bool = False
    host: str | None = None
