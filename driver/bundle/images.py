"""Images on their way: from this machine's engine into a bundle, and from a loaded bundle into an engine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from driver.bundle.loader.layout import END, member_header, padded
from driver.errors import DataFault, ImageFault
from driver.models.base import REFERENCE
from driver.models.bundle import BundleImage
from driver.runners.engine.archives import read_image, write_images
from driver.runners.engine.client import connect
from driver.stacks.archived.oci_layout import NamedImage
from driver.stacks.base_image import inspect
from driver.stacks.image import StackImage
from driver.system.file_lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.models.result import Result
    from driver.stacks.archived.blob_store import BlobStore
    from driver.stacks.image import StackImage

CHUNK_BYTES = 1 << 20
LIST = "manifest.json"


def take_image(
    image: StackImage, store: BlobStore, *, lock: Path, on_progress: Callable[[str], None]
) -> NamedImage:
    """Return the image with its blobs in the store; the engine is asked for it only where they are not."""
    with locked(lock, on_wait=lambda: on_progress("waiting for another bundle that saves images")):
        stored = store.find(image.id)
        if stored is None:
            on_progress(f"saving {image.tag} from the engine")
            client = connect()
            try:
                stored = store.take(image.id, read_image(client, image.id))
            finally:
                client.close()
    return NamedImage(name=image.tag, stored=stored)


def image_of_result(stack: Stack, result: Result) -> StackImage | None:
    """Return the very image that a result's job ran ``stack`` in; None where it is another stack's.

    Raises ImageFault where this machine's engine does not have it any more.
    """
    is_vendors = (stack.vendor, stack.name) == (result.job.vendor, result.job.stack)
    part = "vendor_stack" if is_vendors else "reference_stack"
    said = result.provenance.get(part) or {}
    ours = is_vendors or stack.vendor == REFERENCE
    if not ours or not said.get("image_id"):
        return None
    client = connect()
    try:
        found = inspect(client.api, str(said["image_id"]))
    finally:
        client.close()
    if found is None:
        raise ImageFault(
            f"the image of the result {result.job.id} is not on this engine: {said.get('image')} "
            f"({said['image_id']})",
            "make the bundle where the result was measured, or without RESULT: CASE=… VENDOR=…",
        )
    return StackImage(
        id=found["Id"], tag=str(said["image"]), labels=found["Config"].get("Labels") or {}
    )


def image_entry(stack: Stack, image: StackImage, named: NamedImage) -> BundleImage:
    """Return what the manifest says of an image."""
    labels = image.labels
    return BundleImage(
        name=named.name,
        vendor=stack.vendor,
        stack=stack.name,
        config=named.stored.config,
        manifest=hashlib.sha256(named.manifest).hexdigest(),
        layers=tuple(layer.sha256 for layer in named.stored.layers),
        diff_ids=named.stored.diff_ids,
        recipe=labels.get("assay.recipe"),
        lock=labels.get("assay.lock") or None,
        base=labels.get("assay.base"),
        base_digest=labels.get("assay.base-digest") or None,
    )


def hand_over(folder: Path, *, on_progress: Callable[[str], None]) -> list[str]:
    """Give the images of an OCI layout to this machine's engine; return the names of all of them.

    Images that the engine has are not sent. Raises DataFault for a folder without images,
    EnvironmentFault when no engine answers, ImageFault when it does not take them.
    """
    listed = _listed(folder)
    client = connect()
    try:
        missing = [one for one in listed if not _is_there(client.api, one)]
        if missing:
            names = ", ".join(one["RepoTags"][0] for one in missing)
            on_progress(f"loading {names} into the engine")
            write_images(client, archive_of(folder, missing))
        lost = [one["RepoTags"][0] for one in missing if not _is_there(client.api, one)]
    finally:
        client.close()
    if lost:
        raise ImageFault(
            f"the engine took the images and does not have {', '.join(lost)}",
            "see the engine's log",
        )
    return [one["RepoTags"][0] for one in listed]


def _listed(folder: Path) -> list[dict[str, Any]]:
    try:
        listed: list[dict[str, Any]] = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFault(
            f"no images of a bundle are in {folder}",
            "make load BUNDLE=<file>; here a bundle without images was loaded, or none",
        ) from error
    return listed


def _is_there(api: Any, listed: dict[str, Any]) -> bool:
    found = inspect(api, listed["RepoTags"][0])
    if found is None:
        return False
    config = str(listed["Config"]).rpartition("/")[2]
    # An engine on containerd's store names an image by its manifest: its name has to do.
    return found["Id"] == f"sha256:{config}" or "Descriptor" in found


def archive_of(folder: Path, listed: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """Yield an archive for `docker load` of the listed images: their blobs, and the list last read first."""
    text = json.dumps(listed).encode("utf-8")
    yield member_header(LIST, len(text)) + text + bytes(padded(len(text)) - len(text))
    names = {name: None for one in listed for name in (one["Config"], *one["Layers"])}
    for name in names:
        size = (folder / name).stat().st_size
        yield member_header(name, size)
        with (folder / name).open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
        yield bytes(padded(size) - size)
    yield END
