"""The room that an installation takes: an image on the container engine's disk, wheels on ASSAY_HOME's."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.vendor import Stack
from driver.stacks import room
from driver.stacks.image import StackImage
from driver.system.settings import Settings
from tests.driver.doctor.machines import make_stack

if TYPE_CHECKING:
    from driver.stacks.image import ImageBuilder

Usage = namedtuple("Usage", "total used free")  # as shutil returns it


@dataclass
class FakeClient:
    """A client of an engine that keeps its images at ``root``."""

    root: Path
    api: object = None
    closed: list[bool] = field(default_factory=list)

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": str(self.root)}

    def close(self) -> None:
        self.closed.append(True)


@dataclass
class Machine:
    """An engine with ``free_gib`` on its disk, the images that it has, and what was said."""

    monkeypatch: pytest.MonkeyPatch
    folder: Path
    said: list[str] = field(default_factory=list)

    def engine(self, free_gib: float, *, built: bool = False) -> FakeClient:
        client = FakeClient(self.folder / "engine")
        client.root.mkdir(exist_ok=True)
        image = StackImage(id="sha256:1", tag="assay/acme:v1", labels={})

        def find(_builder: ImageBuilder, _stack: Stack) -> StackImage | None:
            return image if built else None

        self.monkeypatch.setattr(room, "connect", lambda: client)
        self.monkeypatch.setattr("driver.stacks.image.ImageBuilder.find", find)
        usage = Usage(1 << 40, 0, int(free_gib * room.GIB))
        self.monkeypatch.setattr("driver.stacks.room.shutil.disk_usage", lambda _path: usage)
        return client

    def room(self, *, alone: bool = False) -> dict[Path, int]:
        settings = Settings(root=self.folder, home=self.folder / "home", results=self.folder)
        return dict(room.image_room(make_stack(alone=alone), settings, self.said.append))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return Machine(monkeypatch, tmp_path)


def test_an_image_that_is_not_built_takes_room_on_the_engines_disk(machine: Machine) -> None:
    client = machine.engine(99)
    assert machine.room() == {client.root: room.IMAGE_BYTES}
    assert (machine.said, client.closed) == ([], [True])


def test_an_image_that_is_there_takes_none(machine: Machine) -> None:
    machine.engine(0.1, built=True)
    assert machine.room() == {}


def test_a_vendors_base_of_unknown_size_that_may_not_fit_is_said_with_numbers(
    machine: Machine,
) -> None:
    machine.engine(7.5)
    machine.room()
    (said,) = machine.said
    assert "7.5 GiB free" in said
    assert "up to 20 GiB" in said
    machine.room(alone=True)
    assert len(machine.said) == 1, "a locked stack's image is small"


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://lab"])
def test_the_disk_of_an_engine_on_another_host_is_not_judged(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    machine.engine(0.1)
    monkeypatch.setenv("DOCKER_HOST", host)
    assert machine.room() == {}


def test_an_engine_that_does_not_say_where_it_keeps_images_is_not_judged(machine: Machine) -> None:
    machine.engine(0.1).root = Path()
    assert machine.room() == {}
