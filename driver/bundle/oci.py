"""The OCI image layout of a bundle, which is also an archive that `docker load` takes. Pure.

``oci-layout``, ``index.json`` and ``blobs/`` are the OCI's (image-spec 1.0); ``manifest.json`` is what
Docker before 25 reads instead, and names the same blobs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.bundle.contents import Content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.bundle.blob_store import BlobStore, StoredImage

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REGISTRY = "docker.io"
"""Where containerd places names that have no registry."""


@dataclass(frozen=True, kw_only=True)
class NamedImage:
    """An image of the store, and the name that it goes by."""

    name: str
    stored: StoredImage

    @property
    def manifest(self) -> bytes:
        """Return its OCI manifest."""
        stored = self.stored
        return _spell(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _descriptor(CONFIG_TYPE, stored.config, stored.config_bytes),
                "layers": [
                    _descriptor(layer.media_type, layer.sha256, layer.bytes)
                    for layer in stored.layers
                ],
            }
        )


def layout_contents(images: Sequence[NamedImage], store: BlobStore) -> list[Content]:
    """Return every file of the layout: its head, manifests, and each blob once."""
    if not images:
        return []
    images = sorted(images, key=lambda image: image.name)
    blobs = {
        digest: store.path(digest)
        for image in images
        for digest in (image.stored.config, *(layer.sha256 for layer in image.stored.layers))
    }
    manifests = {hashlib.sha256(one.manifest).hexdigest(): one.manifest for one in images}
    head = {
        "oci-layout": _spell({"imageLayoutVersion": "1.0.0"}),
        "index.json": _index(images),
        "manifest.json": _spell([_archived(image) for image in images]),
    }
    return [
        *(Content(path=name, source=text, role="image") for name, text in head.items()),
        *(Content(path=_blob(name), source=text, role="image") for name, text in manifests.items()),
        *(Content(path=_blob(name), source=path, role="image") for name, path in blobs.items()),
    ]


def blob_digests(contents: Sequence[Content]) -> dict[str, str]:
    """Return the digests that are certain: a blob of the store has the name of its content."""
    return {
        one.path: one.path.rpartition("/")[2]
        for one in contents
        if one.path.startswith("blobs/sha256/") and not isinstance(one.source, bytes)
    }


def _index(images: Sequence[NamedImage]) -> bytes:
    listed = []
    for image in images:
        manifest = image.manifest
        digest = hashlib.sha256(manifest).hexdigest()
        annotations = {
            "org.opencontainers.image.ref.name": image.name,
            "io.containerd.image.name": f"{REGISTRY}/{image.name}",
        }
        listed.append(
            _descriptor(MANIFEST_TYPE, digest, len(manifest)) | {"annotations": annotations}
        )
    return _spell({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed})


def _archived(image: NamedImage) -> dict[str, Any]:
    return {
        "Config": _blob(image.stored.config),
        "RepoTags": [image.name],
        "Layers": [_blob(layer.sha256) for layer in image.stored.layers],
    }


def _blob(sha256: str) -> str:
    return f"blobs/sha256/{sha256}"


def _descriptor(media_type: str, sha256: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256}", "size": size}


def _spell(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("utf-8")
