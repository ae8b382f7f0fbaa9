"""The stand-in for Apptainer on PATH, and a SIF of an image with a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.runners.apptainer.program import parsed
from driver.stacks.archived.found import find_images
from driver.stacks.archived.sif import make_sif
from driver.stacks.image import StackImage
from tests.apptainer import install, lacking, on_path, save_image, write_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Site = Callable[..., None]

LABELS = {"assay.vendor": "acme", "assay.stack": "v1"}
SAID = "apptainer version 1.3.4"


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the stand-in unpacks images, which the guest of a caller who is root can reach."""
    folder = tmp_path_factory.mktemp("apptainer")
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def sif(rootfs: Path) -> Path:
    """Return a SIF with a shell and some programs; skips where the stand-in cannot run."""
    if reason := lacking():
        pytest.skip(reason)
    layer = write_layer(rootfs / "layer.tar")
    save_image(rootfs / "images" / "v1.tar", [layer], LABELS)
    (found,) = find_images(rootfs, rootfs).images
    program = install(rootfs / "bin", rootfs / "unpacked")
    path = rootfs / "image.sif"
    image = StackImage(id=found.id, tag=found.listed["RepoTags"][0], labels=LABELS)
    make_sif(found, image, path, parsed(str(program), SAID))
    return path


@pytest.fixture
def site(tmp_path: Path, rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Put the stand-in on PATH; call the fixture with what a site refuses or ignores."""

    def put(**site: object) -> None:
        install(tmp_path / "bin", rootfs / "unpacked", **site)

    put()
    monkeypatch.setenv("PATH", on_path(tmp_path / "bin" / "apptainer"))
    return put
