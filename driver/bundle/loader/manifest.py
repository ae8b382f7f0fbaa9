"""The manifest of a bundle, read without trust: every path, size and digest is checked before use."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Iterable, NamedTuple

from .faults import COPY_AGAIN, BundleFault
from .layout import FileEntry

SCHEMA = "assay/bundle/1"
FAMILY = "assay/bundle/"
LIMIT_BYTES = 256 << 20
"""A manifest takes some 200 bytes a file."""
PATH_LIMIT = 240
_PATH = re.compile(r"[A-Za-z0-9._+@=,~-]+(/[A-Za-z0-9._+@=,~-]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
IMAGE_FILES = ("oci-layout", "index.json", "manifest.json")
KEPT = ".assay/bundle"
"""Where the manifest, the images and the documents are after loading, in the loaded folder."""
RESERVED = ("assay.local.toml", ".assay", ".git")


class Manifest(NamedTuple):
    """A manifest that was checked: the whole document, its bytes, and its files in their order."""

    document: dict[str, Any]
    raw: bytes
    entries: list[FileEntry]

    @property
    def id(self) -> str:
        """Return the bundle's short name: the first 12 digits of its manifest's digest."""
        return str(self.document["digest"])[:12]

    @property
    def loader(self) -> tuple[int, str]:
        """Return size and sha256 of the zip file that stands behind the archive."""
        loader = self.document["loader"]
        return loader["bytes"], loader["sha256"]


def spell(document: dict[str, Any]) -> bytes:
    """Return the one spelling of a manifest's document: sorted keys, one space of indent, ASCII."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def content_digest(document: dict[str, Any]) -> str:
    """Return the sha256 of a document's canonical JSON without its own ``digest``, as results have it."""
    body = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_manifest(raw: bytes) -> Manifest:
    """Return a manifest that is whole and names only what a bundle may hold; BundleFault otherwise."""
    try:
        document = json.loads(raw.decode("ascii"))
    except (UnicodeDecodeError, ValueError) as error:
        raise _damaged(f"it is not JSON ({error})") from None
    except RecursionError:
        raise _damaged("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise _damaged("it is not a JSON object")
    _require_schema(document.get("schema"))
    if document.get("digest") != content_digest(document) or spell(document) != raw:
        raise _damaged("its content is not what its own digest says")
    try:
        entries = [_entry(one) for one in document["files"]]
        _size_and_digest(document["loader"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(f"it is not understood: {error}") from None
    _require_distinct(entries)
    return Manifest(document, raw, entries)


def parts_of(entries: Iterable[Any]) -> list[tuple[str, int, int]]:
    """Return what a bundle includes: (part, number of files, bytes), by the entries' roles, sorted."""
    found: dict[str, list[int]] = {}
    for entry in entries:
        found.setdefault(entry.role, []).append(entry.bytes)
    return [(role, len(sizes), sum(sizes)) for role, sizes in sorted(found.items())]


def next_command(manifest: Manifest) -> str:
    """Return what to type in the folder of a loaded bundle: a rerun of its first result, else a run."""
    for entry in manifest.entries:
        if entry.path.startswith("results/") and entry.path.endswith("/result.json"):
            return "make rerun RESULT=" + entry.path[: -len("/result.json")]
    cases = manifest.document["cases"]
    return "make run CASE=" + cases[0] if cases else "make help"


def _damaged(what: str) -> BundleFault:
    return BundleFault(f"the bundle's manifest is damaged: {what}", COPY_AGAIN)


def _require_schema(schema: Any) -> None:
    if schema == SCHEMA:
        return
    if isinstance(schema, str) and schema.startswith(FAMILY):
        raise BundleFault(
            f"the bundle has the format {schema}, this loader reads {SCHEMA}",
            "use the loader that the bundle carries: python3 <bundle>; or a newer Assay",
        )
    raise _damaged(f"its schema is {schema!r}, not {SCHEMA}")


def _entry(one: dict[str, Any]) -> FileEntry:
    path, role, executable = one["path"], one["role"], one.get("executable", False)
    if not isinstance(path, str) or not isinstance(role, str) or not isinstance(executable, bool):
        raise TypeError("a file's path, role or executable has the wrong type")
    size, digest = _size_and_digest(one)
    require_path(path)
    destination(path)
    return FileEntry(path, size, digest, role, executable)


def _size_and_digest(one: dict[str, Any]) -> tuple[int, str]:
    size, digest = one["bytes"], one["sha256"]
    if type(size) is not int or size < 0:
        raise ValueError(f"bytes is {size!r}")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"sha256 is {digest!r}")
    return size, digest


def require_path(path: str) -> None:
    """Raise BundleFault for a path that is absolute, leaves the folder, or has odd characters."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "." in parts:
        raise BundleFault(
            f"the bundle names a file outside its folder: {path[:PATH_LIMIT]!r}",
            "do not use it; ask its publisher for another one",
        )
    if len(path) > PATH_LIMIT or not _PATH.fullmatch(path):
        raise BundleFault(
            f"the bundle names a file by characters that it may not: {path[:PATH_LIMIT]!r}",
            "names have letters, digits and ._+@=,~- (240 characters at most)",
        )


def destination(path: str) -> str:
    """Return where a bundle's file goes, relative to the folder that it is loaded into.

    Raises BundleFault for a place that bundles do not have, and for the host's own settings.
    """
    top, _, rest = path.partition("/")
    if path in IMAGE_FILES or (top in ("blobs", "documents") and rest):
        return f"{KEPT}/{path}"
    if top == "home" and rest and not rest.startswith("bundle/"):
        return f".assay/{rest}"
    if top == "results" and rest:
        return path
    if top == "tree" and rest and rest.split("/")[0] not in RESERVED:
        return rest
    raise BundleFault(
        f"the bundle has a file where none belongs: {path!r}",
        "do not use it; ask its publisher for another one",
    )


def _require_distinct(entries: list[FileEntry]) -> None:
    seen = set()  # type: set[str]
    folders = set()  # type: set[str]
    for entry in entries:
        target = destination(entry.path)
        if target in seen:
            raise BundleFault(
                f"the bundle names the file {entry.path!r} twice",
                "do not use it; ask its publisher for another one",
            )
        seen.add(target)
        parts = target.split("/")[:-1]
        folders.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
    both = sorted(seen & folders)
    if both:
        raise BundleFault(
            f"the bundle names {both[0]!r} both as a file and as a folder",
            "do not use it; ask its publisher for another one",
        )
