"""Small bundles for tests: what `make bundle` writes, without a tree, images or a driver."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from driver.bundle.contents import Content, hash_contents, ordered
from driver.bundle.loader.layout import places
from driver.bundle.loader.manifest import content_digest, read_manifest, spell
from driver.bundle.loader.verification import check_files, open_bundle
from driver.bundle.loader.volumes import open_source
from driver.bundle.loader_zip import loader_zip
from driver.bundle.writer import Plan, make_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from driver.bundle.loader.layout import Place

FILES: dict[str, bytes] = {
    "tree/Makefile": b"help:\n",
    "tree/driver/assay": b"#!/bin/sh\necho driver $*\n",
    "tree/driver/" + "deep/" * 20 + "er.py": b"pass\n",
    "home/weights/vit_digits/model.bin": bytes(range(256)) * 5000,
    "results/vit_digits/cpu/one/result.json": b"{}\n",
    "blobs/sha256/" + "0" * 64: b"a layer" * 1000,
    "home/empty": b"",
}
DOCUMENT: dict[str, Any] = {
    "schema": "assay/bundle/1",
    "assay": "0.1.0",
    "commit": "c0ffee",
    "machine": platform.machine(),
    "python": "3.11",
    "cases": ["vit_digits"],
    "stacks": [],
    "images": [],
    "results": [],
    "licences": [],
    "elsewhere": [],
}


def plan_of(files: dict[str, bytes], memory: Path, **changes: Any) -> Plan:
    contents = ordered(
        Content(path=path, source=data, role="tree", executable=path.endswith("/assay"))
        for path, data in files.items()
    )
    hashed = hash_contents(contents, memory=memory, known={}, on_done=lambda _one: None)
    loader = loader_zip()
    raw, digest = make_manifest({**DOCUMENT, **changes}, hashed, loader)
    return Plan(manifest=raw, digest=digest, files=hashed, loader=loader)


def pack(
    out: Path,
    files: dict[str, bytes] | None = None,
    *,
    volume_bytes: int | None = None,
    **changes: Any,
) -> Path:
    plan = plan_of(FILES if files is None else files, out.parent / "memory", **changes)
    write_bundle(plan, out, volume_bytes=volume_bytes, on_progress=lambda _done, _total: None)
    return out


def verify(path: Path) -> None:
    """Check a bundle to its last byte; BundleFault says what is wrong."""
    with open_source(path) as source:
        check_files(open_bundle(source))


def place_of(path: Path, name: str) -> Place:
    """Return where a file stands in a bundle."""
    with open_source(path) as source:
        return next(place for place in open_bundle(source).places if place.entry.path == name)


def forge(path: Path, **changes: Any) -> None:
    """Replace a bundle's manifest by one with other values and a right digest, and all that follows from it.

    Contents stay those of the bundle, by path; a file of which there is no content has zeros.
    """
    with open_source(path) as source:
        opened = open_bundle(source)
        had = {
            place.entry.path: source.read(place.data, place.entry.bytes) for place in opened.places
        }
        loader = source.read(source.size - opened.manifest.loader[0], opened.manifest.loader[0])
    document = {**opened.manifest.document, **changes}
    document["digest"] = content_digest(document)
    write_raw(path, document, had, loader)


def write_raw(path: Path, document: dict[str, Any], had: dict[str, bytes], loader: bytes) -> None:
    from driver.bundle.loader.layout import END, MANIFEST, member_header, padded

    raw = spell(document)
    with path.open("wb") as stream:
        stream.write(member_header(MANIFEST, len(raw)) + raw + bytes(padded(len(raw)) - len(raw)))
        for one in document["files"]:
            data = had.get(one["path"], b"")
            size = int(one["bytes"])
            stream.write(
                member_header(str(one["path"]), size, 0o755 if one.get("executable") else 0o644)
            )
            stream.write(data.ljust(min(size, 1 << 20), b"\0"))
            stream.write(bytes(padded(size) - size if size < 1 << 40 else 0))
        stream.write(END + loader)


__all__ = [
    "FILES",
    "forge",
    "pack",
    "place_of",
    "places",
    "plan_of",
    "read_manifest",
    "verify",
    "write_raw",
]
