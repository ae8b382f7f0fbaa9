"""driver/assay creates its environment once, atomically, and passes arguments and exit codes on."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.driver.planted_tree import assay, lock_of, plant, stock
from tests.driver.wheels import make_wheel, offline
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.environment


@pytest.fixture
def tree(shelf: Path, tmp_path: Path) -> Path:
    """Return a tree without an environment."""
    return plant(tmp_path / "a tree", shelf)


@pytest.fixture
def stocked(tree: Path, shelf: Path) -> Path:
    """Return a tree without an environment, whose wheels have been fetched."""
    stock(tree / ".assay", shelf)
    return tree


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree with an environment, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("warm")
    tree = plant(folder / "a tree", folder / "shelf")
    stock(tree / ".assay", folder / "shelf")
    done = assay(tree, ASSAY_HOME=str(tree / ".assay"), **offline(folder / "shelf"))
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the home of this run."""
    monkeypatch.delenv("ASSAY_HOME", raising=False)


def venvs(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "venvs").glob("driver-*") if path.is_dir())


def test_a_fresh_tree_creates_its_environment_and_runs(tree: Path) -> None:
    arguments = ("run", "--case", "a b", "--bs", "$(id)", "it's", "")
    done = assay(tree, *arguments)
    assert done.returncode == 0, done.stderr
    assert '"argv": ["run", "--case", "a b", "--bs", "$(id)", "it\'s", ""]' in done.stdout
    assert len(venvs(tree / ".assay")) == 1
    assert "making the environment of driver" in done.stderr


def test_the_second_call_makes_nothing_and_says_the_same(warm: Path) -> None:
    first = assay(warm)
    second = assay(warm)
    assert second.stderr == ""
    assert second.stdout == first.stdout


@pytest.mark.parametrize("path", ["/opt/sdk/python:/more", ""])
def test_the_callers_path_is_kept_for_stages_and_not_used(warm: Path, path: str) -> None:
    done = assay(warm, PYTHONPATH=path)
    assert json.loads(done.stdout)["callers_path"] == path


@pytest.mark.parametrize("code", [1, 3, 5, 130])
def test_exit_codes_pass_on(warm: Path, code: int) -> None:
    assert assay(warm, CODE=str(code)).returncode == code


def test_it_runs_from_anywhere_through_a_link_and_beside_a_folder_named_driver(
    warm: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "driver").mkdir(parents=True)
    (elsewhere / "driver" / "__main__.py").write_text("raise SystemExit(99)", encoding="utf-8")
    link = tmp_path / "assay"
    link.symlink_to(warm / "driver" / "assay")
    done = subprocess.run([link], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f'"cwd": "{elsewhere}"' in done.stdout


def test_an_incomplete_environment_is_rebuilt(stocked: Path) -> None:
    assay(stocked)
    (venv,) = (stocked / ".assay" / "venvs").glob("driver-*/")
    (venv / ".complete").unlink()
    shutil.rmtree(venv / "lib")
    done = assay(stocked)
    assert done.returncode == 0, done.stderr


def test_a_changed_lock_makes_a_new_one(stocked: Path) -> None:
    assay(stocked)
    lock_of(stocked, stocked / ".assay" / "wheelhouse", "2.0")
    assert '"acme": "2.0"' in assay(stocked).stdout
    assert len(venvs(stocked / ".assay")) == 2


def test_without_an_index_it_gives_a_remedy_and_exit_code_3(tree: Path, shelf: Path) -> None:
    for wheel in shelf.iterdir():
        wheel.unlink()
    done = assay(tree)
    assert done.returncode == 3
    assert "pip could not fetch 2 packages of driver/requirements.lock" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert "make wheelhouse" in done.stderr
    assert "Traceback" not in done.stderr
    assert venvs(tree / ".assay") == []


def test_a_wheel_that_the_lock_does_not_pin_is_refused(tree: Path, shelf: Path) -> None:
    make_wheel(shelf, "acme", body="import os  # not what was locked\n")
    done = assay(tree)
    assert done.returncode == 3
    assert venvs(tree / ".assay") == []


def test_a_machine_without_a_suitable_python_gets_a_remedy(tree: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sha256sum", "flock", "mkdir", "rm", "sed", "tail", "grep"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    done = assay(tree, PATH=str(tools), HOME=str(tmp_path), ASSAY_PYTHON="")
    assert done.returncode == 3
    assert "no Python 3.11 or newer" in done.stderr
    assert "ASSAY_PYTHON=" in done.stderr


def test_the_home_of_the_local_settings_is_used(tree: Path, shelf: Path) -> None:
    stock(tree / "my home", shelf)
    (tree / "assay.local.toml").write_text(
        'results = "r"\nhome = "my home"  # a comment\n', encoding="utf-8"
    )
    assert f'"home": "{tree}/my home"' in assay(tree).stdout


def test_the_environments_home_wins_and_may_be_relative(tree: Path, shelf: Path) -> None:
    stock(tree / "here", shelf)
    (tree / "assay.local.toml").write_text('home = "/nowhere"\n', encoding="utf-8")
    assert f'"home": "{tree}/here"' in assay(tree, ASSAY_HOME="here").stdout


def test_a_home_that_cannot_be_written_is_named(tree: Path) -> None:
    done = assay(tree, ASSAY_HOME="/proc/no/home")
    assert done.returncode == 3
    assert "/proc/no/home cannot be written" in done.stderr


def test_two_concurrent_first_calls_create_it_once(stocked: Path) -> None:
    children = [
        subprocess.Popen(
            [stocked / "driver" / "assay"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=PATIENCE_S) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum("making the environment" in errors for _, errors in said) == 1
