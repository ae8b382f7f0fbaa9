"""Images as engines save them: Docker's own archive (before 25), and blobs by digest (since)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def layer(name: str, content: bytes) -> bytes:
    """Return a layer: an uncompressed tar with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def config(layers: list[bytes], labels: dict[str, str] | None = None) -> bytes:
    """Return an image's config."""
    diff_ids = [f"sha256:{sha256(one)}" for one in layers]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels or {}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    return json.dumps(document).encode()


def saved_before_25(layers: list[bytes]) -> tuple[str, bytes]:
    """Return image id and archive with a folder a layer; a layer that comes twice is a link."""
    text = config(layers)
    members: list[tuple[str, bytes | str]] = []
    names: list[str] = []
    for number, data in enumerate(layers):
        name = f"{number:064x}/layer.tar"
        first = layers.index(data)
        members.append((name, data if first == number else f"../{first:064x}/layer.tar"))
        members.append((f"{number:064x}/VERSION", b"1.0"))
        names.append(name)
    listed = [{"Config": f"{sha256(text)}.json", "RepoTags": None, "Layers": names}]
    members += [(f"{sha256(text)}.json", text), ("manifest.json", json.dumps(listed).encode())]
    return f"sha256:{sha256(text)}", archive(members)


def saved_since_25(layers: list[bytes], *, packed: bool = False) -> tuple[str, bytes]:
    """Return image id and archive with blobs by digest; ``packed``: as containerd's store keeps them."""
    text = config(layers)
    blobs = [gzip.compress(one, mtime=0) if packed else one for one in layers]
    names = [f"blobs/sha256/{sha256(one)}" for one in blobs]
    listed = [{"Config": f"blobs/sha256/{sha256(text)}", "RepoTags": None, "Layers": names}]
    members: list[tuple[str, bytes | str]] = [
        ("oci-layout", b"{}"),
        *zip(names, blobs, strict=True),
        (f"blobs/sha256/{sha256(text)}", text),
        ("manifest.json", json.dumps(listed).encode()),
    ]
    return f"sha256:{sha256(text)}", archive(members)


def archive(members: list[tuple[str, bytes | str]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as saved:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                saved.addfile(info)
            else:
                info.size = len(content)
                saved.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    """Yield bytes in pieces, as an engine sends them."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Engine:
    """An engine that knows images by name, and takes archives."""

    def __init__(self, images: dict[str, str] | None = None) -> None:
        self.images = images or {}
        self.taken: list[bytes] = []
        self.api = self
        self.timeout = 0

    def inspect_image(self, image: str) -> dict[str, Any]:
        if image in self.images:
            return {"Id": self.images[image], "Config": {"Labels": None}}
        error = OSError("no such image")
        error.response = type("Response", (), {"status_code": 404})  # type: ignore[attr-defined]
        raise error

    def load_image(self, data: Iterator[bytes], *, quiet: bool) -> list[dict[str, Any]]:
        whole = b"".join(data)
        self.taken.append(whole)
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            stream = archive.extractfile("manifest.json")
            assert stream is not None
            for one in json.load(stream):
                text = archive.extractfile(one["Config"])
                assert text is not None
                self.images[one["RepoTags"][0]] = f"sha256:{sha256(text.read())}"
        return [{"stream": "Loaded"}]

    def close(self) -> None:
        """Have nothing to close."""
