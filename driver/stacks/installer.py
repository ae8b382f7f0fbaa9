"""Installs stacks: a virtual environment for the process and Slurm runners, an image for Docker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from driver.models.base import RunnerName
from driver.runners.spec import InstalledStack
from driver.stacks.host_python import is_stand_in_site, lay_out_python

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.catalog.catalog import Stack
    from driver.events import Listener
    from driver.system.settings import Settings


ENVIRONMENT_BYTES = 1500 << 20
"""An environment with torch takes 1,350 MB, its wheels 300 MB, of which uv links most."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """An installed stack, and its description for the result."""

    stack: InstalledStack
    provenance: Mapping[str, object]


class Installer(Protocol):
    """Installs a stack: builds its image or virtual environment, unless it exists."""

    def install(self, stack: Stack) -> Installation:
        """Return the installed stack; ImageFault when it cannot be made."""

    def missing_bytes(self, stack: Stack) -> int:
        """Return about how many bytes of ASSAY_HOME's disk the installation takes, 0 if there is one."""


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

    def missing_bytes(self, stack: Stack) -> int:
        """Return the bytes of the stack's environment and its wheels, 0 if it is there."""
        from driver.stacks.environments import environment_folder, read_environment

        if stack.found is not None:
            return 0
        there = read_environment(environment_folder(stack.folder, self._settings.home))
        return 0 if there else ENVIRONMENT_BYTES


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

    def missing_bytes(self, stack: Stack) -> int:  # noqa: ARG002
        """Return 0: the image goes to the engine's disk, which may be another host's."""
        return 0


def open_installer(runner: RunnerName, settings: Settings, listener: Listener) -> Installer:
    """Return the installer that a runner's stages need."""
    if runner is RunnerName.DOCKER:
        return ImageInstaller(settings, listener)
    return EnvironmentInstaller(settings, listener)
