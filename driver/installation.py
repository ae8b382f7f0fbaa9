"""Installing stacks: a virtual environment for the process and Slurm runners, an image for Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.containers import InstalledStack
from driver.host_python import is_stand_in_site, lay_out_python
from driver.models.base import RunnerName
from driver.site import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog import Stack
    from driver.events import Listener
    from driver.settings import Settings
    from driver.site import Installer


class EnvironmentInstaller:
    """Makes virtual environments from the stacks' lock files."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener

    def install(self, stack: Stack) -> Installation:
        """Return the stack's environment, made when it is missing; an interpreter as it was found."""
        from driver.environments import prepare_environment

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


def holds_stand_in(venv: Path) -> bool:
    """Say whether a test's imitation of an SDK was put into an environment (tests/standins/install)."""
    return any(map(is_stand_in_site, venv.glob("lib/python*/site-packages")))


class ImageInstaller:
    """Builds images from the stacks' Dockerfiles and the wheelhouse."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener

    def install(self, stack: Stack) -> Installation:
        """Return the stack's image, built when none of this content is there."""
        from driver.images import prepare_image

        image = prepare_image(stack, self._settings, on_progress=self._listener.note)
        return Installation(
            stack=InstalledStack(image=image.id, stand_in=image.stand_in),
            provenance=image.provenance(stack.manifest),
        )


def open_installer(runner: RunnerName, settings: Settings, listener: Listener) -> Installer:
    """Return the installer that a runner's stages need."""
    if runner is RunnerName.DOCKER:
        return ImageInstaller(settings, listener)
    return EnvironmentInstaller(settings, listener)
