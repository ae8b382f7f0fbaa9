"""What a session works with on this host, put together once and handed down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog import Catalog, Stack
    from driver.containers import Caller, InstalledStack
    from driver.events import Listener
    from driver.plan import HostFacts
    from driver.runners.base import Runner
    from driver.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A stack that is ready to be run in, and what it is made of, for the result."""

    stack: InstalledStack
    provenance: Mapping[str, object]


class Installer(Protocol):
    """Makes a stack ready: builds its image or its virtual environment, or finds it made."""

    def install(self, stack: Stack) -> Installation:
        """Return the stack, ready; ImageFault when it cannot be made."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Settings, catalog, host, and the parts that act on it."""

    settings: Settings
    catalog: Catalog
    host: HostFacts
    caller: Caller
    runner: Runner
    installer: Installer
    listener: Listener
