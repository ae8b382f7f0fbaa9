"""The two cold commands: `make wheelhouse` where there is a network, everything else where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.console import Console
from driver.stacks.locks import Target, parse_lock, pins_for, target_of
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.settings import ROOT, load_settings
from driver.verbs.maintenance import images
from tests.bench.bench_cold import copy_tree
from tests.driver.planted_tree import plant
from tests.driver.stacks.install.no_network import without_network

if TYPE_CHECKING:
    from driver.stacks.locks import Pin

pytestmark = pytest.mark.environment

DRIVER_LOCK = ROOT / "driver" / "requirements.lock"


def bare(home: Path) -> dict[str, str]:
    """Return the environment of a user who has just arrived on a machine: no cache, no settings."""
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "OPENBLAS_CORETYPE") if name in os.environ}
    return kept | {"HOME": str(home), "PIP_CONFIG_FILE": os.devnull}


def test_the_driver_starts_from_a_wheelhouse_alone(shelf: Path, tmp_path: Path) -> None:
    command = without_network()
    tree = plant(tmp_path / "tree", shelf)
    shutil.move(shelf, tree / ".assay" / "wheelhouse")
    done = subprocess.run(
        [*command, str(tree / "driver" / "assay")],
        env=bare(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["acme"] == "1.0"


def test_without_network_and_wheels_it_says_where_they_belong(shelf: Path, tmp_path: Path) -> None:
    command = without_network()
    tree = plant(tmp_path / "tree", shelf)
    env = bare(tmp_path / "home") | {"PIP_RETRIES": "0"}
    done = subprocess.run(
        [*command, str(tree / "driver" / "assay")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 3
    assert "`make wheelhouse`" in done.stderr
    assert str(tree / ".assay" / "wheelhouse") in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheelhouse_gets_the_drivers_own_wheels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    filled: list[tuple[set[str], str]] = []

    def fill(_self: Wheelhouse, pins: tuple[Pin, ...], target: Target, **_more: Any) -> Any:
        filled.append(({pin.name for pin in pins}, target.python))
        return {}

    monkeypatch.setattr(Wheelhouse, "fill", fill)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    assert images.fill_wheelhouse("cpu", None, Console()) == 0
    names, python = filled[0]
    assert {"uv", "pip", "typer", "pydantic-core"} <= names
    assert not {"pywin32", "colorama"} & names
    assert python == f"3.{sys.version_info.minor}"
    # The reference's, and those of the vendor's stacks: IREE's has no framework.
    assert ["torch" in names for names, _ in filled[1:]] == [True, False, True, True]


def test_a_pin_counts_where_its_marker_holds(tmp_path: Path) -> None:
    markers = {
        "a": "",
        "b": " ; sys_platform == 'win32'",
        "c": " ; python_full_version < '3.12'",
        "d": " ; platform_python_implementation != 'PyPy' and platform_machine == 'aarch64'",
    }
    lines = [f"{name}==1{marker} --hash=sha256:{'a' * 64}" for name, marker in markers.items()]
    lock = tmp_path / "a.lock"
    lock.write_text("\n".join(lines), encoding="utf-8")
    assert [pin.name for pin in pins_for(parse_lock(lock), target_of("3.11"))] == ["a", "c"]
    arm = Target(python="3.13", glibc_minor=28, arch="aarch64")
    assert [pin.name for pin in pins_for(parse_lock(lock), arm)] == ["a", "d"]


@pytest.mark.slow
@pytest.mark.stack
def test_a_copied_tree_measures_from_its_wheelhouse_without_a_network(tmp_path: Path) -> None:
    """The real wheels, of this run's own home: what `make wheelhouse` has to leave for a run."""
    command = without_network()
    tree = tmp_path / "tree"
    copy_tree(ROOT, tree)
    house = load_settings().home / "wheelhouse"
    (tree / ".assay" / "wheelhouse").mkdir(parents=True)
    stacks = (DRIVER_LOCK, *ROOT.glob("images/*/*torch2.13/requirements.lock"))
    for lock in stacks:
        target = target_of(f"3.{sys.version_info.minor}")
        pins = pins_for(parse_lock(lock), target)
        for name, wheel in Wheelhouse(house.parent).find(pins, target).items():
            if wheel is None:
                pytest.skip(f"the wheelhouse of this run lacks {name}: make wheelhouse")
            copied = tree / ".assay" / "wheelhouse" / wheel.name
            if not copied.exists():
                shutil.copy(wheel, copied)
    done = subprocess.run(
        [*command, "make", "run"],
        cwd=tree,
        env=bare(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    (result,) = tree.glob("results/*/*/*/*/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "ok"
    assert "fetching" not in done.stderr
