"""The driver's own environment: whole whatever the caller has set for pip and Python, or not there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from driver.stacks.install import first_environment
from driver.stacks.install.first_environment import CannotMake, make
from driver.stacks.install.locked_wheels import read_lock
from driver.system.settings import ROOT
from driver.system.subprocesses import ChildFailed
from tests.driver.planted_tree import assay, plant
from tests.driver.wheels import make_uv_wheel, make_wheel, write_index, write_lock

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.environment

POISON = ("TARGET", "PREFIX", "USER", "CONSTRAINT", "REQUIRE_VIRTUALENV", "NO_DEPS", "DRY_RUN")


def poison_of(name: str, folder: Path) -> str:
    """Return a value of pip's option ``name`` that breaks an installation which heeds it."""
    if name == "CONSTRAINT":
        (folder / "constraints.txt").write_text("acme==9.9\n", encoding="utf-8")
        return str(folder / "constraints.txt")
    return str(folder / "elsewhere") if name in ("TARGET", "PREFIX") else "1"


@pytest.fixture
def tree(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree without an environment, on a machine whose pip knows the shelf.

    uv is there, so that one pip has to start, which fetches acme.
    """
    monkeypatch.delenv("ASSAY_HOME", raising=False)
    planted = plant(tmp_path / "tree", shelf)
    make_uv_wheel(planted / ".assay" / "wheelhouse")
    return planted


def runs(tree: Path, **env: str) -> None:
    """Assert that the driver runs, in an environment that holds its package and nothing else did."""
    done = assay(tree, **env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["acme"] == "1.0"
    assert json.loads(done.stdout)["prefix"].startswith(str(tree / ".assay" / "venvs"))
    assert not (tree.parent / "elsewhere").exists()


def test_variables_of_pips_that_are_no_source_change_nothing(tree: Path) -> None:
    """All at once: an installation that heeds one of them is not whole."""
    runs(tree, **{f"PIP_{name}": poison_of(name, tree.parent) for name in POISON})


def test_pip_conf_is_heeded_for_the_index_and_for_nothing_else(
    tree: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tree.parent / "home"
    index = write_index(tree.parent / "index", *shelf.glob("*.whl"))
    keys = "".join(
        f"{name.lower().replace('_', '-')} = {poison_of(name, tree.parent)}\n" for name in POISON
    )
    conf = home / ".config" / "pip" / "pip.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f"[global]\nindex-url = {index}\nquiet = 3\n{keys}", encoding="utf-8")
    for name in ("PIP_CONFIG_FILE", "PIP_FIND_LINKS", "PIP_NO_INDEX", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    runs(tree, HOME=str(home))


def test_no_index_beside_an_index_changes_nothing(
    tree: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    index = write_index(tree.parent / "index", *shelf.glob("*.whl"))
    runs(tree, PIP_NO_INDEX="1", PIP_INDEX_URL=index)


def test_variables_of_pythons_change_nothing(tree: Path) -> None:
    """All at once, as those of pip's."""
    hostile = tree.parent / "hostile"
    version = f"python3.{sys.version_info.minor}"
    for folder in (hostile, hostile / "lib" / version / "site-packages"):
        folder.mkdir(parents=True)
        for module in ("acme", "venv", "zipfile", "typing", "sitecustomize", "usercustomize"):
            (folder / f"{module}.py").write_text("raise SystemExit('hostile')\n", encoding="utf-8")
    values = {name: str(hostile) for name in ("PYTHONUSERBASE", "PYTHONPATH", "PYTHONHOME")}
    runs(tree, PYTHONSTARTUP=str(hostile / "acme.py"), **values)


def test_a_driver_that_is_not_installed_whole_is_not_marked(tree: Path, shelf: Path) -> None:
    """A package without its modules: what PIP_TARGET once left, an environment marked complete."""
    acme = make_wheel(shelf, "acme", body="import not_there\n")
    write_lock(tree / "driver" / "requirements.lock", acme, make_uv_wheel(shelf))
    done = assay(tree)
    assert done.returncode == 3
    assert "does not import" in done.stderr
    assert "not_there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tree / ".assay" / "venvs").glob("*/.complete"))


def test_a_conf_that_is_no_ini_file_is_named(tree: Path) -> None:
    conf = tree.parent / "pip.conf"
    conf.write_text("index-url\n", encoding="utf-8")
    done = assay(tree, PIP_CONFIG_FILE=str(conf))
    assert done.returncode == 3
    assert f"pip's configuration cannot be read: {conf}" in done.stderr


@pytest.fixture
def lock(shelf: Path, tmp_path: Path) -> Path:
    """Return a lock of acme and uv, whose wheels are in a wheelhouse; pip knows no index."""
    house = tmp_path / "home" / "wheelhouse"
    return write_lock(
        tmp_path / "driver" / "requirements.lock", make_wheel(house, "acme"), make_uv_wheel(house)
    )


def holds_acme(folder: Path) -> bool:
    return (folder / ".complete").exists() and bool(list(folder.glob("lib/*/site-packages/acme")))


def test_a_filled_wheelhouse_is_enough(lock: Path, tmp_path: Path) -> None:
    make("driver", lock, tmp_path / "home" / "venvs" / "driver", tmp_path / "home")
    assert holds_acme(tmp_path / "home" / "venvs" / "driver")


def test_only_what_the_wheelhouse_lacks_is_fetched(lock: Path, shelf: Path, tmp_path: Path) -> None:
    house = tmp_path / "home" / "wheelhouse"
    text = lock.read_text(encoding="utf-8")
    more = write_lock(tmp_path / "more.lock", make_wheel(shelf, "more"))
    lock.write_text(text + more.read_text(encoding="utf-8"), encoding="utf-8")
    make("driver", lock, tmp_path / "home" / "venvs" / "driver", tmp_path / "home")
    assert holds_acme(tmp_path / "home" / "venvs" / "driver")
    assert sorted(path.name.partition("-")[0] for path in house.iterdir()) == ["acme", "more", "uv"]


def test_a_damaged_wheel_is_fetched_again(lock: Path, shelf: Path, tmp_path: Path) -> None:
    wheel = next((tmp_path / "home" / "wheelhouse").glob("acme-*"))
    make_wheel(shelf, "acme")
    wheel.write_bytes(wheel.read_bytes()[:-9])
    make("driver", lock, tmp_path / "home" / "venvs" / "driver", tmp_path / "home")
    assert holds_acme(tmp_path / "home" / "venvs" / "driver")


def test_a_program_that_the_lock_does_not_name_is_never_run(
    lock: Path, shelf: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    script = f"#!/bin/sh\ntouch {trace}\n"
    make_wheel(tmp_path / "home" / "wheelhouse", "uv", script=script)
    with pytest.raises(CannotMake, match="pip could not fetch 1 package "):
        make("driver", lock, tmp_path / "home" / "venvs" / "driver", tmp_path / "home")
    assert not trace.exists()
    assert not (tmp_path / "home" / "venvs" / "driver").exists()


def test_a_lock_names_what_is_for_this_system(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"# made\nPywin32==3 ; sys_platform == 'win32' \\\n    --hash=sha256:{'a' * 64}\n"
        f"Some_Name==1.0 ; platform_python_implementation != 'PyPy' \\\n"
        f"    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'c' * 64}\n",
        encoding="utf-8",
    )
    (pin,) = read_lock(lock)
    assert (pin.name, pin.version) == ("some-name", "1.0")
    assert pin.hashes == {"b" * 64, "c" * 64}


def test_what_makes_it_imports_the_standard_library_alone() -> None:
    """No package is there yet."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import driver.stacks.install.first_environment; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} "
        "- set(sys.stdlib_module_names) - {'__main__', 'driver'}))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_that_whoever_met_it(
    lock: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_arguments: object) -> None:
        raise ChildFailed(["uv"], 2, f"error: failed to write: {os.strerror(number)}")

    monkeypatch.setattr(first_environment, "install", full)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    home = tmp_path / "home"
    with pytest.raises(SystemExit) as ended:
        first_environment.main(["driver", str(lock), str(home / "venvs" / "d"), str(home), "0"])
    assert ended.value.code == 3
    assert f"the disk of {home} is full" in capsys.readouterr().err
    assert not (home / "venvs" / "d").exists()
