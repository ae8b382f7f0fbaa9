"""The shell scripts in surroundings that shells, file systems and administrators make."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from tests.driver.planted_tree import assay, plant, stock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.environment

SCRIPTS = ("driver/assay", "tests/run", "tests/lint", "tests/bench/run")
NOBODY = 65534


@pytest.fixture
def tree(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree with every script, whose environments are not made yet."""
    monkeypatch.delenv("ASSAY_HOME", raising=False)
    tree = plant(tmp_path / "tree", shelf)
    for name in SCRIPTS[1:]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    shutil.copy(tree / "driver" / "requirements.lock", tree / "tests" / "requirements.lock")
    return tree


@pytest.fixture
def stocked(tree: Path, shelf: Path) -> Path:
    """Return such a tree whose wheels have been fetched."""
    stock(tree / ".assay", shelf)
    return tree


def run(command: Sequence[str | Path], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_cdpath_leads_no_script_astray(stocked: Path, script: str) -> None:
    """`cd driver/..` would go to a folder of CDPATH, and print it into what becomes the root."""
    decoy = stocked.parent / "decoy"
    for name in ("driver", "tests/bench"):
        (decoy / name).mkdir(parents=True)
    done = run(
        [script], stocked, CDPATH=f"{decoy}:.:{stocked.parent}", CASE="unknown", ARGS="--version"
    )
    assert "bootstrap.sh" not in done.stderr
    assert str(decoy) not in done.stderr + done.stdout
    assert (stocked / ".assay" / "venvs").is_dir() or "there is no bench" in done.stderr


@pytest.mark.parametrize("script", SCRIPTS[:3])
def test_a_colon_in_the_trees_path_is_named(tree: Path, script: str) -> None:
    moved = tree.rename(tree.with_name("a:tree"))
    done = run([moved / script], moved)
    assert done.returncode == 3
    assert f"{moved} has a ':' in its path" in done.stderr
    assert not (moved / ".assay").exists()


@pytest.mark.parametrize("script", SCRIPTS[:3])
def test_a_colon_in_the_homes_path_is_named(tree: Path, script: str) -> None:
    done = run([tree / script], tree, ASSAY_HOME="/data:/assay")
    assert done.returncode == 3
    assert "/data:/assay has a ':' in its path" in done.stderr
    assert "ASSAY_HOME" in done.stderr


def as_nobody(*command: str | Path) -> list[str | Path]:
    """Return a command of a user who owns nothing here: root writes to what is read-only."""
    if os.geteuid() != 0:
        return list(command)
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv (util-linux) to run as another user with")
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


def shared(tree: Path) -> None:
    """Let everybody read the tree and nobody write to it."""
    for folder in (tree, *tree.parents):
        if folder.stat().st_uid == os.geteuid() and folder.name not in ("", "tmp"):
            folder.chmod(0o755)
    for path in (tree, *tree.rglob("*")):
        path.chmod(0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444)


def unshared(tree: Path) -> None:
    """Let pytest remove it again."""
    for path in (tree, *tree.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


@pytest.mark.parametrize("script", SCRIPTS[:3])
def test_a_read_only_checkout_names_the_folders_to_set(tree: Path, script: str) -> None:
    shared(tree)
    try:
        done = run(as_nobody(tree / script), tree, HOME="/home/me")
    finally:
        unshared(tree)
    assert done.returncode == 3
    assert f"{tree}/.assay cannot be written: this checkout is read-only for you" in done.stderr
    assert "ASSAY_HOME=/home/me/.assay OUT=/home/me/results" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_an_environment_that_another_user_made_is_not_written_to(stocked: Path) -> None:
    """The owner ran it once; another user, who cannot run its Python, reads what to set."""
    assert assay(stocked).returncode == 0
    (venv,) = (stocked / ".assay" / "venvs").glob("driver-*/")
    for name in ("python", "python3"):
        (venv / "bin" / name).unlink()
    shared(stocked)
    try:
        done = run(as_nobody(stocked / "driver" / "assay"), stocked)
    finally:
        unshared(stocked)
    assert done.returncode == 3
    assert "this checkout is read-only for you" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_umask_077_is_no_hindrance_and_stays_what_it_is(stocked: Path) -> None:
    """What a container's guest has to read the driver makes readable; the environment is not among it."""
    main = stocked / "driver" / "__main__.py"
    main.write_text("import acme, json, os; print(json.dumps(os.umask(0)))\n", encoding="utf-8")
    for _ in range(2):
        done = subprocess.run(
            [stocked / "driver" / "assay"], capture_output=True, text=True, check=False, umask=0o077
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == 0o077
    (venv,) = (stocked / ".assay" / "venvs").glob("driver-*/")
    assert venv.stat().st_mode & 0o077 == 0
