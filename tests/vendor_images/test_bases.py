"""Bases and installers' stand-ins: every stack that needs one has one, as far as files can tell."""

from __future__ import annotations

from typing import Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.stacks.image import StackImage
from driver.stacks.locks import parse_lock
from driver.system.settings import ROOT
from tests.vendor_images.bases import BASES, STANDINS, base_stack
from tests.vendor_images.cpython import find_cpython
from tests.vendor_images.images import remove_superseded
from tests.vendor_images.installers import kind_of

CATALOG = load_catalog(ROOT)
STACKS = {
    (vendor.name, stack.name): stack
    for vendor in CATALOG.vendors.values()
    for stack in vendor.stacks.values()
    if not stack.manifest.process_runner
}


def test_every_stack_that_only_an_image_can_hold_has_a_stand_in_for_its_base() -> None:
    assert set(BASES) == set(STACKS)
    assert {path.name for path in (STANDINS / "bases").iterdir()} == set(BASES.values())


@pytest.mark.parametrize(("key", "base"), BASES.items(), ids=map("-".join, BASES))
def test_a_base_has_the_stacks_python(key: tuple[str, str], base: str) -> None:
    wanted = STACKS[key].manifest.python.split(".")[:2]
    assert base_stack(base).manifest.python.split(".") == wanted


@pytest.mark.parametrize("base", sorted(set(BASES.values())))
def test_a_base_is_made_of_what_its_manifest_says(base: str) -> None:
    stack = base_stack(base)
    versions = stack.manifest.versions
    lock = stack.folder / "requirements.lock"
    pins = {pin.name: pin.version for pin in parse_lock(lock)} if lock.is_file() else {}
    if (stack.folder / "torch.lock").is_file():
        (torch,) = parse_lock(stack.folder / "torch.lock")
        pins[torch.name] = torch.version
    assert {name: pins[name] for name in versions if name != "python"} == {
        name: version for name, version in versions.items() if name != "python"
    }


@pytest.mark.parametrize("key", STACKS, ids=map("-".join, STACKS))
def test_every_installer_has_a_stand_in(key: tuple[str, str]) -> None:
    for installer in STACKS[key].manifest.installers:
        kind, version = kind_of(installer.file)
        assert version is None or version in STACKS[key].manifest.versions.values(), kind


def test_a_missing_python_is_named_with_what_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("ASSAY_PY37", raising=False)
    with pytest.raises(EnvironmentFault, match=r"no CPython 3\.7") as caught:
        find_cpython("3.7")
    assert caught.value.remedy == "type: pyenv install 3.7, or set ASSAY_PY37 to a python3.7"


def test_an_image_on_a_stand_in_replaces_those_before_it_and_their_bases() -> None:
    api = FakeApi(
        {
            "new": {"tag": "assay/acme:v1-2", "base": "assay/standin:b-2"},
            "old": {"tag": "assay/acme:v1-1", "base": "assay/standin:b-1"},
            "same base": {"tag": "assay/acme:v1-0", "base": "assay/standin:b-2"},
        }
    )
    labels = {
        "assay.vendor": "acme",
        "assay.stack": "v1",
        "assay.base": "assay/standin:b-2",
        "assay.standin": "acme",
    }
    remove_superseded(api, StackImage(id="new", tag="assay/acme:v1-2", labels=labels))
    assert api.asked == ["assay.standin", "assay.vendor=acme", "assay.stack=v1"]
    assert api.removed == ["assay/acme:v1-1", "assay/acme:v1-0", "assay/standin:b-1"]


class FakeApi:
    """An engine that has these images, all of one stack; one is in use."""

    def __init__(self, images: dict[str, dict[str, str]]) -> None:
        self.known = images
        self.asked: list[str] = []
        self.removed: list[str] = []

    def images(self, *, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        self.asked = filters["label"]
        return [
            {"Id": name, "RepoTags": [one["tag"]], "Labels": {"assay.base": one["base"]}}
            for name, one in self.known.items()
        ]

    def remove_image(self, image: str) -> None:
        self.removed.append(image)
        if image == "assay/acme:v1-1":
            raise OSError("a container is using it")
