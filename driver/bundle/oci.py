"""The OCI image layout of a bundle, which is also an archive that `docker load` takes. Pure.

``manifest.json`` is what Docker before 25 reads in place of the OCI's files, and names the same blobs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from driver.bundle.contents import Content
from driver.stacks.archived.oci_layout import blob_name, layout_head, layout_index, spelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.stacks.archived.blob_store import BlobStore
    from driver.stacks.archived.oci_layout import NamedImage


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
        "oci-layout": layout_head(),
        "index.json": layout_index(images),
        "manifest.json": spelled([_archived(image) for image in images]),
    }
    return [
        *(Content(path=name, source=text, role="image") for name, text in head.items()),
        *(
            Content(path=blob_name(name), source=text, role="image")
            for name, text in manifests.items()
        ),
        *(Content(path=blob_name(name), source=path, role="image") for name, path in blobs.items()),
    ]


def blob_digests(contents: Sequence[Content]) -> dict[str, str]:
    """Return the digests that are certain: a blob of the store has the name of its content."""
    return {
        one.path: one.path.rpartition("/")[2]
        for one in contents
        if one.path.startswith("blobs/sha256/") and not isinstance(one.source, bytes)
    }


def _archived(image: NamedImage) -> dict[str, Any]:
    return {
        "Config": blob_name(image.stored.config),
        "RepoTags": [image.name],
        "Layers": [blob_name(layer.sha256) for layer in image.stored.layers],
    }
