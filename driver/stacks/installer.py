"""Installs stacks: an image for Docker and Apptainer, a virtual environment for the other runners."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from driver.models.base import RunnerName
from driver.runners.spec import InstalledStack
from driver.stacks.host_python import is_stand_in_site, lay_out_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.events import Listener
    from driver.system.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Installation:
    """An installed stack, and its description for the result."""

    stack: InstalledStack
    provenance: Mapping[str, object]


class Installer(Protocol):
    """Installs a stack: builds its image or virtual environment, unless it exists."""

    def install(self, stack: Stack) -> Installation:
        """Return the installed stack; ImageFault when it cannot be made."""

    def ahead(self, stacks: Sequence[Stack]) -> AbstractContextManager[None]:
        """Have what these stacks lack prepared while the block installs them one after the other."""

    def room(self, stack: Stack) -> Mapping[Path, int]:
        """Return about how many bytes the installation takes, by the folder whose disk they are on."""


class EnvironmentInstaller:
    """Makes virtual environments from the stacks' lock files."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener

    def install(self, stack: Stack) -> Installation:
        """Return the stack's environment, made if missing; a host interpreter is used as it is."""
        from driver.stacks.environments import prepare_environment

        if stack.found is not None:
            found = stack.found
            return Installation(
                stack=InstalledStack(
                    venv=lay_out_python(found, self._settings.home),
                    stand_in=found.stand_in,
                    env={k: v for k, v in found.environment.items() if k != "PYTHONPATH"},
                ),
                provenance=found.provenance(stack.in_place_of),
            )

        environment = prepare_environment(
            stack.folder,
            python=stack.manifest.python,
            home=self._settings.home,
            torch_index=self._settings.torch_index,
            on_progress=self._listener.note,
        )
        return Installation(
            stack=InstalledStack(
                venv=environment.folder, stand_in=holds_stand_in(environment.folder)
            ),
            provenance=environment.provenance(),
        )

    def ahead(self, _stacks: Sequence[Stack]) -> AbstractContextManager[None]:
        """Prepare nothing: uv installs in less time than pip fetches."""
        return nullcontext()

    def room(self, stack: Stack) -> Mapping[Path, int]:
        """Return the room of the stack's environment and its wheels, none if it is there."""
        from driver.stacks.room import environment_room

        return environment_room(stack, self._settings.home)


def holds_stand_in(venv: Path) -> bool:
    """Whether an environment contains a test stand-in for an SDK (tests/standins/install)."""
    return any(map(is_stand_in_site, venv.glob("lib/python*/site-packages")))


class ImageInstaller:
    """Builds images from the stacks' Dockerfiles and the wheelhouse."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener

    def install(self, stack: Stack) -> Installation:
        """Return the stack's image, built if missing."""
        from driver.stacks.image import prepare_image

        image = prepare_image(stack, self._settings, on_progress=self._listener.note)
        return Installation(
            stack=InstalledStack(image=image.id, stand_in=image.stand_in),
            provenance=image.provenance(stack.manifest),
        )

    def ahead(self, stacks: Sequence[Stack]) -> AbstractContextManager[None]:
        """Have what missing images need fetched and built beside the base and the first of them."""
        from driver.stacks.building.ahead import images_ahead

        return images_ahead(stacks, self._settings, self._listener.note)

    def room(self, stack: Stack) -> Mapping[Path, int]:
        """Return the room of the stack's image on the engine's disk, none if it is there."""
        from driver.stacks.room import image_room

        return image_room(stack, self._settings, self._listener.note)


class SifInstaller:
    """Finds images in files, as another machine's engine has saved them, and makes SIFs of them."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener

    def install(self, stack: Stack) -> Installation:
        """Return the stack's image as a SIF, made if missing."""
        from driver.stacks.archived.sif import prepare_sif

        sif = prepare_sif(stack, self._settings, on_progress=self._listener.note)
        image = sif.image
        return Installation(
            stack=InstalledStack(image=image.id, sif=sif.path, stand_in=image.stand_in),
            provenance=image.provenance(stack.manifest) | {"sif_made_by": sif.made_by},
        )

    def ahead(self, _stacks: Sequence[Stack]) -> AbstractContextManager[None]:
        """Prepare nothing: the images are in files."""
        return nullcontext()

    def room(self, stack: Stack) -> Mapping[Path, int]:
        """Return the room of the stack's SIF while it is made, none if it is there."""
        from driver.stacks.archived.sif import sif_room

        return sif_room(stack, self._settings)


def open_installer(runner: RunnerName, settings: Settings, listener: Listener) -> Installer:
    """Return the installer that a runner's stages need."""
    if runner is RunnerName.DOCKER:
        return ImageInstaller(settings, listener)
    if runner is RunnerName.APPTAINER:
        return SifInstaller(settings, listener)
    return EnvironmentInstaller(settings, listener)
