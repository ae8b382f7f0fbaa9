"""SIFs: of which files, made once, and what is said without an image, or when Apptainer cannot make it."""

from __future__ import annotations

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from driver.bundle.loader.manifest import KEPT
from driver.bundle.oci import layout_contents
from driver.catalog.vendor import Stack
from driver.errors import EnvironmentFault, ImageFault
from driver.models.stack import StackManifest
from driver.stacks.archived import sif as sifs
from driver.stacks.archived.blob_store import BlobStore
from driver.stacks.archived.found import BUNDLE, find_images
from driver.stacks.archived.oci_layout import NamedImage
from driver.stacks.archived.sif import has_image, prepare_sif, remove_sifs, sif_room
from driver.stacks.recipes import recipe_sha256
from driver.system.settings import Settings
from tests.apptainer import save_image
from tests.driver.bundle.saved_images import layer, pieces

if TYPE_CHECKING:
    from pathlib import Path

MAKES = """#!/bin/sh
case "$*" in
  --version) echo apptainer version 1.3.4; exit;;
esac
echo "$@" >> "{folder}/called"
for last; do :; done
cp -rL "${{last#oci:}}" "{folder}/layout.$$"
{more}
while [ $# -gt 2 ]; do shift; done
echo sif > "$1"
"""


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an Apptainer on PATH that makes a SIF of anything; return where it notes its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_program(folder)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def write_program(folder: Path, more: str = "") -> None:
    (folder / "apptainer").write_text(MAKES.format(folder=folder, more=more))
    (folder / "apptainer").chmod(0o755)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    folder = tmp_path / "tree" / "images" / "acme" / "v1"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    document = {"schema": "assay/stack/1", "vendor": "acme", "name": "v1", "python": "3.11"}
    manifest = StackManifest.model_validate(
        document | {"base": {"image": "debian:12"}, "versions": {}}
    )
    return Stack(manifest=manifest, folder=folder)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "home" / "images").mkdir(parents=True)
    return Settings(root=tmp_path / "tree", home=tmp_path / "home", results=tmp_path / "results")


def labels(stack: Stack, **more: str) -> dict[str, str]:
    own = {
        "assay.vendor": stack.vendor,
        "assay.stack": stack.name,
        "assay.recipe": recipe_sha256(stack.folder),
        "assay.base": "debian:12",
    }
    return own | more


def save(settings: Settings, name: str, *images: dict[str, str]) -> list[str]:
    """Write an archive with images of one layer into the home."""
    file = settings.home / "layer.tar"
    file.write_bytes(layer("etc/os", b"os" * 900))
    return save_image(settings.home / "images" / name, [file], *images)


def made(stack: Stack, settings: Settings) -> sifs.Sif:
    return prepare_sif(stack, settings, on_progress=lambda _text: None)


def test_a_sif_is_made_once_of_what_docker_saved(
    apptainer: Path, stack: Stack, settings: Settings
) -> None:
    other = labels(stack) | {"assay.stack": "v2"}
    _, wanted = save(settings, "both.tar", other, labels(stack))
    assert sif_room(stack, settings)[settings.home] > 0
    found = made(stack, settings)
    assert (found.image.id, found.made_by) == (wanted, "Apptainer 1.3.4")
    assert found.path == settings.home / "sif" / f"{wanted.removeprefix('sha256:')}.sif"
    assert found.path.read_text() == "sif\n"
    assert made(stack, settings) == found
    assert len((apptainer / "called").read_text().splitlines()) == 1
    assert sif_room(stack, settings) == {}
    # Only the SIF and its note are kept.
    assert {path.suffix for path in found.path.parent.iterdir()} == {".sif", ".json"}


def test_apptainer_gets_a_layout_with_this_image_alone(
    apptainer: Path, stack: Stack, settings: Settings
) -> None:
    other = labels(stack) | {"assay.stack": "v2"}
    save(settings, "both.tar", other, labels(stack))
    made(stack, settings)
    (layout,) = apptainer.glob("layout.*")
    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]

    def blob(digest: str) -> bytes:
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    document = json.loads(blob(manifest["digest"]))
    config = json.loads(blob(document["config"]["digest"]))
    assert config["config"]["Labels"]["assay.stack"] == "v1"
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    # Beside the image's own layer one that lets every user enter its root folder, as Docker does.
    own, last = [one["digest"] for one in document["layers"]]
    assert config["rootfs"]["diff_ids"] == [own, last]
    with tarfile.open(fileobj=io.BytesIO(blob(last))) as layer_:
        assert [(one.name, one.mode) for one in layer_] == [(".", 0o755)]


def test_a_loaded_bundles_image_is_found_without_a_copy_of_its_layers(
    apptainer: Path, stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    assert BUNDLE == KEPT
    (wanted,) = save(settings, "one.tar", labels(stack))
    archive = settings.home / "images" / "one.tar"
    store = BlobStore(tmp_path / "store")
    stored = store.take(wanted, pieces(archive.read_bytes()))
    archive.unlink()
    for one in layout_contents([NamedImage(name="assay/acme:v1-x", stored=stored)], store):
        path = settings.root / BUNDLE / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        content = one.source if isinstance(one.source, bytes) else one.source.read_bytes()
        path.write_bytes(content)
    found = made(stack, settings)
    assert (found.image.id, found.image.tag) == (wanted, "assay/acme:v1-x")
    # Neither archives nor a bundle are needed once it is made.
    (settings.root / BUNDLE / "index.json").unlink()
    assert made(stack, settings) == found


def test_an_image_of_another_recipe_does_not_do(
    apptainer: Path, stack: Stack, settings: Settings
) -> None:
    save(settings, "old.tar", labels(stack, **{"assay.recipe": "0" * 64}))
    (settings.home / "images" / "broken.tar").write_bytes(b"no archive")
    assert not has_image(stack, settings)
    with pytest.raises(ImageFault, match=r"no file here has the image of acme/v1") as caught:
        made(stack, settings)
    assert "broken.tar" in caught.value.message
    assert str(settings.home / "images") in caught.value.remedy
    assert "make images VENDOR=acme STACK=v1" in caught.value.remedy
    assert caught.value.exit_code == 3


def test_what_apptainer_says_is_shown_and_nothing_is_left(
    apptainer: Path, stack: Stack, settings: Settings
) -> None:
    save(settings, "one.tar", labels(stack))
    write_program(apptainer, "echo FATAL: no mksquashfs >&2; exit 255")
    with pytest.raises(ImageFault, match="no mksquashfs"):
        made(stack, settings)
    write_program(apptainer, "echo write: No space left on device >&2; exit 255")
    with pytest.raises(EnvironmentFault, match="No space left on device") as caught:
        made(stack, settings)
    assert "free some space" in caught.value.remedy
    assert list((settings.home / "sif").iterdir()) == []
    write_program(apptainer)
    assert made(stack, settings).path.is_file()


def test_what_a_killed_driver_left_half_made_is_made_again(
    apptainer: Path, stack: Stack, settings: Settings
) -> None:
    (wanted,) = save(settings, "one.tar", labels(stack))
    folder = settings.home / "sif"
    digest = wanted.removeprefix("sha256:")
    (folder / f".making-{digest}" / "layout").mkdir(parents=True)
    (folder / f"{digest}.sif").write_text("without its note")
    assert made(stack, settings).path.read_text() == "sif\n"
    assert not list(folder.glob(".making-*"))


def test_two_runs_make_it_once(apptainer: Path, stack: Stack, settings: Settings) -> None:
    save(settings, "one.tar", labels(stack))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: made(stack, settings), range(2))
    assert first == second
    assert len((apptainer / "called").read_text().splitlines()) == 1


def test_the_newest_image_is_taken_and_sifs_can_be_removed(
    apptainer: Path, stack: Stack, settings: Settings
) -> None:
    save(settings, "one.tar", labels(stack))
    made(stack, settings)
    assert remove_sifs(settings.home) == 1
    assert not (settings.home / "sif").exists()
    assert find_images(settings.root, settings.home).images, "archives are the user's"
