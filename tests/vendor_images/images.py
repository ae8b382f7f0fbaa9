"""Images of the vendors' stacks, every step of their Dockerfiles, on stand-ins.

    python -m tests.vendor_images.images [VENDOR]…

makes them by hand; ASSAY_STANDINS=1 then lets `make run VENDOR=… RUNNER=docker` use them.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from driver.catalog.catalog import load_catalog
from driver.catalog.vendor import Stack
from driver.errors import AssayError
from driver.runners.engine.client import connect
from driver.stacks.image import STAND_IN, ImageBuilder, StackImage
from driver.system.settings import ROOT, load_settings
from tests.vendor_images.bases import BASES, ensure_base
from tests.vendor_images.installers import write_installers

if TYPE_CHECKING:
    from driver.stacks.base_image import ImageApi, Progress
    from driver.system.settings import Settings


class Removing(Protocol):
    """What is used of an engine to remove images."""

    def images(self, *, filters: Any) -> list[dict[str, Any]]:
        """Return the images that match."""

    def remove_image(self, image: str) -> object:
        """Remove an image by its tag; an OSError where something is in its way."""


def stack_of(vendor: str, name: str) -> Stack:
    """Return a stack of the tree."""
    return load_catalog(ROOT).vendor(vendor).stacks[name]


def ensure_image(
    api: ImageApi, settings: Settings, stack: Stack, on_progress: Progress
) -> StackImage:
    """Return a stack's image on the stand-in of its base, built when it is not there.

    Raises EnvironmentFault or ImageFault where this machine lacks what it is made of.
    """
    builder = ImageBuilder(
        api=api,
        home=settings.home,
        torch_index=settings.torch_index,
        on_progress=on_progress,
        base=ensure_base(api, settings, BASES[stack.vendor, stack.name], on_progress),
        installers=write_installers(stack, settings),
    )
    image = builder.ensure(_without_pins(stack))
    if image.built:
        remove_superseded(api, image)
    return image


def _without_pins(stack: Stack) -> Stack:
    """Return a stack whose installers may be others than the vendor's own, which its manifest pins."""
    open_ones = tuple(one.model_copy(update={"sha256": None}) for one in stack.manifest.installers)
    return replace(stack, manifest=stack.manifest.model_copy(update={"installers": open_ones}))


def remove_superseded(api: Removing, image: StackImage) -> None:
    """Remove older images of a stack on stand-ins, and their bases: gigabytes with every change."""
    same = [f"assay.{key}={image.labels[f'assay.{key}']}" for key in ("vendor", "stack")]
    listed = api.images(filters={"label": [STAND_IN, *same]})
    old = [one for one in listed if one["Id"] != image.id]
    bases = {one["Labels"]["assay.base"] for one in old} - {image.labels["assay.base"]}
    # One that a container runs on, or that another stack's image is on, stays.
    for name in (*(tag for one in old for tag in one["RepoTags"] or []), *sorted(bases)):
        with suppress(OSError):
            api.remove_image(name)


def main(vendors: list[str]) -> int:
    """Make the images of the vendors named, of all without a name; return the exit code."""
    settings, client, started = load_settings(), connect(), time.monotonic()

    def tell(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - started:4.0f} s] {text}\n")

    try:
        for vendor, name in BASES:
            if not vendors or vendor in vendors:
                image = ensure_image(client.api, settings, stack_of(vendor, name), tell)
                tell(f"{'made' if image.built else 'there'}: {image.tag}")
    except AssayError as error:
        tell(f"{error.message}\n  → {error.remedy}")
        return 3
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
