"""Removes Assay's images from this machine's engine, and nothing that others named or use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.errors import AssayError
from driver.runners.engine.client import connect, engine_faults
from driver.stacks.image import own_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.stacks.base_image import ImageApi

REPOSITORY = "assay/"
MADE_BY_ASSAY = ("assay.recipe", "assay.rootfs")
"""Labels of a stack's image, and of a base made here. An image that is based on ours inherits them."""

BUILDER = "assay.builder"


@dataclass(frozen=True, kw_only=True)
class Removal:
    """The names of the images that were removed, and of those that the engine refused to remove."""

    removed: tuple[str, ...]
    refused: tuple[str, ...]


def remove_images() -> Removal:
    """Remove Assay's images; EnvironmentFault where no engine answers.

    Only names of Assay's are removed: an image that has another name too, or on which another is based,
    keeps its layers. One that a container uses is refused.
    """
    client = connect()
    try:
        return remove_from(client.api)
    finally:
        client.close()


def remove_from(api: ImageApi) -> Removal:
    """Remove Assay's images through this API; see remove_images."""
    names = sorted({*_named(api), *_builders(api)})
    refused = tuple(name for name in names if not _removed(api, name))
    return Removal(removed=tuple(name for name in names if name not in refused), refused=refused)


def _named(api: ImageApi) -> Iterator[str]:
    for label in MADE_BY_ASSAY:
        for image in _images(api, {"label": label}):
            for tag in image.get("RepoTags") or []:
                if own_name(str(tag)).startswith(REPOSITORY):
                    yield str(tag)


def _builders(api: ImageApi) -> Iterator[str]:
    """Yield the builder stages that failed or interrupted builds have left."""
    for image in _images(api, {"label": BUILDER, "dangling": True}):
        yield str(image["Id"])


def _images(api: ImageApi, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    with engine_faults():
        return api.images(filters=filters)


def _removed(api: ImageApi, name: str) -> bool:
    try:
        with engine_faults():
            api.remove_image(name)
    except AssayError:
        return False
    return True
