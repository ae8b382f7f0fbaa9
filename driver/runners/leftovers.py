"""What a killed driver left behind: its containers, then the work folders that they mount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.models.base import RunnerName
from driver.runners.engine.client import connect
from driver.runners.engine.containers import containers_of, reap_containers
from driver.system.workspace import leftover_folders, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine's containers of one home: ``removed`` by name, ``kept`` with the paths they mount.

    ``problem`` is why no engine could be asked, "" if one answered.
    """

    removed: tuple[str, ...] = ()
    kept: tuple[tuple[str, tuple[Path, ...]], ...] = ()
    problem: str = ""


def reap_leftovers(home: Path, say: Callable[[str], None], *, ask_engine: bool = False) -> Engine:
    """Remove what drivers of this home that are certainly dead left; return what the engine answered.

    The engine is asked only where a killed driver used containers, or with ``ask_engine``: connecting
    takes a quarter of a second. A work folder that a container may still mount is kept.
    """
    folders = leftover_folders(home)
    used = [folder for folder, runner in folders.items() if runner == RunnerName.DOCKER]
    engine = _reap(home) if used or ask_engine else Engine()
    for name in engine.removed:
        say(f"removed the container {name}, which a killed run left behind")
    for folder, runner in folders.items():
        if engine.problem and runner == RunnerName.DOCKER:
            say(
                f"kept {folder}: a container of a killed run may still use it, and {engine.problem}"
            )
        elif not is_mounted(folder, engine):
            remove_tree(folder)
    return engine


def is_mounted(folder: Path, engine: Engine) -> bool:
    """Whether a container of this home that is still there mounts the folder or something in it."""
    return any(_inside(folder, mounts) for _, mounts in engine.kept)


def _inside(folder: Path, mounts: Iterable[Path]) -> bool:
    return any(mount.is_relative_to(folder) for mount in mounts)


def _reap(home: Path) -> Engine:
    try:
        client = connect()
    except EnvironmentFault as error:
        return Engine(problem=error.message)
    try:
        removed = reap_containers(client, home)
        return Engine(removed=tuple(removed), kept=tuple(containers_of(client, home).items()))
    except EnvironmentFault as error:
        return Engine(problem=error.message)
    finally:
        client.close()
