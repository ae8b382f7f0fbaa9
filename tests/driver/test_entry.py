"""driver/assay: makes its own environment, once and whole, and passes arguments and codes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

from driver.settings import ROOT
from tests.driver.wheels import make_wheel, offline, write_lock

MAIN = textwrap.dedent("""
    import json, os, sys
    import acme
    print(json.dumps({"argv": sys.argv[1:], "home": os.environ["ASSAY_HOME"], "cwd": os.getcwd(),
                      "acme": acme.VERSION, "prefix": sys.prefix}))
    sys.exit(int(os.environ.get("CODE", "0")))
""")


def plant(root: Path, shelf: Path) -> Path:
    """Lay out a tree with the real shell entry, a driver of one file, and a lock of one wheel."""
    (root / "driver").mkdir(parents=True)
    for name in ("assay", "bootstrap.sh"):
        shutil.copy(ROOT / "driver" / name, root / "driver" / name)
    (root / "driver" / "__init__.py").touch()
    (root / "driver" / "__main__.py").write_text(MAIN, encoding="utf-8")
    write_lock(root / "driver" / "requirements.lock", make_wheel(shelf, "acme"))
    return root


@pytest.fixture
def tree(shelf: Path, tmp_path: Path) -> Path:
    """Return a tree that has no environment yet."""
    return plant(tmp_path / "a tree", shelf)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree whose environment is made; for tests that change nothing in it."""
    folder = tmp_path_factory.mktemp("warm")
    tree = plant(folder / "a tree", folder / "shelf")
    done = assay(tree, ASSAY_HOME=str(tree / ".assay"), **offline(folder / "shelf"))
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test touch the home that this run has."""
    monkeypatch.delenv("ASSAY_HOME", raising=False)


def assay(tree: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / "driver" / "assay", *arguments],
        cwd=tree,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def venvs(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "venvs").glob("driver-*") if path.is_dir())


def test_a_fresh_tree_makes_its_environment_and_runs(tree: Path) -> None:
    arguments = ("run", "--case", "a b", "--bs", "$(id)", "it's", "")
    done = assay(tree, *arguments)
    assert done.returncode == 0, done.stderr
    assert '"argv": ["run", "--case", "a b", "--bs", "$(id)", "it\'s", ""]' in done.stdout
    assert len(venvs(tree / ".assay")) == 1
    assert "making the environment of driver" in done.stderr


def test_the_second_call_is_quick_silent_and_the_same(warm: Path) -> None:
    first = assay(warm)
    started = time.monotonic()
    second = assay(warm)
    # A generous bound for a busy machine: what it must not do is make anything.
    assert time.monotonic() - started < 2
    assert second.stderr == ""
    assert second.stdout == first.stdout


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


def test_a_half_made_environment_is_made_anew(tree: Path) -> None:
    assay(tree)
    (venv,) = (tree / ".assay" / "venvs").glob("driver-*/")
    (venv / ".complete").unlink()
    shutil.rmtree(venv / "lib")
    done = assay(tree)
    assert done.returncode == 0, done.stderr


def test_a_changed_lock_makes_a_new_one(tree: Path, shelf: Path) -> None:
    assay(tree)
    write_lock(tree / "driver" / "requirements.lock", make_wheel(shelf, "acme", "2.0"))
    assert '"acme": "2.0"' in assay(tree).stdout
    assert len(venvs(tree / ".assay")) == 2


def test_without_an_index_it_says_what_to_do_and_ends_with_3(tree: Path, shelf: Path) -> None:
    for wheel in shelf.iterdir():
        wheel.unlink()
    done = assay(tree)
    assert done.returncode == 3
    assert "pip could not install driver/requirements.lock" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert venvs(tree / ".assay") == []


def test_a_wheel_that_is_not_the_locks_is_refused(tree: Path, shelf: Path) -> None:
    make_wheel(shelf, "acme", body="import os  # not what was locked\n")
    done = assay(tree)
    assert done.returncode == 3
    assert venvs(tree / ".assay") == []


def test_a_machine_without_a_fitting_python_is_told(tree: Path, tmp_path: Path) -> None:
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


def test_the_home_of_the_local_settings_is_used(tree: Path) -> None:
    (tree / "assay.local.toml").write_text(
        'results = "r"\nhome = "my home"  # a comment\n', encoding="utf-8"
    )
    assert f'"home": "{tree}/my home"' in assay(tree).stdout


def test_the_environments_home_wins_and_may_be_relative(tree: Path) -> None:
    (tree / "assay.local.toml").write_text('home = "/nowhere"\n', encoding="utf-8")
    assert f'"home": "{tree}/here"' in assay(tree, ASSAY_HOME="here").stdout


def test_a_home_that_cannot_be_written_is_named(tree: Path) -> None:
    done = assay(tree, ASSAY_HOME="/proc/no/home")
    assert done.returncode == 3
    assert "/proc/no/home cannot be written" in done.stderr


def test_two_first_calls_at_once_make_it_once(tree: Path) -> None:
    children = [
        subprocess.Popen(
            [tree / "driver" / "assay"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum("making the environment" in errors for _, errors in said) == 1
