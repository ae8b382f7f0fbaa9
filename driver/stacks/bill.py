"""A CycloneDX bill of materials for each image and environment: packages, base, installers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from driver.system.files import write_atomically
from driver.system.hashing import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyclonedx.model.component import Component

    from driver.catalog.vendor import Stack
    from driver.models.stack import StackManifest
    from driver.stacks.installer import Installation
    from driver.stacks.wheelhouse import Wheelhouse

FOLDER = "bills"
SUFFIX = ".cdx.json"
FORMAT = 1
"""Raise it when the same stack gets another bill; kept ones are made anew then."""


def kept_bill(stack: Stack, installation: Installation, home: Path) -> str:
    """Return the sha256 of a stack's bill, which is kept in ``home`` by that digest.

    Made once for what a stack is made of: the library that writes it takes a second to import.
    """
    made_of = key_of(
        {
            "format": FORMAT,
            "stack": f"{stack.vendor}/{stack.name}",
            "manifest": stack.manifest.model_dump(mode="json"),
            "made_of": dict(installation.provenance),
        }
    )
    note = home / FOLDER / "of" / made_of
    if note.is_file():
        digest = note.read_text(encoding="ascii").strip()
        if bill_path(home, digest).is_file():
            return digest
    from driver.stacks.wheelhouse import Wheelhouse

    bill = sbom_of(stack, installation, Wheelhouse(home))
    digest = hashlib.sha256(bill).hexdigest()
    note.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(bill_path(home, digest), bill.decode())
    write_atomically(note, digest)
    return digest


def bill_path(home: Path, digest: str) -> Path:
    """Return where the bill of that digest is kept."""
    return home / FOLDER / f"{digest}{SUFFIX}"


def sbom_of(stack: Stack, installation: Installation, house: Wheelhouse) -> bytes:
    """Return the CycloneDX 1.6 JSON of an installed stack.

    The same content gives the same bytes: the serial number follows from it, and there is no time.
    Licences are those that the wheels in ``house`` state; a wheel that is not there has none.
    """
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    made_of = dict(installation.provenance)
    is_image = made_of.get("kind") == "image"
    root = Component(
        name=f"{stack.vendor}/{stack.name}",
        version=str(made_of.get("image_id") or made_of.get("lock_sha256") or made_of.get("sha256")),
        type=ComponentType.CONTAINER if is_image else ComponentType.PLATFORM,
        bom_ref="stack",
    )
    parts = [*_packages(made_of, house), *_around(stack.manifest, made_of)]
    name = key_of({"root": root.version, "parts": sorted(_identity(one) for one in parts)})
    bom = Bom(
        components=parts,
        metadata=BomMetaData(component=root),
        serial_number=uuid5(NAMESPACE_URL, f"assay:{name}"),
    )
    # The library sets the time of its call, which would make every bill another file.
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.register_dependency(root, parts)
    return (JsonV1Dot6(bom).output_as_string(indent=1) + "\n").encode()


def _identity(part: Component) -> str:
    digests = ",".join(sorted(one.content for one in part.hashes))
    return f"{part.name} {part.version} {digests}"


def _packages(made_of: dict[str, Any], house: Wheelhouse) -> Iterator[Component]:
    """Yield Python packages: each wheel of a pinned stack, each distribution of a Python of the host."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from packaging.utils import parse_wheel_filename

    licences = LicenseFactory()
    for file, digest in sorted((made_of.get("wheels") or {}).items()):
        name, version, _, _ = parse_wheel_filename(file)
        stated = _stated(house, file, str(digest))
        yield _package(
            name,
            str(version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=str(digest))],
            licenses=[licences.make_from_string(stated)] if stated else [],
        )
    for name, version in sorted((made_of.get("packages") or {}).items()):
        yield _package(str(name), str(version))


def _stated(house: Wheelhouse, file: str, digest: str) -> str | None:
    """Return the licence of exactly that wheel: another file of its name may state another."""
    from driver.stacks.wheel_licence import stated_licence

    wheel = house.folder / file
    if not wheel.is_file() or house.sha256(wheel) != digest:
        return None
    return stated_licence(wheel)


def _package(name: str, version: str, **more: Any) -> Component:
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    address = PackageURL(type="pypi", name=name, version=version)
    return Component(name=name, version=version, purl=address, bom_ref=str(address), **more)


def _around(manifest: StackManifest, made_of: dict[str, Any]) -> Iterator[Component]:
    """Yield what is not a Python package: the interpreter, the base image, the vendor's installers."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    if made_of.get("python"):
        version = str(made_of["python"])
        yield Component(
            name="python", version=version, type=ComponentType.PLATFORM, bom_ref="python"
        )
    if made_of.get("base"):
        digest = made_of.get("base_digest") or made_of.get("base_id")
        content = str(digest or "").removeprefix("sha256:")
        yield Component(
            name=str(made_of["base"]),
            version=str(digest) if digest else None,
            type=ComponentType.CONTAINER,
            bom_ref="base",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content)] if content else [],
        )
    licences = {one.file: one.licence for one in manifest.installers}
    for file, digest in sorted((made_of.get("installers") or {}).items()):
        stated = licences.get(file)
        yield Component(
            name=file,
            type=ComponentType.FILE,
            bom_ref=f"installer:{file}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=str(digest))],
            licenses=[LicenseFactory().make_from_string(stated)] if stated else [],
        )
