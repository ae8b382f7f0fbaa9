"""Images on their way out of an engine and into it, as archives of `docker save`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.errors import ImageFault
from driver.runners.engine.client import engine_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ARCHIVE_CHUNK_BYTES = 1 << 20
ARCHIVE_SILENCE_S = 3600
"""Read timeout: packing or unpacking gigabytes is silent for longer than the SDK's minute."""


def read_image(client: Any, image: str) -> Iterator[bytes]:
    """Yield the archive of an image (`docker save`) in chunks of bytes."""
    client.api.timeout = ARCHIVE_SILENCE_S
    with engine_faults():
        yield from client.api.get_image(image, chunk_size=ARCHIVE_CHUNK_BYTES)


def write_images(client: Any, archive: Iterable[bytes]) -> None:
    """Load an archive of images into the engine (`docker load`); ImageFault if the engine rejects it."""
    client.api.timeout = ARCHIVE_SILENCE_S
    with engine_faults():
        steps = list(client.api.load_image(iter(archive), quiet=True))
    problems = [str(step["error"]) for step in steps if "error" in step]
    if problems:
        raise ImageFault(
            f"the engine did not accept the images: {problems[0]}",
            "check the engine's log and its disk (docker system df), then run `make load` again",
        )
