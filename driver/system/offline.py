"""OFFLINE=1: anything that needs an index, a hub or a registry fails at once and names what is missing."""

from __future__ import annotations

from driver.errors import EnvironmentFault
from driver.system.settings import load_settings


def require_online(what: str, remedy: str) -> None:
    """Raise EnvironmentFault if this host is set offline; call it before any network access.

    ``what`` names what is missing, ``remedy`` how to get it without a network.
    """
    if load_settings().offline:
        raise EnvironmentFault(
            f"{what}; nothing is fetched because of OFFLINE=1",
            f"{remedy}; or set OFFLINE=0 where network access is allowed",
        )
