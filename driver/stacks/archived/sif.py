"""SIFs, Apptainer's image files: each made once of an image in a file, and kept in ASSAY_HOME by its digest."""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.errors import DISK_REMEDIES, FREE_SPACE, EnvironmentFault, ImageFault, disk_fault_of
from driver.runners.apptainer.command import build_command
from driver.runners.apptainer.program import find_program
from driver.stacks.archived.blob_store import CHUNK_BYTES, BlobStore, Layer, StoredImage
from driver.stacks.archived.found import config_digest, find_images, places
from driver.stacks.archived.oci_layout import NamedImage, blob_name, layout_head, layout_index
from driver.stacks.image import StackImage, Wanted
from driver.system.command import Command, CommandHung
from driver.system.file_lock import locked
from driver.system.files import write_atomically
from driver.system.workspace import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.runners.apptainer.program import Program
    from driver.stacks.archived.found import FoundImage, Search
    from driver.system.settings import Settings

FOLDER = "sif"
BUILD_S = 2 * 3600.0
LOG_LINES = 8
COPIES = 4
"""While it is made there are the image's layers, its files, and the SIF; layers may be compressed."""


@dataclass(frozen=True, kw_only=True)
class Sif:
    """A SIF: the image that it was made of, its file, and what made it ("Apptainer 1.3.4")."""

    image: StackImage
    path: Path
    made_by: str


def prepare_sif(stack: Stack, settings: Settings, *, on_progress: Callable[[str], None]) -> Sif:
    """Return a stack's image as a SIF, made if missing.

    Raises ImageFault when no file here has the image or Apptainer cannot convert it, EnvironmentFault
    without Apptainer.
    """
    search = find_images(settings.root, settings.home)
    image = _chosen(stack, settings, search)
    if image is None:
        raise _no_image(stack, settings, search)
    digest = image.id.removeprefix("sha256:")
    path = settings.home / FOLDER / f"{digest}.sif"
    lock = settings.home / "locks" / f"sif-{digest[:12]}.lock"
    waiting = f"waiting for another run that is making the SIF of {image.tag}"
    with locked(lock, on_wait=lambda: on_progress(waiting)):
        made_by = _made_by(path)
        if made_by is None:
            source = next((one for one in search.images if one.id == image.id), None)
            if source is None:
                raise _no_image(stack, settings, search)
            program = find_program()
            on_progress(f"making a SIF of {image.tag} with {program.title}")
            make_sif(source, image, path, program)
            made_by = program.title
    return Sif(image=image, path=path, made_by=made_by)


def sif_room(stack: Stack, settings: Settings) -> dict[Path, int]:
    """Return the bytes that making a stack's SIF takes, by folder; empty if it is there, or cannot be made."""
    search = find_images(settings.root, settings.home)
    image = _chosen(stack, settings, search)
    source = next((one for one in search.images if image and one.id == image.id), None)
    if image is None or source is None:
        return {}
    path = settings.home / FOLDER / f"{image.id.removeprefix('sha256:')}.sif"
    return {} if path.is_file() else {settings.home: COPIES * _size_bytes(source)}


def made_images(home: Path) -> list[dict[str, Any]]:
    """Return the images of which SIFs are kept, as a list of the Engine API has them."""
    found = []
    for path in sorted((home / FOLDER).glob("*.json")):
        try:
            image = json.loads(path.read_text(encoding="utf-8"))["image"]
        except (OSError, ValueError, KeyError):
            continue
        if path.with_suffix(".sif").is_file():
            found.append(image)
    return found


def has_image(stack: Stack, settings: Settings) -> bool:
    """Whether a stack's image is in a file here, or a SIF of it is kept."""
    return _chosen(stack, settings, find_images(settings.root, settings.home)) is not None


def remove_sifs(home: Path) -> int:
    """Remove every SIF; the files that they were made of stay. Return how many there were."""
    found = len(list((home / FOLDER).glob("*.sif")))
    remove_tree(home / FOLDER)
    return found


def _chosen(stack: Stack, settings: Settings, search: Search) -> StackImage | None:
    """Return the newest image that fits the stack, of those in files and those that were made before."""
    wanted = Wanted(
        stack=stack,
        base=settings.base_of(stack.vendor),
        installers=settings.installers,
        home=settings.home,
        stand_ins=settings.stand_ins,
    )
    return wanted.newest([*made_images(settings.home), *(one.listed for one in search.images)])


def _no_image(stack: Stack, settings: Settings, search: Search) -> ImageFault:
    name = f"{stack.vendor}/{stack.name}"
    unread = "".join(f"; not readable: {one}" for one in search.unreadable)
    return ImageFault(
        f"no file here has the image of {name} as this tree describes it: looked in "
        f"{places(settings.root, settings.home)}{unread}",
        f"on a machine with Docker: make images VENDOR={stack.vendor} STACK={stack.name}, then docker "
        f"save -o {stack.name}.tar <the tag that it shows>; put that file into {settings.home / 'images'}. "
        "A bundle (make bundle RUNNER=docker, make load) has every image of its jobs",
    )


def _made_by(path: Path) -> str | None:
    """Return what made a SIF that is kept, None where it is to be made."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return str(note["made_by"]) if path.is_file() else None
    except (OSError, ValueError, KeyError):
        return None


def make_sif(found: FoundImage, image: StackImage, path: Path, program: Program) -> None:
    """Make a SIF in a folder beside it; an earlier attempt's, whose driver was killed, is removed.

    Raises ImageFault when Apptainer cannot make it, EnvironmentFault when the disk does not take it.
    """
    work = path.parent / f".making-{path.stem}"
    remove_tree(work)
    try:
        work.mkdir(parents=True)
        (work / "tmp").mkdir()
        _lay_out(found, image, work / "layout")
        made = work / path.name
        _build(program, work / "layout", made, work / "tmp")
        made.replace(path)
    except OSError as error:
        remedy = DISK_REMEDIES.get(error.errno or 0, FREE_SPACE)
        raise EnvironmentFault(
            f"the SIF of {image.tag} cannot be made in {path.parent}: {error.strerror}", remedy
        ) from error
    finally:
        remove_tree(work)
    listed = dict(found.listed) | {"RepoTags": [image.tag]}
    write_atomically(
        path.with_suffix(".json"), json.dumps({"image": listed, "made_by": program.title}, indent=1)
    )


def _lay_out(found: FoundImage, image: StackImage, layout: Path) -> None:
    """Write an OCI layout with this image alone, whose layers are links into that of a bundle."""
    store = BlobStore(layout)
    if found.source.is_dir():
        stored = _linked(found.source, image.id, store)
    else:
        stored = store.take(image.id, _pieces(found.source))
    named = NamedImage(name=image.tag, stored=_enterable(stored, store))
    (layout / "oci-layout").write_bytes(layout_head())
    index = layout_index([named])
    (layout / "index.json").write_bytes(index)
    digest = str(json.loads(index)["manifests"][0]["digest"]).removeprefix("sha256:")
    store.path(digest).write_bytes(named.manifest)


def _linked(source: Path, image_id: str, store: BlobStore) -> StoredImage:
    wanted = image_id.removeprefix("sha256:")
    index = json.loads((source / "index.json").read_bytes())
    manifests = [str(one["digest"]).removeprefix("sha256:") for one in index["manifests"]]
    (digest,) = [one for one in manifests if config_digest(source, one) == wanted][:1]
    manifest = json.loads((source / blob_name(digest)).read_bytes())
    store.path(wanted).parent.mkdir(parents=True)
    for one in (manifest["config"], *manifest["layers"]):
        name = str(one["digest"]).removeprefix("sha256:")
        if not store.path(name).exists():
            store.path(name).symlink_to((source / blob_name(name)).resolve())
    return StoredImage(
        config=wanted,
        config_bytes=int(manifest["config"]["size"]),
        layers=tuple(
            Layer(
                sha256=str(one["digest"]).removeprefix("sha256:"),
                bytes=int(one["size"]),
                media_type=str(one["mediaType"]),
            )
            for one in manifest["layers"]
        ),
        diff_ids=(),
    )


def _enterable(stored: StoredImage, store: BlobStore) -> StoredImage:
    """Return the image with one more layer, which lets every user enter its root folder.

    So does Docker, whatever the layers say; Apptainer keeps the mode of an image's own, which is 700 where
    somebody has packed a temporary folder (as debootstrap's users do), and then only root can enter.
    """
    layer = store.put(_root_for_all())
    config = json.loads(store.path(stored.config).read_bytes())
    config["rootfs"]["diff_ids"].append(f"sha256:{layer.sha256}")
    if config.get("history"):
        config["history"].append({"created_by": "a root folder that every user may enter"})
    text = json.dumps(config).encode()
    changed = store.put(text)
    return StoredImage(
        config=changed.sha256,
        config_bytes=len(text),
        layers=(*stored.layers, layer),
        diff_ids=(*stored.diff_ids, layer.sha256),
    )


def _root_for_all() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as layer:
        root = tarfile.TarInfo("./")
        root.type, root.mode = tarfile.DIRTYPE, 0o755
        layer.addfile(root)
    return stream.getvalue()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            yield piece


def _build(program: Program, layout: Path, sif: Path, tmp: Path) -> None:
    """Have Apptainer make a SIF. Raises ImageFault with its last lines when it does not."""
    env = program.environment(tmp, os.environ)
    try:
        answer = Command(build_command(program, layout, sif), BUILD_S, env=env).run()
    except CommandHung as error:
        raise ImageFault(
            f"{program.title} does not come to an end with the image: {error}",
            "see what hangs: a disk that is slow or gone, or mksquashfs",
        ) from error
    if answer.returncode == 0 and sif.is_file():
        return
    said = answer.err.decode(errors="replace")
    full = disk_fault_of(said, tmp)
    if full is not None:
        raise full
    lines = [line.strip() for line in said.splitlines() if line.strip()][-LOG_LINES:]
    log = "\n".join(f"    {line}" for line in lines)
    raise ImageFault(
        f"{program.title} could not make a SIF of the image (exit code {answer.returncode})\n{log}",
        "it needs mksquashfs (squashfs-tools); docs/engines.md has more",
    )


def _size_bytes(found: FoundImage) -> int:
    source = found.source
    if source.is_file():
        return source.stat().st_size
    return sum(path.stat().st_size for path in (source / "blobs").rglob("*") if path.is_file())
