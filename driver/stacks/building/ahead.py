"""Prepares stacks ahead, in a process beside ours, while a base and the first of their images are made.

    python -m driver.stacks.building.ahead PARENT SETTINGS FOLDER…    (PARENT's number, SETTINGS as JSON, folders of stacks)

It fetches the wheels of all, then builds the first stages of all images but the first, for the engine's
cache. Only time is at stake: where it fails it says nothing and stops, and whoever needs what is missing
makes it, and says why that fails.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.catalog.manifests import read_manifest
from driver.catalog.vendor import Stack
from driver.errors import AssayError
from driver.models.stack import StackManifest
from driver.runners.engine.client import connect
from driver.stacks.base_image import find_base
from driver.stacks.image import SILENCE_SECONDS, make_builder
from driver.stacks.locks import parse_lock, target_of
from driver.stacks.recipes import LOCK
from driver.stacks.room import IMAGE_BYTES, free_on
from driver.stacks.wheelhouse import WAITING, Wheelhouse
from driver.system.interrupts import end_with_parent, heed_interrupts
from driver.system.settings import ROOT, Settings
from driver.system.subprocesses import child_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from driver.stacks.locks import Target

BASE_INTERVAL_S = 1.0
"""How often to ask whether the other process has made the base."""

ROOM_BYTES = 3 * IMAGE_BYTES
"""What must be free on the engine's disk: a stage is built ahead while another image is built."""


@contextmanager
def images_ahead(
    stacks: Iterable[Stack], settings: Settings, on_progress: Callable[[str], None]
) -> Iterator[None]:
    """Have what missing images of these stacks need made while the block builds them in their order.

    The block ends it. Nothing is made ahead for OFFLINE=1. Raises EnvironmentFault when no engine answers.
    """
    missing = [] if settings.offline else _without_image(stacks, settings)
    if not (missing[1:] or any(_lacks_wheels(stack, settings) for stack in missing)):
        yield
        return
    with ExitStack() as beside:
        # A path that is no text has no JSON, and a machine may start no more processes.
        with suppress(ValueError, OSError):
            arguments = [str(os.getpid()), settings.model_dump_json()]
            arguments += [str(stack.folder) for stack in missing]
            child = child_beside(
                [sys.executable, "-P", "-m", __name__, *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                on_line=on_progress,
            )
            beside.enter_context(child)
        yield


def _without_image(stacks: Iterable[Stack], settings: Settings) -> list[Stack]:
    client = connect()
    try:
        return [
            stack
            for stack in stacks
            if make_builder(client.api, stack, settings, lambda _text: None).find(stack) is None
        ]
    finally:
        client.close()


def _lacks_wheels(stack: Stack, settings: Settings) -> bool:
    house = Wheelhouse(settings.home)
    with suppress(AssayError):  # a lock that is invalid
        return house.present(parse_lock(stack.folder / LOCK), _target(stack)) is None
    return False


def main(arguments: Sequence[str]) -> None:
    """Prepare the stacks; print a line of what takes a while."""
    settings = Settings.model_validate_json(arguments[0])
    stacks = [
        Stack(manifest=read_manifest(folder / "stack.toml", StackManifest), folder=folder)
        for folder in map(Path, arguments[1:])
    ]
    for stack in stacks:
        if (stack.folder / LOCK).is_file():
            Wheelhouse(settings.home).fill(
                parse_lock(stack.folder / LOCK),
                _target(stack),
                torch_index=settings.torch_index,
                on_progress=_say,
            )
    for stack in stacks[1:]:
        _build_ahead(stack, settings)


def _build_ahead(stack: Stack, settings: Settings) -> None:
    client = connect()
    try:
        client.api.timeout = SILENCE_SECONDS
        builder = make_builder(client.api, stack, settings, _say)
        while (base := find_base(client.api, stack.manifest, builder.base)) is None:
            time.sleep(BASE_INTERVAL_S)
        if _has_room(client.info()):
            builder.build_ahead(stack, base)
    finally:
        client.close()


def _has_room(engine: Mapping[str, Any]) -> bool:
    """Whether the engine, which must be this host's, has room for a stage that is built ahead."""
    if engine.get("Driver") == "vfs":  # every layer is a copy of all below it
        return False
    free_bytes = free_on(Path(engine.get("DockerRootDir") or ""))
    return free_bytes is not None and free_bytes >= ROOM_BYTES


def _target(stack: Stack) -> Target:
    return target_of(stack.manifest.python)


def _say(text: str) -> None:
    # That we wait for the process that started us is of no use to its user.
    if text != WAITING:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    heed_interrupts()
    with suppress(AssayError, KeyboardInterrupt):
        end_with_parent(int(sys.argv[1]))
        main(sys.argv[2:])
