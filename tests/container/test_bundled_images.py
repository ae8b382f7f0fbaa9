"""Images through a real engine: saved into a bundle, read by skopeo, and loaded again as they were."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from driver.bundle.contents import ordered
from driver.bundle.images import hand_over, take_image
from driver.bundle.oci import layout_contents
from driver.stacks.archived.blob_store import BlobStore
from driver.stacks.image import StackImage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container
NAME = "assay/bundle-test:tiny"


@pytest.fixture
def tiny(engine: Any) -> Iterator[StackImage]:
    """A tiny image of one file, with a label."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("etc/tiny")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"tiny"))
    engine.api.import_image_from_data(
        stream.getvalue(), NAME.partition(":")[0], "tiny", changes=["LABEL assay.recipe=r"]
    )
    image = engine.api.inspect_image(NAME)
    yield StackImage(id=image["Id"], tag=NAME, labels=image["Config"]["Labels"])
    engine.images.remove(NAME, force=True)


def test_an_image_leaves_and_comes_back_as_it_was(
    engine: Any, tiny: StackImage, tmp_path: Path
) -> None:
    store = BlobStore(tmp_path / "oci")
    named = take_image(tiny, store, lock=tmp_path / "lock", on_progress=lambda _text: None)
    layout = tmp_path / "layout"
    for content in ordered(layout_contents([named], store)):
        target = layout / content.path
        target.parent.mkdir(parents=True, exist_ok=True)
        data = content.source if isinstance(content.source, bytes) else content.source.read_bytes()
        target.write_bytes(data)
    if shutil.which("skopeo"):
        command = ["skopeo", "inspect", f"oci:{layout}:{NAME}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["Labels"] == {"assay.recipe": "r"}
    engine.images.remove(NAME, force=True)
    assert hand_over(layout, on_progress=lambda _text: None) == [NAME]
    found = engine.api.inspect_image(NAME)
    assert (found["Id"], found["Config"]["Labels"]) == (tiny.id, {"assay.recipe": "r"})
