"""make dev: an editor's environment is the tests' own, linked where editors look for it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree whose environment of the tests is there already."""
    for name in ("tests/dev", "driver/bootstrap.sh"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    relock(tmp_path, "one")
    return tmp_path


def relock(tree: Path, text: str) -> Path:
    """Write the lock, and make what counts as its environment; return that."""
    (tree / "tests" / "requirements.lock").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    venv = tree / "home" / "venvs" / f"tests-{digest}"
    (venv / "bin").mkdir(parents=True)
    (venv / ".complete").touch()
    (venv / "bin" / "python").write_text("#!/bin/sh\n", encoding="utf-8")
    (venv / "bin" / "python").chmod(0o755)
    return venv


def dev(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / "tests" / "dev"],
        env=os.environ | {"ASSAY_HOME": str(tree / "home")},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )


def test_it_links_the_environment_and_says_what_to_point_the_editor_at(tree: Path) -> None:
    said = dev(tree).stdout
    assert f"interpreter   {tree}/.venv/bin/python\n" in said
    assert (tree / ".venv" / ".complete").is_file()


def test_after_another_lock_the_link_follows(tree: Path) -> None:
    dev(tree)
    venv = relock(tree, "two")
    dev(tree)
    assert (tree / ".venv").resolve() == venv


def test_an_environment_of_the_users_own_stays(tree: Path) -> None:
    (tree / ".venv").mkdir()
    done = dev(tree)
    assert ".venv is not a link, so it is left unchanged" in done.stderr
    assert f"interpreter   {tree}/home/venvs/tests-" in done.stdout
    assert not list((tree / ".venv").iterdir())
