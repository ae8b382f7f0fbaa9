"""What `doctor` knows of this machine: gathered by the probes, judged by the checks. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver.catalog import Stack, Vendor
    from driver.host_driver import DriverFact


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why something is not there, and what to type."""

    message: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class User:
    """Who opens a device: effective user, own group and every group, by number."""

    uid: int
    gid: int
    gids: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A device node, or a folder that holds none. ``mode`` are its permission bits."""

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
    """A part of the vendor's driver that containers get, and whether it is on this host."""

    source: str
    optional: bool
    exists: bool


@dataclass(frozen=True, kw_only=True)
class ContainerEngine:
    """The container engine: who answered, or why nobody did.

    ``free_bytes`` of the disk where it keeps images; None where that is not on this host.
    """

    problem: Problem | None = None
    version: str = ""
    runtimes: frozenset[str] = frozenset()
    cdi_kinds: frozenset[str] = frozenset()
    rootless: bool = False
    root: str = ""
    storage_driver: str = ""
    free_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class StackFact:
    """A stack on this host: its image, what one would be built of, and its virtual environment.

    ``stand_in``: the image holds a test's imitation of the SDK, which needs no device of the host.
    ``base_named``: the base that BASE= put in the place of the stack's own when it was built.
    """

    stack: Stack
    wanted: bool
    image: str | None = None
    stand_in: bool = False
    base_named: str = ""
    base_here: bool = False
    installers: Problem | None = None
    environment: bool = False
    python: bool = True
    lock: Problem | None = None
    wheels: int = 0
    wheels_missing: int = 0
    driver: DriverFact | None = None


@dataclass(frozen=True, kw_only=True)
class MonitorFact:
    """What the monitor's command says: a line a device, or why it says nothing.

    ``indices`` and ``uuids`` are the devices' names, as DEVICE= takes them.
    """

    devices: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    problem: str = ""
    hung: bool = False
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class CaseFact:
    """A case's weights and dataset on this host: what was found, or why nothing."""

    name: str
    weights: str | Problem
    dataset_name: str
    dataset: str | Problem
    memory_gib: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Processor, memory, disk. ``home_problem`` says why nothing can be written there."""

    threads: int
    memory_bytes: int
    home: str
    free_bytes: int
    home_problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the checks look at."""

    vendor: Vendor
    device: str = "0"
    user: User
    machine: Machine
    engine: ContainerEngine
    nodes: tuple[Node, ...] = ()
    host_mounts: tuple[HostMountFact, ...] = ()
    group_ids: dict[str, int] = field(default_factory=dict)
    stacks: tuple[StackFact, ...] = ()
    monitor: MonitorFact = MonitorFact()
    cases: tuple[CaseFact, ...] = ()
