"""The engines of these tests; skipped where they are missing, failed where ASSAY_REQUIRE_ENGINES is set."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

from driver.errors import EnvironmentFault
from driver.runners.engine.client import connect
from tests.engines.rootless_podman import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.rootless_podman import Rootless

IMAGES = ("assay/base", "assay/cpu", "assay/reference")


def lacking(reason: str) -> NoReturn:
    if os.environ.get("ASSAY_REQUIRE_ENGINES"):
        pytest.fail(reason)
    pytest.skip(reason)


def an_ordinary_user() -> pwd.struct_passwd:
    """Return who runs the engine: the caller, or whom ASSAY_ROOTLESS_USER names if that is root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    name = os.environ.get("ASSAY_ROOTLESS_USER")
    if name is None:
        lacking(
            "root has no rootless engine: name a user with subordinate ids, ASSAY_ROOTLESS_USER="
        )
    return pwd.getpwnam(name)


@pytest.fixture(scope="session")
def podman() -> Iterator[Rootless]:
    """Yield a running rootless Podman that has the images of cpu and reference, taken from Docker."""
    if shutil.which("podman") is None:
        lacking("podman is not installed: apt-get install podman crun runc catatonit uidmap")
    with running(an_ordinary_user()) as engine:
        load_images(engine)
        yield engine


def load_images(podman: Rootless) -> None:
    """Load Docker's newest images of Assay into Podman, unless it has them from an earlier session."""
    try:
        client = connect()
    except EnvironmentFault as error:
        lacking(error.message)
    tags = [tag for image in client.images.list() for tag in image.tags]
    client.close()
    wanted = [tag for tag in tags if tag.startswith(IMAGES)]
    if {tag.partition(":")[0] for tag in wanted} != set(IMAGES):
        lacking("Docker has no images of cpu and reference: make images BASE=debootstrap")
    there = podman.run(["podman", "images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout
    missing = [tag for tag in wanted if f"localhost/{tag}" not in there.split()]
    if missing:
        with subprocess.Popen(["docker", "save", *missing], stdout=subprocess.PIPE) as save:
            loading = subprocess.run(
                podman.command(["podman", "load"]), stdin=save.stdout, check=True, cwd="/"
            )
        assert loading.returncode == 0
