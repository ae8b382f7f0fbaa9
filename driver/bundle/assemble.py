"""Puts a bundle together: what was asked for, as files by path, as a manifest, as one archive."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from driver import __version__
from driver.bundle.contents import hash_contents, ordered
from driver.bundle.images import image_entry, image_of_result, take_image
from driver.bundle.loader_zip import loader_zip
from driver.bundle.oci import blob_digests, layout_contents
from driver.bundle.parts import (
    OLDEST_PYTHON,
    bill_contents,
    data_contents,
    missing_data,
    missing_image,
    missing_weights,
    model_contents,
    private_contents,
    result_contents,
    result_path,
    tree_contents,
    weights_contents,
    wheel_contents,
    wheel_licences,
    wheels_of,
)
from driver.bundle.signing import sign
from driver.bundle.writer import Plan, make_manifest, write_bundle
from driver.models.bundle import BundleLicence, BundleManifest, BundleResult, BundleStack
from driver.stacks.archived.blob_store import BlobStore
from driver.stacks.image import prepare_image
from driver.system.host.machine import tree_commit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.bundle.contents import Content
    from driver.bundle.parts import JobParts
    from driver.catalog.vendor import Stack, Vendor
    from driver.models.bundle import BundleElsewhere, BundleImage
    from driver.models.result import Result
    from driver.stacks.archived.oci_layout import NamedImage
    from driver.stacks.image import StackImage
    from driver.system.settings import Settings

LOCK = "requirements.lock"
CHOICES = ("weights", "data", "engines", "images")
"""What WITH= may name; `images`: those too that may not be passed on, within one's own house."""


@dataclass(frozen=True, kw_only=True)
class BundleRequest:
    """What a bundle is to hold. ``images`` and ``wheels``: for which runners it is."""

    jobs: tuple[JobParts, ...]
    vendors: tuple[Vendor, ...]
    stacks: tuple[Stack, ...]
    results: tuple[tuple[Path, Result], ...] = ()
    include: frozenset[str] = frozenset()
    images: bool = False
    wheels: bool = True
    documents: tuple[Content, ...] = ()
    """Bills of materials and statements, with paths below documents/."""


@dataclass
class _Gathered:
    contents: list[Content] = field(default_factory=list)
    wheels: dict[str, Path] = field(default_factory=dict)
    named: list[NamedImage] = field(default_factory=list)
    images: list[BundleImage] = field(default_factory=list)
    stacks: list[BundleStack] = field(default_factory=list)
    elsewhere: list[BundleElsewhere] = field(default_factory=list)


class Assembler:
    """Gathers a bundle's parts on this host and writes it."""

    def __init__(
        self,
        settings: Settings,
        *,
        note: Callable[[str], None],
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._settings = settings
        self._note = note
        self._progress = progress
        self._store = BlobStore(settings.cache / "oci")

    def write(
        self, request: BundleRequest, out: Path, *, volume_bytes: int | None, key: Path | None
    ) -> tuple[BundleManifest, list[Path]]:
        """Write the bundle and return its manifest and its files.

        Raises AssayError: a part that is missing, too little disk, a source that changes meanwhile.
        """
        gathered = self._gather(request)
        contents = ordered(gathered.contents)
        done = {"bytes": 0}

        def hashed(one: object) -> None:
            done["bytes"] += getattr(one, "bytes", 0)
            self._progress("hashing", done["bytes"], 0)

        files = hash_contents(
            contents,
            memory=self._settings.cache / "sha256",
            known=blob_digests(contents),
            on_done=hashed,
        )
        loader = loader_zip()
        raw, digest = make_manifest(self._document(request, gathered), files, loader)
        plan = Plan(
            manifest=raw,
            digest=digest,
            files=files,
            loader=loader,
            signature=None if key is None else sign(raw, key),
        )
        written = write_bundle(
            plan,
            out,
            volume_bytes=volume_bytes,
            on_progress=lambda at, total: self._progress("writing", at, total),
        )
        return BundleManifest.model_validate_json(raw), written

    def _gather(self, request: BundleRequest) -> _Gathered:
        settings, found = self._settings, _Gathered()
        found.contents += tree_contents(settings.root)
        for vendor in request.vendors:
            found.contents += private_contents("vendors", vendor, settings.root)
        for case in {parts.case.name: parts.case for parts in request.jobs}.values():
            found.contents += private_contents("cases", case, settings.root)
        lock = settings.root / "driver" / LOCK
        found.wheels |= _by_name(wheels_of(lock, OLDEST_PYTHON, settings, self._note))
        for stack in request.stacks:
            self._stack(request, stack, found)
        found.contents += layout_contents(found.named, self._store)
        found.contents += wheel_contents(found.wheels.values())
        for parts in request.jobs:
            self._job(request, parts, found)
        for folder, result in request.results:
            found.contents += result_contents(folder, result)
        found.contents += request.documents
        return found

    def _stack(self, request: BundleRequest, stack: Stack, found: _Gathered) -> None:
        passed_on = stack.manifest.redistributable or "images" in request.include
        has_image = request.images and passed_on
        if has_image:
            image = self._image(request, stack)
            lock = self._settings.home / "locks" / "oci.lock"
            named = take_image(image, self._store, lock=lock, on_progress=self._note)
            found.named.append(named)
            found.images.append(image_entry(stack, image, named))
        elif request.images:
            found.elsewhere += missing_image(stack, {}, _image_id(request, stack))
        # The lab builds an image that it may not be given from the same wheels, with the network off.
        wheels = (request.wheels and stack.manifest.process_runner) or (
            request.images and not has_image
        )
        if wheels and (stack.folder / LOCK).is_file():
            python = stack.manifest.python
            found.wheels |= _by_name(
                wheels_of(stack.folder / LOCK, python, self._settings, self._note)
            )
        found.stacks.append(
            BundleStack(vendor=stack.vendor, stack=stack.name, image=has_image, wheels=wheels)
        )

    def _image(self, request: BundleRequest, stack: Stack) -> StackImage:
        """Return the image of a result where one names it, else the stack's as it is now."""
        for _, result in request.results:
            found = image_of_result(stack, result)
            if found is not None:
                return found
        return prepare_image(stack, self._settings, on_progress=self._note)

    def _job(self, request: BundleRequest, parts: JobParts, found: _Gathered) -> None:
        include = request.include
        found.contents += bill_contents(parts)
        found.contents += model_contents(parts, engines="engines" in include)
        if "weights" in include:
            found.contents += weights_contents(parts)
        if "data" in include or parts.synthetic_data:
            found.contents += data_contents(parts, self._settings)
        has_weights = "weights" in include and parts.weights is not None
        has_data = "data" in include and parts.dataset is not None
        missing = [*missing_weights(parts, has_weights), *missing_data(parts, has_data)]
        found.elsewhere += [one for one in missing if one not in found.elsewhere]

    def _document(self, request: BundleRequest, found: _Gathered) -> dict[str, object]:
        """Return the manifest without files, loader and digest."""
        return {
            "schema": "assay/bundle/1",
            "assay": __version__,
            "commit": tree_commit(self._settings.root),
            "machine": platform.machine(),
            "python": OLDEST_PYTHON,
            "cases": sorted({parts.case.name for parts in request.jobs}),
            "stacks": [one.model_dump() for one in found.stacks],
            "images": [one.model_dump(mode="json") for one in found.images],
            "results": [_result_entry(*one).model_dump() for one in request.results],
            "licences": [one.model_dump() for one in _licences(request, found)],
            "elsewhere": [one.model_dump() for one in found.elsewhere],
        }


def _image_id(request: BundleRequest, stack: Stack) -> str | None:
    """Return the id of the image that a result's job ran a stack in, None where no result says."""
    for _, result in request.results:
        if (stack.vendor, stack.name) == (result.job.vendor, result.job.stack):
            return (result.provenance.get("vendor_stack") or {}).get("image_id")
    return None


def _by_name(wheels: dict[str, Path]) -> dict[str, Path]:
    return {path.name: path for path in wheels.values()}


def _result_entry(folder: Path, result: Result) -> BundleResult:
    assert result.digest is not None
    return BundleResult(
        folder=result_path(folder, result),
        digest=result.digest,
        job=result.job.id,
        case=result.job.case,
        vendor=result.job.vendor,
        stack=result.job.stack,
    )


def _licences(request: BundleRequest, found: _Gathered) -> list[BundleLicence]:
    vendors = [
        BundleLicence(
            what=f"what {vendor.name} gives (SDK, base images)", licence=vendor.manifest.licence
        )
        for vendor in request.vendors
        if vendor.manifest.licence
    ]
    return [
        BundleLicence(what="Assay", licence="Apache-2.0"),
        *vendors,
        *wheel_licences(found.wheels.values()),
    ]
