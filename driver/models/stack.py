"""The manifest of a stack, stack.toml: base image, versions, installer files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from driver.models.base import Frozen, Name, Sha256


# --- stack.toml --------------------------------------------------------------------------------
class BaseImage(Frozen):
    """The base image, by tag and digest; without a digest results are marked unpinned."""

    image: str = Field(description="reference with its tag")
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="sha256:…, written by `make pin`; without it results are marked unpinned",
    )
    source: str = Field(default="", description="where to get it, as text")
    debian_packages: tuple[str, ...] = Field(
        default=(),
        description="Debian packages of the base image that a stage needs (a compiler); BASE=debootstrap "
        "adds them",
    )


class Installer(Frozen):
    """A vendor's installer, taken from a local folder and never downloaded."""

    file: str = Field(description="its name in the folder INSTALLERS")
    sha256: Sha256 | None = Field(
        default=None, description="of the tested release; without it results are marked unpinned"
    )
    source: str = Field(description="where a licensee gets it")
    licence: str = Field(default="", description="its licence; required by check")


class StackManifest(Frozen):
    """stack.toml (schema ``assay/stack/1``)."""

    schema_: Literal["assay/stack/1"] = Field(alias="schema", description="always assay/stack/1")
    vendor: Name = Field(description="whose stack: the name of vendor.toml")
    name: Name = Field(description="the folder's name")
    python: str = Field(pattern=r"^3\.\d+(\.\d+)?$", description="version in the image")
    base: BaseImage = Field(description="the base image")
    versions: dict[str, str] = Field(
        description="every part of the stack: name → version; packages as in requirements.lock"
    )
    installers: tuple[Installer, ...] = Field(default=(), description="the vendor's own files")
    process_runner: bool = Field(
        default=False,
        description="true: the lock file alone is enough, so a virtual environment can replace the image",
    )
    redistributable: bool = Field(
        default=False,
        description="true: its image may be redistributed, with base and installers; else a bundle "
        "only names it, with its digest and how to get it",
    )
    torch_index: str | None = Field(
        default=None, description="index for torch if pip's own settings have none"
    )
