"""The engine, the settings and the programs on PATH for tests that run vendors' images on stand-ins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from driver.errors import EnvironmentFault
from driver.runners.engine.client import connect
from driver.system.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.system.settings import Settings


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """Return a client of the engine; skips, or fails where ASSAY_REQUIRE_CONTAINERS is set."""
    try:
        client = connect()
    except EnvironmentFault as error:
        lacking(f"{error.message}: {error.remedy}")
    # A step that unpacks PyTorch is silent for longer than the SDK's minute.
    client.api.timeout = 600
    yield client
    client.close()


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Return this host's settings, with stand-ins."""
    return load_settings({**os.environ, "ASSAY_STANDINS": "1"})


def lacking(reason: str) -> NoReturn:
    """Skip for what this machine lacks; fail where ASSAY_REQUIRE_CONTAINERS is set."""
    if os.environ.get("ASSAY_REQUIRE_CONTAINERS"):
        pytest.fail(reason)
    pytest.skip(reason)
