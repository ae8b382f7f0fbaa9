"""`make images`: which base image BASE= replaces."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.console import Console
from driver.system.settings import load_settings
from driver.verbs.maintenance import images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from driver.catalog.vendor import Stack
    from driver.system.settings import Settings

LABS = "registry.lab/cuda:12.1"


@pytest.fixture
def bases(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Return the replaced base by vendor of the stack; nothing is built."""
    seen: dict[str, str | None] = {}

    class Installer:
        def __init__(self, settings: Settings, _listener: object) -> None:
            self._settings = settings

        def ahead(self, _stacks: Sequence[Stack]) -> AbstractContextManager[None]:
            return nullcontext()

        def install(self, stack: Stack) -> Any:
            seen[stack.vendor] = self._settings.base_of(stack.vendor)
            found = {"image": "i", "base": "b", "pinned": True, "installers_unpinned": []}
            return SimpleNamespace(provenance=found)

    monkeypatch.delenv("BASE", raising=False)
    monkeypatch.setattr(images, "ImageInstaller", Installer)
    return seen


@pytest.mark.parametrize(
    ("vendor", "base", "expected"),
    [
        ("nvidia", LABS, {"reference": None, "nvidia": LABS}),
        ("reference", LABS, {"reference": LABS}),
        ("intel", "debootstrap", {"reference": "debootstrap", "intel": "debootstrap"}),
        ("intel", None, {"reference": None, "intel": None}),
    ],
)
def test_base_replaces_only_that_of_the_vendor(
    bases: dict[str, str | None], vendor: str, base: str | None, expected: dict[str, str | None]
) -> None:
    """The reference stack would not build on NVIDIA's image, which has a different Python."""
    assert images.build_images(vendor, None, base, Console()) == 0
    assert bases == expected


def test_base_from_the_environment_also_replaces_only_that_of_the_vendor() -> None:
    settings = load_settings({"BASE": LABS})
    assert settings.base_of("nvidia") == LABS
    assert settings.base_of("reference") is None
