"""Images: taken from any engine's archive, each layer once, as an OCI layout that others read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from driver.bundle import images
from driver.bundle.contents import hash_contents, ordered
from driver.bundle.images import hand_over, image_of_result
from driver.bundle.loader_zip import loader_zip
from driver.bundle.oci import blob_digests, layout_contents
from driver.bundle.writer import Plan, make_manifest, write_bundle
from driver.catalog.catalog import load_catalog
from driver.errors import DataFault, ImageFault
from driver.models.result import Result
from driver.stacks.archived.blob_store import BlobStore
from driver.stacks.archived.oci_layout import NamedImage
from driver.system.settings import ROOT
from tests.documents import document, job
from tests.driver.bundle.packing import DOCUMENT, verify
from tests.driver.bundle.saved_images import (
    Engine,
    archive,
    layer,
    pieces,
    saved_before_25,
    saved_since_25,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE, TOP, OTHER = (
    layer("etc/base", b"base" * 9000),
    layer("opt/top", b"top"),
    layer("opt/other", b"o"),
)
NAMES = ("assay/cpu:ort1.31-abc", "assay/reference:torch2.13-def")


@pytest.mark.parametrize("save", [saved_before_25, saved_since_25])
def test_what_an_engine_saves_becomes_blobs(tmp_path: Path, save: Callable[..., Any]) -> None:
    store = BlobStore(tmp_path)
    image_id, saved = save([BASE, TOP, BASE])
    found = store.take(image_id, pieces(saved))
    assert f"sha256:{found.config}" == image_id
    assert [store.path(one.sha256).read_bytes() for one in found.layers] == [BASE, TOP, BASE]
    assert {one.media_type for one in found.layers} == {"application/vnd.oci.image.layer.v1.tar"}


def test_both_kinds_of_archive_give_the_same_image(tmp_path: Path) -> None:
    stored = [
        BlobStore(tmp_path / str(number)).take(image_id, pieces(saved))
        for number, (image_id, saved) in enumerate(
            (saved_before_25([BASE, TOP]), saved_since_25([BASE, TOP]))
        )
    ]
    assert stored[0] == stored[1]


def test_packed_layers_stay_packed_and_say_so(tmp_path: Path) -> None:
    found = BlobStore(tmp_path).take(*_taken(saved_since_25([BASE], packed=True)))
    assert found.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


def _taken(saved: tuple[str, bytes]) -> tuple[str, Any]:
    return saved[0], pieces(saved[1])


def test_an_image_that_was_taken_is_found_without_the_engine(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    found = store.take(*_taken(saved_before_25([BASE])))
    assert store.find(f"sha256:{found.config}") == found
    store.path(found.layers[0].sha256).unlink()
    assert store.find(f"sha256:{found.config}") is None


def test_a_layer_of_two_images_is_stored_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.take(*_taken(saved_before_25([BASE, TOP])))
    store.take(*_taken(saved_before_25([BASE, OTHER])))
    assert len(list((tmp_path / "blobs" / "sha256").iterdir())) == 3 + 2


def test_an_archive_that_is_not_the_image_is_refused(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    image_id, saved = saved_before_25([BASE])
    with pytest.raises(ImageFault, match=r"its config has the sha256"):
        store.take("sha256:" + "0" * 64, pieces(saved))
    damaged = saved.replace(b"basebase", b"bassbase", 1)
    with pytest.raises(ImageFault, match=r"a layer has the sha256"):
        store.take(image_id, pieces(damaged))
    with pytest.raises(ImageFault, match=r"is not understood"):
        store.take(image_id, pieces(saved[:2000]))
    with pytest.raises(ImageFault, match=r"is not understood"):
        store.take(image_id, pieces(archive([("manifest.json", b"[]")])))
    assert store.find(image_id) is None
    assert not list(tmp_path.rglob("*.part"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with two images that share a layer."""
    store = BlobStore(tmp_path / "oci")
    named = [
        NamedImage(name=name, stored=store.take(*_taken(saved_before_25([BASE, top]))))
        for name, top in zip(NAMES, (TOP, OTHER), strict=True)
    ]
    contents = ordered(layout_contents(named, store))
    hashed = hash_contents(
        contents,
        memory=tmp_path / "memory",
        known=blob_digests(contents),
        on_done=lambda _one: None,
    )
    raw, digest = make_manifest(DOCUMENT, hashed, loader_zip())
    plan = Plan(manifest=raw, digest=digest, files=hashed, loader=loader_zip())
    write_bundle(
        plan, tmp_path / "b.assay", volume_bytes=None, on_progress=lambda _done, _total: None
    )
    return tmp_path / "b.assay"


def members(bundle: Path) -> dict[str, bytes]:
    with tarfile.open(bundle) as opened:
        found = {}
        for member in opened.getmembers():
            stream = opened.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
    return found


def test_the_layout_is_whole_and_has_every_layer_once(bundle: Path) -> None:
    verify(bundle)
    files = members(bundle)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files["index.json"])
    names = [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]]
    assert names == sorted(NAMES)
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/")}
    assert all(
        hashlib.sha256(data).hexdigest() == name.rpartition("/")[2] for name, data in blobs.items()
    )
    assert sum(data == BASE for data in blobs.values()) == 1
    for one in index["manifests"]:
        manifest = json.loads(blobs["blobs/sha256/" + one["digest"].partition(":")[2]])
        for part in (manifest["config"], *manifest["layers"]):
            assert len(blobs["blobs/sha256/" + part["digest"].partition(":")[2]]) == part["size"]


def test_docker_load_s_own_list_names_the_same_blobs(bundle: Path) -> None:
    files = members(bundle)
    listed = json.loads(files["manifest.json"])
    assert {one["RepoTags"][0] for one in listed} == set(NAMES)
    assert all(name in files for one in listed for name in (one["Config"], *one["Layers"]))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack with tar itself: Python's own safe filter is newer than 3.11.2."""
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
@pytest.mark.parametrize("form", ["oci-archive", "docker-archive", "oci"])
def test_skopeo_reads_the_images(bundle: Path, tmp_path: Path, form: str) -> None:
    source = bundle
    if form == "oci-archive" and os.geteuid() != 0:
        pytest.skip("skopeo gives the files of an archive their owners, which only root can")
    if form == "oci":
        source = tmp_path / "loaded"
        source.mkdir()
        unpack(bundle, source)
    done = subprocess.run(
        ["skopeo", "inspect", f"{form}:{source}:{NAMES[0]}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    layers = json.loads(done.stdout)["Layers"]
    assert layers == [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in (BASE, TOP)]


@pytest.fixture
def loaded(bundle: Path, tmp_path: Path) -> Path:
    """The folder of a loaded bundle's images."""
    folder = tmp_path / "kept"
    folder.mkdir()
    unpack(bundle, folder)
    return folder


def test_images_are_handed_to_the_engine(loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    monkeypatch.setattr(images, "connect", lambda: engine)
    assert hand_over(loaded, on_progress=lambda _text: None) == sorted(NAMES)
    assert set(engine.images) == set(NAMES)
    with tarfile.open(fileobj=io.BytesIO(engine.taken[0])) as opened:
        assert len(opened.getnames()) == 1 + 2 + 3


def test_images_that_the_engine_has_are_not_sent_again(
    loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine()
    monkeypatch.setattr(images, "connect", lambda: engine)
    hand_over(loaded, on_progress=lambda _text: None)
    hand_over(loaded, on_progress=lambda _text: None)
    del engine.images[NAMES[0]]
    hand_over(loaded, on_progress=lambda _text: None)
    assert len(engine.taken) == 2
    with tarfile.open(fileobj=io.BytesIO(engine.taken[1])) as opened:
        assert len(opened.getnames()) == 1 + 1 + 2


def test_an_engine_that_has_another_image_of_that_name_gets_the_bundle_s(
    loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine({NAMES[0]: "sha256:" + "0" * 64})
    monkeypatch.setattr(images, "connect", lambda: engine)
    hand_over(loaded, on_progress=lambda _text: None)
    assert engine.images[NAMES[0]] != "sha256:" + "0" * 64


def test_a_folder_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"no images of a bundle are in"):
        hand_over(tmp_path, on_progress=lambda _text: None)


def ran_in(image_id: str) -> Result:
    body = document(job=job(vendor="cpu", stack="ort1.31-torch2.13"))
    stack = {"kind": "image", "image": NAMES[0], "image_id": image_id}
    return Result.model_validate(
        {**body, "provenance": {**body["provenance"], "vendor_stack": stack}}
    )


def test_the_very_image_of_a_result_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = f"sha256:{'1' * 64}"
    engine = Engine({image_id: image_id})
    monkeypatch.setattr(images, "connect", lambda: engine)
    stack = load_catalog(ROOT).vendor("cpu").stacks["ort1.31-torch2.13"]
    found = image_of_result(stack, ran_in(image_id))
    assert found is not None
    assert (found.id, found.tag) == (image_id, NAMES[0])
    other = load_catalog(ROOT).vendor("intel").stacks["openvino2026.4"]
    assert image_of_result(other, ran_in(image_id)) is None


def test_a_result_whose_image_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "connect", Engine)
    stack = load_catalog(ROOT).vendor("cpu").stacks["ort1.31-torch2.13"]
    with pytest.raises(ImageFault, match=r"the image of the result .* is not on this engine"):
        image_of_result(stack, ran_in(f"sha256:{'1' * 64}"))
