"""The engine and an image for tests of real containers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.runners.docker import DockerRunner
from driver.runners.engine.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """Return a client of the engine; skips, or fails where ASSAY_REQUIRE_CONTAINERS is set."""
    try:
        client = connect()
    except EnvironmentFault as error:
        if os.environ.get("ASSAY_REQUIRE_CONTAINERS"):
            pytest.fail(f"{error.message}: {error.remedy}")
        pytest.skip(error.message)
    yield client
    client.close()


@pytest.fixture(scope="session")
def shell_image(engine: Any) -> str:
    """Return an image with sh and coreutils: ASSAY_TEST_IMAGE, or any of Assay's own."""
    named = os.environ.get("ASSAY_TEST_IMAGE")
    tags = [tag for image in engine.images.list() for tag in image.tags]
    own = sorted(
        tag for tag in tags if tag.startswith(("assay/base", "assay/cpu", "assay/reference"))
    )
    found = named or (own[0] if own else None)
    if found is not None:
        return found
    reason = "no image of Assay's is on this machine: type `make images VENDOR=cpu`"
    if os.environ.get("ASSAY_REQUIRE_CONTAINERS"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    # The guest of a caller who is root is somebody else: it must be able to read.
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def runner(engine: Any, home: Path) -> Iterator[DockerRunner]:
    with DockerRunner(home=home, grace_s=1) as runner:
        runner.availability()
        yield runner
    assert containers_of(engine, home) == []


def containers_of(engine: Any, home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.api.containers(
        all=True, filters={"label": f"assay.home={home}"}
    )
    return found
