"""Layers and configs of images, each once by its digest, as an OCI layout keeps its blobs.

What an engine saves is taken in as a stream: Docker before 25 writes its own archive (``<id>/layer.tar``),
later ones and Podman blobs by digest. Both end as the same blobs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import tarfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from driver.errors import ImageFault, stages_in
from driver.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHUNK_BYTES = 1 << 20
DOCUMENT_BYTES = 16 << 20
"""Of an archive's members, configs and lists are smaller than this; all else is layers."""
LAYER_TYPES = (
    (b"\x1f\x8b", "application/vnd.oci.image.layer.v1.tar+gzip"),
    (b"\x28\xb5\x2f\xfd", "application/vnd.oci.image.layer.v1.tar+zstd"),
    (b"", "application/vnd.oci.image.layer.v1.tar"),
)
"""By the first bytes of a layer."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer: sha256 (hex) and size of its blob, and how it is packed."""

    sha256: str
    bytes: int
    media_type: str


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image whose blobs are all in the store."""

    config: str
    config_bytes: int
    layers: tuple[Layer, ...]
    diff_ids: tuple[str, ...]


class BlobStore:
    """A folder of blobs by sha256, kept from one bundle to the next."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs" / "sha256"
        self._images = folder / "images"

    def path(self, sha256: str) -> Path:
        """Return where a blob is, or will be."""
        return self._blobs / sha256

    def find(self, image_id: str) -> StoredImage | None:
        """Return an image that was taken in before, None where it was not, or is not whole any more."""
        try:
            noted = json.loads(self._note(image_id).read_text(encoding="utf-8"))
            layers = tuple(Layer(**layer) for layer in noted.pop("layers"))
            found = StoredImage(**{**noted, "layers": layers, "diff_ids": tuple(noted["diff_ids"])})
            sizes = {found.config: found.config_bytes} | {one.sha256: one.bytes for one in layers}
            if all(self.path(name).stat().st_size == size for name, size in sizes.items()):
                return found
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def take(self, image_id: str, archive: Iterable[bytes]) -> StoredImage:
        """Take an image in from what the engine saves; ImageFault where that is not the image."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._images.mkdir(parents=True, exist_ok=True)
        try:
            members = self._read(archive)
            found = self._assemble(image_id, members)
        except (tarfile.TarError, KeyError, ValueError, TypeError, IndexError) as error:
            raise ImageFault(
                f"what the engine saved of {image_id} is not understood: {error!r}",
                f"see what `docker save` writes of it, or leave it out: {stages_in('process')}",
            ) from error
        write_atomically(self._note(image_id), json.dumps(asdict(found), indent=1))
        return found

    def put(self, content: bytes) -> Layer:
        """Write a small blob of one's own."""
        return self._store(io.BytesIO(content))

    def _note(self, image_id: str) -> Path:
        return self._images / f"{image_id.removeprefix('sha256:')}.json"

    def _read(self, archive: Iterable[bytes]) -> _Members:
        members = _Members()
        stream = io.BufferedReader(_Pieces(iter(archive)), CHUNK_BYTES)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as saved:
            for member in saved:
                name = posixpath.normpath(member.name)
                if member.issym() or member.islnk():
                    # Docker before 25 links a layer that an image has twice.
                    folder = posixpath.dirname(name) if member.issym() else ""
                    members.links[name] = posixpath.normpath(
                        posixpath.join(folder, member.linkname)
                    )
                elif member.isfile():
                    content = saved.extractfile(member)
                    assert content is not None
                    self._keep(name, member.size, content, members)
        return members

    def _keep(self, name: str, size: int, content: Any, members: _Members) -> None:
        if size <= DOCUMENT_BYTES and not name.endswith(".tar"):
            members.documents[name] = content.read()
            return
        members.layers[name] = self._store(content)

    def _store(self, content: Any) -> Layer:
        """Write one blob while it is hashed; it has its name only when it is whole."""
        part = self._blobs / f".{os.getpid()}.part"
        digest, size, kind = hashlib.sha256(), 0, ""
        try:
            with part.open("wb") as stream:
                while chunk := content.read(CHUNK_BYTES):
                    kind = kind or next(
                        one for start, one in LAYER_TYPES if chunk.startswith(start)
                    )
                    digest.update(chunk)
                    size += stream.write(chunk)
            part.replace(self.path(digest.hexdigest()))
        finally:
            part.unlink(missing_ok=True)
        return Layer(sha256=digest.hexdigest(), bytes=size, media_type=kind)

    def _assemble(self, image_id: str, members: _Members) -> StoredImage:
        listed = _listed(image_id, members)
        config = members.documents[members.resolve(listed["Config"])]
        diff_ids = [
            str(one).removeprefix("sha256:") for one in json.loads(config)["rootfs"]["diff_ids"]
        ]
        layers = [self._layer(members, members.resolve(name)) for name in listed["Layers"]]
        _require_image(image_id, config, layers, diff_ids)
        return StoredImage(
            config=self._store(io.BytesIO(config)).sha256,
            config_bytes=len(config),
            layers=tuple(layers),
            diff_ids=tuple(diff_ids),
        )

    def _layer(self, members: _Members, name: str) -> Layer:
        if name in members.documents:
            members.layers[name] = self._store(io.BytesIO(members.documents[name]))
        return members.layers[name]


def _listed(image_id: str, members: _Members) -> dict[str, Any]:
    """Return what an archive's list has of an image: an engine saves one alone, people save several."""
    every: list[dict[str, Any]] = json.loads(members.documents["manifest.json"])
    if len(every) == 1:
        return every[0]
    wanted = image_id.removeprefix("sha256:")
    for one in every:
        config = members.documents[members.resolve(one["Config"])]
        if hashlib.sha256(config).hexdigest() == wanted:
            return one
    raise KeyError(image_id)


def _require_image(image_id: str, config: bytes, layers: list[Layer], diff_ids: list[str]) -> None:
    """Raise ValueError unless layers are those of the config, and the config is the image's."""
    if len(layers) != len(diff_ids):
        raise ValueError(f"{len(layers)} layers for {len(diff_ids)} of the config")
    plain = LAYER_TYPES[-1][1]
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        if layer.media_type == plain and layer.sha256 != diff_id:
            raise ValueError(f"a layer has the sha256 {layer.sha256}, the config says {diff_id}")
    wanted, found = image_id.removeprefix("sha256:"), hashlib.sha256(config).hexdigest()
    # An engine on containerd's store names an image by its manifest, not by its config.
    if wanted != found and all(layer.media_type == plain for layer in layers):
        raise ValueError(f"its config has the sha256 {found}")


class _Members:
    """What was read of an archive: small files, layers, and links by name."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.layers: dict[str, Layer] = {}
        self.links: dict[str, str] = {}

    def resolve(self, name: str) -> str:
        """Return the name of the file that a name stands for."""
        name = posixpath.normpath(name)
        for _ in range(len(self.links)):
            name = self.links.get(name, name)
        return name


class _Pieces(io.RawIOBase):
    """Pieces of bytes, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
