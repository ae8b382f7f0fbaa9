"""OFFLINE=1 lets nothing out: each step that would ask a network fails at once, and names what it lacks."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.models.stack import StackManifest
from driver.report import assets
from driver.stacks.base_image import resolve_base
from driver.stacks.locks import Pin, Target, make_lock
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.settings import load_settings
from driver.verbs.maintenance.pin import _pin_bases
from tests.driver.planted_tree import plant_entry

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = StackManifest.model_validate(
    {
        "schema": "assay/stack/1",
        "vendor": "acme",
        "name": "sdk1",
        "python": "3.11",
        "base": {"image": "registry.example/sdk:1"},
        "versions": {"python": "3.11"},
    }
)


class EmptyEngine:
    """An engine without images, which nobody may ask for one."""

    def inspect_image(self, image: str) -> dict[str, Any]:
        error = OSError(f"no such image: {image}")
        error.response = type("Response", (), {"status_code": 404})  # type: ignore[attr-defined]
        raise error

    def pull(self, *_arguments: Any, **_options: Any) -> None:
        pytest.fail("a registry was asked")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set this host offline, and fail where anything opens a connection or starts a program."""
    monkeypatch.setenv("OFFLINE", "1")

    def refuse(*_arguments: Any, **_options: Any) -> None:
        pytest.fail("something tried to get out")

    for target in (
        "driver.stacks.wheelhouse.download",
        "driver.stacks.locks.run_child",
        "driver.stacks.base_image.run_child",
    ):
        monkeypatch.setattr(target, refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def base(tmp_path: Path, named: str | None) -> object:
    engine: Any = EmptyEngine()
    return resolve_base(engine, MANIFEST, named, home=tmp_path, on_progress=lambda _text: None)


def wheels(tmp_path: Path) -> object:
    pin = Pin(name="torch", version="2.13.0", hashes=frozenset({"0" * 64}), line="torch==2.13.0")
    house = Wheelhouse(tmp_path)
    return house.fill(
        (pin,),
        Target(python="3.11", glibc_minor=28),
        torch_index="",
        on_progress=lambda _text: None,
    )


STEPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "wheels": (wheels, "wheels of Python 3.11 are missing in .*: torch 2.13.0"),
    "base": (lambda home: base(home, None), "the engine has no base image registry.example/sdk:1"),
    "debootstrap": (lambda home: base(home, "debootstrap"), "debootstrap needs a mirror"),
    "lock": (
        lambda home: make_lock(home / "requirements.in", torch_index=""),
        "the lock of .* is not current",
    ),
    "pin": (lambda _home: _pin_bases([], None), "digests of base images are a registry's"),  # type: ignore[arg-type]
    "npm": (lambda _home: assets.fetch(), "the pinned files are npm's"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_needs_a_network_fails_at_once(step: str, tmp_path: Path) -> None:
    act, said = STEPS[step]
    with pytest.raises(
        EnvironmentFault, match=rf"{said}.*; nothing is fetched because of OFFLINE=1"
    ):
        act(tmp_path)


def test_the_file_of_settings_sets_it_and_the_environment_lifts_it(tmp_path: Path) -> None:
    (tmp_path / "assay.local.toml").write_text("offline = true\n")
    assert load_settings({}, root=tmp_path).offline
    assert not load_settings({"OFFLINE": "0"}, root=tmp_path).offline
    (tmp_path / "assay.local.toml").unlink()
    assert not load_settings({}, root=tmp_path).offline
    assert load_settings({"OFFLINE": "1"}, root=tmp_path).offline


@pytest.mark.environment
@pytest.mark.parametrize("settings", ["", "offline = true\n"])
def test_the_shell_entry_asks_no_index_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    monkeypatch.undo()
    plant_entry(tmp_path)
    lock = f"nothing==1.0 --hash=sha256:{'0' * 64}\n"
    (tmp_path / "driver" / "requirements.lock").write_text(lock)
    (tmp_path / "assay.local.toml").write_text(settings)
    env = {key: value for key, value in os.environ.items() if key != "ASSAY_HOME"}
    env |= {
        "OFFLINE": "" if settings else "1",
        "PIP_INDEX_URL": "http://192.0.2.1/",
        "PIP_RETRIES": "50",
    }
    done = subprocess.run(
        [str(tmp_path / "driver" / "assay")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "a wheel of driver/requirements.lock is missing in" in done.stderr
    assert "nothing is fetched, for OFFLINE=1" in done.stderr
