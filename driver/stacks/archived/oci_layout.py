"""The texts of an OCI image layout: manifests and the index, which name blobs by digest. Pure.

``oci-layout``, ``index.json`` and ``blobs/`` are the OCI's (image-spec 1.0).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.stacks.archived.blob_store import StoredImage

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
NAME = "org.opencontainers.image.ref.name"
"""The annotation of the index that names an image."""

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
        return spelled(
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


def layout_head() -> bytes:
    """Return the text of ``oci-layout``."""
    return spelled({"imageLayoutVersion": "1.0.0"})


def layout_index(images: Sequence[NamedImage]) -> bytes:
    """Return the text of ``index.json``."""
    listed = []
    for image in images:
        manifest = image.manifest
        annotations = {NAME: image.name, "io.containerd.image.name": f"{REGISTRY}/{image.name}"}
        described = _descriptor(MANIFEST_TYPE, sha256(manifest).hexdigest(), len(manifest))
        listed.append(described | {"annotations": annotations})
    return spelled({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed})


def blob_name(digest: str) -> str:
    """Return where a layout has the blob of a sha256 (hex)."""
    return f"blobs/sha256/{digest}"


def spelled(document: Any) -> bytes:
    """Return the one spelling of a document, which decides its digest."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}
