"""How much room installing a stack takes, on which disk: asked before anything is fetched or built."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from driver.runners.admission import is_elsewhere
from driver.runners.engine.client import connect, engine_faults
from driver.stacks.environments import environment_folder, read_environment
from driver.stacks.image import make_builder
from driver.stacks.recipes import LOCK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.vendor import Stack
    from driver.stacks.base_image import Progress
    from driver.system.settings import Settings

GIB = 1 << 30
ENVIRONMENT_BYTES = 1500 << 20
"""An environment with torch takes 1,350 MB, its wheels 300 MB, of which uv links most."""
IMAGE_BYTES = 2 * GIB
"""The reference image takes 1.3 GB on the engine's disk, with its builder stage 1.7 GB (both measured)."""
CONTEXT_BYTES = 600 << 20
"""The wheels of a locked stack and their copy in the build's context, in ASSAY_HOME."""
VENDOR_IMAGE_GIB = 20.0
"""What a vendor's base image may take when unpacked; how large it is shows only once it is fetched."""


def environment_room(stack: Stack, home: Path) -> Mapping[Path, int]:
    """Return the bytes that a stack's environment takes, by folder; empty if it is there."""
    if stack.found is not None or read_environment(environment_folder(stack.folder, home)):
        return {}
    return {home: ENVIRONMENT_BYTES}


def image_room(stack: Stack, settings: Settings, on_progress: Progress) -> Mapping[Path, int]:
    """Return the least that a stack's image takes, in bytes by folder; empty if it is there.

    The engine's folder is left out if it is on another host. Notes that a vendor's base image, whose
    size is not known, may not fit. Raises EnvironmentFault if no engine answers.
    """
    client = connect()
    try:
        builder = make_builder(client.api, stack, settings, on_progress)
        if builder.find(stack) is not None:
            return {}
        with engine_faults():
            root = Path(client.info().get("DockerRootDir") or "")
    finally:
        client.close()
    wheels = {settings.home: CONTEXT_BYTES} if (stack.folder / LOCK).is_file() else {}
    free_bytes = free_on(root)
    if free_bytes is None:
        return wheels
    if not stack.manifest.process_runner and IMAGE_BYTES <= free_bytes < VENDOR_IMAGE_GIB * GIB:
        on_progress(
            f"{root}, the container engine's folder, has {free_bytes / GIB:.1f} GiB free; the base image "
            f"of {stack.vendor}/{stack.name} may take up to {VENDOR_IMAGE_GIB:g} GiB"
        )
    return {root: IMAGE_BYTES} | wheels


def free_on(root: Path) -> int | None:
    """Return the free bytes where the engine keeps its images; None if that is on another host."""
    if is_elsewhere() or not root.is_absolute():
        return None
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return None
