"""What several images need is prepared beside the first of them, and leaves nothing when it is ended."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.vendor import Stack
from driver.errors import ImageFault
from driver.stacks import base_image, image
from driver.stacks.base_image import find_base
from driver.stacks.building import ahead
from driver.stacks.building.ahead import images_ahead
from driver.stacks.image import FIRST_STAGE, ImageBuilder
from driver.stacks.installer import ImageInstaller
from driver.system.settings import ROOT, Settings
from tests.driver.stacks.test_image import FakeEngine, builder, manifest
from tests.driver.wheels import make_wheel, write_lock
from tests.waiting import wait_gone, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = """
schema = "assay/stack/1"
vendor = "acme"
name = "{name}"
python = "3.11"
[base]
image = "registry.lab/python:3.11"
[versions]
"""


class Lab:
    """Two stacks, each with a wheel of its own, and an engine that has their base."""

    def __init__(self, root: Path, shelf: Path) -> None:
        self.settings = Settings(root=root, home=root / "home", results=root / "results")
        self.house = self.settings.home / "wheelhouse"
        self.engine = FakeEngine()
        self.engine.add("registry.lab/python:3.11")
        self.wheels = {name: make_wheel(shelf, name) for name in ("one", "two")}
        self.stacks = [self._stack(root / name, wheel) for name, wheel in self.wheels.items()]
        self.notes: list[str] = []
        self.facts = {"DockerRootDir": str(root), "Driver": "overlay2"}

    @staticmethod
    def _stack(folder: Path, wheel: Path) -> Stack:
        write_lock(folder / "requirements.lock", wheel)
        (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE} AS builder\n", encoding="utf-8")
        text = MANIFEST.format(name=folder.name)
        (folder / "stack.toml").write_text(text, encoding="utf-8")
        return Stack(manifest=manifest(name=folder.name), folder=folder)

    @property
    def client(self) -> Any:
        """What ``connect`` returns."""
        return SimpleNamespace(api=self.engine, info=lambda: self.facts, close=lambda: None)

    def prepare(self) -> None:
        """Do in this process what the other one does."""
        ahead.main([self.settings.model_dump_json(), *(str(one.folder) for one in self.stacks)])

    def fetched(self) -> set[str]:
        return {wheel.name.partition("-")[0] for wheel in self.house.glob("*.whl")}


@pytest.fixture
def lab(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab(tmp_path, shelf)
    for module in (ahead, image):
        monkeypatch.setattr(module, "connect", lambda: lab.client)
    monkeypatch.setattr(ahead, "free_on", lambda _root: ahead.ROOM_BYTES)
    return lab


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Start no other process; return what happens, in order."""
    happened: list[str] = []

    @contextmanager
    def child(_argv: list[str], **_: object) -> Iterator[None]:
        happened.append("ahead")
        yield
        happened.append("ended")

    monkeypatch.setattr(ahead, "child_beside", child)
    return happened


def test_it_starts_before_the_base_is_made(
    lab: Lab, beside: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(api: FakeEngine, tag: str, *_: object) -> None:
        beside.append("base")
        api.add(f"assay/base:{tag}")

    monkeypatch.setattr(base_image, "_import_debian", make)
    monkeypatch.setattr(image.ImageBuilder, "_wheels", lambda *_: {})
    settings = lab.settings.model_copy(update={"base": "debootstrap"})
    listener: Any = SimpleNamespace(note=lab.notes.append)
    installer = ImageInstaller(settings, listener)
    with installer.ahead(lab.stacks):
        for stack in lab.stacks:
            installer.install(stack)
            beside.append(stack.name)
    assert beside == ["ahead", "base", "one", "two", "ended"]


def test_nothing_is_prepared_for_images_that_are_there(
    lab: Lab, beside: list[str], tmp_path: Path
) -> None:
    for name in lab.wheels:
        make_wheel(lab.house, name)
    for stack in lab.stacks:
        builder(lab.engine, tmp_path).ensure(stack)
    for wheel in lab.house.glob("*.whl"):
        wheel.unlink()
    with images_ahead(lab.stacks, lab.settings, lab.notes.append):
        pass
    assert beside == []


def test_nothing_is_prepared_offline(lab: Lab, beside: list[str]) -> None:
    offline = lab.settings.model_copy(update={"offline": True})
    with images_ahead(lab.stacks, offline, lab.notes.append):
        pass
    assert beside == []


@pytest.mark.environment
def test_wheels_of_all_are_fetched_and_the_first_stage_of_all_but_the_first_is_built(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.prepare()
    assert lab.fetched() == {"one", "two"}
    *fetching, building = capsys.readouterr().out.splitlines()
    assert fetching == ["fetching 1 of 1 wheels", "fetching 1 of 1 wheels"]
    assert building.startswith("building the first stage of assay/acme:two-")
    (options,) = lab.engine.called("build")
    assert options["target"] == FIRST_STAGE
    assert "wheels/two-1.0-py3-none-any.whl" in lab.engine.context


def build_ahead(lab: Lab) -> ImageBuilder:
    """Build the first stage of the second stack's image; return who builds the image itself."""
    second = lab.stacks[1]
    make_wheel(lab.house, "two")
    build = builder(lab.engine, lab.settings.root)
    base = find_base(lab.engine, second.manifest, None)
    assert base is not None
    build.build_ahead(second, base)
    return build


def test_the_first_stage_is_built_as_the_image_is_so_that_the_engine_finds_it(lab: Lab) -> None:
    build = build_ahead(lab)
    assert lab.engine.called("remove") == []
    context = dict(lab.engine.context)
    assert build.ensure(lab.stacks[1]).built
    first, whole = lab.engine.called("build")
    differing = {name for name in {*first, *whole} if first.get(name) != whole.get(name)}
    assert differing == {"target", "tag", "labels"}
    assert lab.engine.context == context


def test_no_first_stage_is_built_of_an_image_that_is_there(lab: Lab) -> None:
    build_ahead(lab).ensure(lab.stacks[1])
    build_ahead(lab)
    assert len(lab.engine.called("build")) == 2


def test_a_first_stage_waits_for_its_base(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in lab.wheels:
        make_wheel(lab.house, name)
    lab.engine.known.clear()
    calls: list[float] = []

    def make_base(interval_s: float) -> None:
        calls.append(interval_s)
        assert lab.engine.called("build") == []
        if len(calls) == 2:
            lab.engine.add("registry.lab/python:3.11")

    monkeypatch.setattr(ahead, "time", SimpleNamespace(sleep=make_base))
    lab.prepare()
    assert len(calls) == 2
    assert lab.engine.called("pull") == []
    assert len(lab.engine.called("build")) == 1


@pytest.mark.parametrize(("free", "driver"), [(0, "overlay2"), (1 << 60, "vfs")])
def test_no_first_stage_is_built_where_the_disk_has_no_room(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, free: int, driver: str
) -> None:
    for name in lab.wheels:
        make_wheel(lab.house, name)
    lab.facts["Driver"] = driver
    monkeypatch.setattr(ahead, "free_on", lambda _root: free)
    lab.prepare()
    assert lab.engine.called("build") == []


@pytest.mark.environment
def test_a_failure_is_reported_once_by_who_needs_the_wheel(lab: Lab, tmp_path: Path) -> None:
    lab.wheels["one"].unlink()
    folders = (str(one.folder) for one in lab.stacks)
    arguments = [str(os.getpid()), lab.settings.model_dump_json(), *folders]
    child = subprocess.run(
        [sys.executable, "-P", "-m", ahead.__name__, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (child.returncode, child.stdout, child.stderr) == (0, "fetching 1 of 1 wheels\n", "")
    with pytest.raises(ImageFault, match="could not fetch one"):
        builder(lab.engine, tmp_path).ensure(lab.stacks[0])


@pytest.mark.environment
def test_an_interrupt_leaves_no_process_no_lock_and_no_half_wheel(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    started: list[int] = []
    popen = subprocess.Popen

    def start(*args: Any, **more: Any) -> Any:
        child = popen(*args, **more)
        started.append(child.pid)
        return child

    monkeypatch.setattr(subprocess, "Popen", start)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        with suppress(KeyboardInterrupt), images_ahead(lab.stacks, lab.settings, lab.notes.append):
            connection, _ = silent.accept()  # pip asks, and is not answered
            raise KeyboardInterrupt
    wait_until(lambda: not connection.recv(1 << 16))
    connection.close()
    wait_gone(*started)
    assert list(scratch.iterdir()) == []
    assert [path.name for path in lab.house.iterdir()] == [".lock"]
    with (lab.house / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert lab.notes == ["fetching 1 of 1 wheels"]


@pytest.mark.environment
def test_it_ends_with_the_process_that_started_it_even_if_that_is_killed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [str(one.folder) for one in lab.stacks]
    command = [sys.executable, "-P", "-m", ahead.__name__]
    arguments = [lab.settings.model_dump_json(), *folders]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        starter = subprocess.Popen(
            ["sh", "-c", f'{" ".join(command)} $$ "$@" & echo $!; wait', "sh", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        connection, _ = silent.accept()  # pip asks, and is not answered
        starter.kill()
        starter.communicate()
        wait_gone(child)
    connection.close()
    assert [path.name for path in lab.house.iterdir()] == [".lock"]


@pytest.mark.environment
def test_it_does_nothing_for_a_process_that_has_ended(lab: Lab) -> None:
    folders = [str(one.folder) for one in lab.stacks]
    done = subprocess.run(
        [sys.executable, "-P", "-m", ahead.__name__, "1", lab.settings.model_dump_json(), *folders],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_home_whose_name_is_no_text_is_prepared_by_nobody(lab: Lab, tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"home\xff")
    with images_ahead(lab.stacks, lab.settings.model_copy(update={"home": home}), print):
        pass


def test_a_machine_that_starts_no_more_processes_prepares_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with images_ahead(lab.stacks, lab.settings, print):
        pass
