"""What this machine holds, and what a bundle holds, by digest: the other end of a result's chain."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from driver.bundle.chain import Held
from driver.bundle.loader.manifest import KEPT
from driver.datasets.weights import locate_weights
from driver.errors import AssayError
from driver.stacks.recipes import stack_digest
from driver.system.hashing import (
    code_digest,
    digest_of_code,
    file_sha256,
    key_of,
    remembered_sha256,
)
from driver.system.host.machine import tree_commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from driver.bundle.loader.layout import FileEntry
    from driver.catalog.catalog import Catalog
    from driver.models.result import Result
    from driver.system.settings import Settings


def held_here(settings: Settings, catalog: Catalog, result: Result) -> Held:
    """Return what this machine holds of a result's parts: no network, no device, no engine is asked."""
    memory = settings.cache / "sha256"
    files = {remembered_sha256(path, memory) for path in _files(settings)}
    files |= {
        file_sha256(path) for path in (settings.root / "images").glob("*/*/requirements.lock")
    }
    return Held(
        commit=tree_commit(settings.root),
        files=frozenset(files),
        images=frozenset(_images(settings.root / KEPT)),
        datasets=frozenset(_datasets(settings)),
        weights=_weights(settings, catalog, result),
        code=_code(catalog, result),
    )


def _files(settings: Settings) -> Iterator[Path]:
    yield from settings.cache.glob("models/*/model/*.onnx")
    yield from (settings.home / "wheelhouse").glob("*.whl")


def _images(folder: Path) -> Iterator[str]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        for one in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
            yield str(one["Config"]).rpartition("/")[2]


def _datasets(settings: Settings) -> Iterator[str]:
    for folder in (settings.cache / "datasets", settings.datasets_home):
        for index in folder.glob("*/data/index.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                yield str(json.loads(index.read_text(encoding="utf-8"))["sha256"])


def _weights(settings: Settings, catalog: Catalog, result: Result) -> dict[str, str]:
    try:
        case = catalog.case(result.job.case)
        return {case.name: locate_weights(case, None, settings).digest}
    except AssayError:
        return {}


def _code(catalog: Catalog, result: Result) -> dict[str, str]:
    found = {
        "harness": code_digest(catalog.harness),
        "reference": code_digest(catalog.reference_hook),
    }
    if not catalog.invalid_reference:
        found["reference_stack"] = stack_digest(catalog.reference)
    case, vendor = catalog.cases.get(result.job.case), catalog.vendors.get(result.job.vendor)
    if case is not None:
        found["case"] = code_digest(case.folder)
    if vendor is not None:
        found["hook"] = code_digest(vendor.folder)
        if result.job.stack in vendor.stacks:
            found["stack"] = stack_digest(vendor.stacks[result.job.stack])
    return found


def held_in_bundle(document: dict[str, Any], entries: Sequence[FileEntry], result: Result) -> Held:
    """Return what a bundle holds of a result's parts, by its manifest."""
    return Held(
        commit=document["commit"],
        files=frozenset(entry.sha256 for entry in entries),
        images=frozenset(image["config"] for image in document["images"]),
        weights=_bundled_weights(entries, result),
        code=_bundled_code(entries, result),
    )


def _bundled_weights(entries: Sequence[FileEntry], result: Result) -> dict[str, str]:
    """Return the digest of the weights that a bundle holds for a result's case, as results have it."""
    said = result.provenance.get("weights") or {}
    named = [str(name) for name in said.get("files") or ()]
    # A case that brings its own weights has them in a folder of its own.
    case = result.job.case
    starts = (f"home/weights/{case}/", f"home/cases/{case}/", f"tree/cases/{case}/")
    ours = [entry for entry in entries if entry.path.startswith(starts)]
    found = {name: one.sha256 for name in named for one in ours if one.path.endswith(f"/{name}")}
    if not named or len(found) < len(named):
        return {}
    return {case: key_of({"format": said.get("format"), "files": found})}


def _bundled_code(entries: Sequence[FileEntry], result: Result) -> dict[str, str]:
    case, vendor = result.job.case, result.job.vendor
    # One from outside the tree comes last: it replaces the tree's of the same name.
    folders = (
        ("case", f"tree/cases/{case}/"),
        ("case", f"home/cases/{case}/"),
        ("hook", f"tree/vendor_hooks/{vendor}/"),
        ("hook", f"home/vendors/{vendor}/"),
        ("harness", "tree/vendor_hooks/harness/"),
        ("reference", "tree/vendor_hooks/reference/"),
    )
    found = {}
    for part, start in folders:
        files = {
            entry.path.removeprefix(start): entry.sha256
            for entry in entries
            if entry.path.startswith(start)
        }
        if files:
            found[part] = digest_of_code(files)
    return found
