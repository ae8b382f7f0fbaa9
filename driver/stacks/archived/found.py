"""Finds images in files: in the OCI layout of a loaded bundle, and in archives that an engine has saved."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from driver.stacks.archived.oci_layout import NAME, blob_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BUNDLE = ".assay/bundle"
"""Where a loaded bundle has its OCI layout, in the tree."""

IMAGES = "images"
"""Where archives of `docker save` are put, in ASSAY_HOME."""

DOCUMENT_BYTES = 16 << 20
"""A list or a config is smaller."""


@dataclass(frozen=True, kw_only=True)
class FoundImage:
    """An image, and the OCI layout (a folder) or the archive (a file) that has it.

    ``listed`` is what the Engine API would say of it: Id, Created, RepoTags and Labels.
    """

    source: Path
    listed: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Return its id: "sha256:" and its config's digest, as with an engine."""
        return str(self.listed["Id"])


@dataclass(frozen=True, kw_only=True)
class Search:
    """The images of this host's files, and the files that could not be read, each with the reason."""

    images: list[FoundImage] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def find_images(root: Path, home: Path) -> Search:
    """Return the images of the bundle that ``root`` was loaded from, and of the archives in ``home``."""
    search = Search()
    layouts = [folder for folder in (root / BUNDLE,) if (folder / "index.json").is_file()]
    archives = sorted(path for path in (home / IMAGES).glob("*.tar") if path.is_file())
    for source in (*layouts, *archives):
        reader = _in_layout if source.is_dir() else _in_archive
        try:
            search.images.extend(reader(source))
        except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
            search.unreadable.append(f"{source}: {error}")
    return search


def places(root: Path, home: Path) -> str:
    """Return where images are looked for, for people."""
    return f"{home / IMAGES}/*.tar and {root / BUNDLE}"


def config_digest(folder: Path, manifest: str) -> str:
    """Return the sha256 (hex) of the config of a manifest in a layout."""
    document = json.loads((folder / blob_name(manifest)).read_bytes())
    return str(document["config"]["digest"]).removeprefix("sha256:")


def _in_layout(folder: Path) -> Iterator[FoundImage]:
    index = json.loads((folder / "index.json").read_bytes())
    for one in index["manifests"]:
        digest = config_digest(folder, str(one["digest"]).removeprefix("sha256:"))
        config = (folder / blob_name(digest)).read_bytes()
        yield _found(folder, config, [one.get("annotations", {}).get(NAME)])


def _in_archive(path: Path) -> Iterator[FoundImage]:
    # Headers alone are read: members are skipped by seeking.
    with tarfile.open(path, "r:") as archive:
        for one in json.loads(_member(archive, "manifest.json")):
            yield _found(path, _member(archive, one["Config"]), one.get("RepoTags") or [])


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(name)
    if content is None:
        raise KeyError(name)
    with content:
        return content.read(DOCUMENT_BYTES)


def _found(source: Path, config: bytes, names: list[Any]) -> FoundImage:
    document = json.loads(config)
    return FoundImage(
        source=source,
        listed={
            "Id": f"sha256:{hashlib.sha256(config).hexdigest()}",
            "Created": str(document.get("created") or ""),
            "RepoTags": [str(name) for name in names if name],
            "Labels": (document.get("config") or {}).get("Labels") or {},
        },
    )
