"""assay-bundle.json, the first member of a bundle's archive: its contents, and what is missing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from driver.models.base import Frozen, Name, Sha256

BundleRole = Literal[
    "image", "tree", "wheel", "model", "golden", "engine", "weights", "data", "result", "document"
]


class BundleFile(Frozen):
    """A file of the archive."""

    path: str = Field(description="in the archive; docs/bundles.md says where it goes")
    bytes: int = Field(ge=0, description="size")
    sha256: Sha256 = Field(description="digest of its content")
    role: BundleRole = Field(description="kind of content")
    executable: bool = Field(default=False, description="mode 755, else 644")


class BundleImage(Frozen):
    """An image in the OCI layout, and what it was made of."""

    name: str = Field(description="reference, as index.json annotates it")
    vendor: Name = Field(description="of the stack")
    stack: Name = Field(description="of the vendor")
    config: Sha256 = Field(description="digest of its config, the image's id in an engine")
    manifest: Sha256 = Field(description="digest of its OCI manifest")
    layers: tuple[Sha256, ...] = Field(description="digests of its layers, lowest first")
    diff_ids: tuple[Sha256, ...] = Field(description="digests of its layers, uncompressed")
    recipe: Sha256 | None = Field(
        default=None, description="digest of the folder that it was built from"
    )
    lock: Sha256 | None = Field(default=None, description="digest of its requirements.lock")
    base: str | None = Field(default=None, description="reference of its base image")
    base_digest: str | None = Field(default=None, description="digest of its base, if known")


class BundleStack(Frozen):
    """A stack of the bundle: runs from its image, from wheels, or from parts listed as missing."""

    vendor: Name
    stack: Name
    image: bool = Field(description="its image is in the bundle")
    wheels: bool = Field(description="the wheels of its lock are in the bundle")


class BundleLicence(Frozen):
    """The licence under which a part is distributed."""

    what: str
    licence: str


class BundleElsewhere(Frozen):
    """Something that the lab needs and the bundle does not contain."""

    what: str = Field(description="for display: the image of nvidia cuda12.1-trt8.6")
    kind: Literal["image", "installer", "weights", "data", "model"]
    reference: str | None = Field(default=None, description="its public name")
    digest: str | None = Field(default=None, description="sha256:…, if known")
    how: str = Field(description="how to get it, and what to type next")


class BundleResult(Frozen):
    """A result that the bundle should reproduce."""

    folder: str = Field(description="below results/")
    digest: Sha256 = Field(description="the result's own digest")
    job: str = Field(description="id of its job")
    case: Name
    vendor: Name
    stack: str


class BundleLoader(Frozen):
    """The zip file appended to the archive, which makes `python3 <bundle>` work."""

    bytes: int = Field(ge=0)
    sha256: Sha256


class BundleManifest(Frozen):
    """assay-bundle.json (schema ``assay/bundle/1``)."""

    schema_: Literal["assay/bundle/1"] = Field(default="assay/bundle/1", alias="schema")
    assay: str = Field(description="version of the driver")
    commit: str | None = Field(description="of the tree, with +changes if files differ from it")
    machine: str = Field(description="architecture of images and wheels: x86_64, aarch64")
    python: str = Field(description="oldest Python that the driver runs on")
    cases: tuple[Name, ...]
    stacks: tuple[BundleStack, ...]
    images: tuple[BundleImage, ...] = ()
    results: tuple[BundleResult, ...] = ()
    licences: tuple[BundleLicence, ...] = ()
    elsewhere: tuple[BundleElsewhere, ...] = ()
    files: tuple[BundleFile, ...] = Field(description="in archive order")
    loader: BundleLoader
    digest: Sha256 = Field(description="sha256 of this document without this field, canonical JSON")
