"""The commit in a result is this tree's, or none: never that of a repository around it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from driver.bundle.parts import tree_contents
from driver.errors import EnvironmentFault
from driver.system.host.git import OURS
from driver.system.host.machine import tree_commit


def git(folder: Path, *arguments: str) -> str:
    identity = {
        f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=env | identity,
    )
    return done.stdout.strip()


def tree(folder: Path) -> Path:
    """Return an unpacked tree, without a repository."""
    (folder / OURS).parent.mkdir(parents=True)
    (folder / OURS).write_text("")
    return folder


def repository(folder: Path) -> str:
    """Make a repository of a folder with all that is in it; return its commit."""
    folder.mkdir(exist_ok=True)
    (folder / "README").write_text("a project")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    return git(folder, "rev-parse", "HEAD")


def test_a_clones_commit_is_its_own(tmp_path: Path) -> None:
    root = tree(tmp_path / "assay")
    commit = repository(root)
    assert tree_commit(root) == commit
    (root / OURS).write_text("changed")
    assert tree_commit(root) == f"{commit}+changes"


def test_a_clone_behind_a_link_is_a_clone(tmp_path: Path) -> None:
    commit = repository(tree(tmp_path / "assay"))
    (tmp_path / "link").symlink_to("assay")
    assert tree_commit(tmp_path / "link") == commit


def test_a_tarball_inside_another_repository_has_no_commit(tmp_path: Path) -> None:
    repository(tmp_path / "other")
    assert tree_commit(tree(tmp_path / "other" / "tools" / "assay")) is None


def test_a_tarball_unpacked_over_another_repository_has_no_commit(tmp_path: Path) -> None:
    repository(tmp_path / "other")
    assert tree_commit(tree(tmp_path / "other")) is None


def test_a_tarball_outside_git_has_no_commit(tmp_path: Path) -> None:
    assert tree_commit(tree(tmp_path / "assay")) is None


def test_a_bundle_of_a_tarball_inside_another_repository_is_refused(tmp_path: Path) -> None:
    """Git lists none of its files there, and a bundle without a tree would be written."""
    repository(tmp_path / "other")
    root = tree(tmp_path / "other" / "assay")
    with pytest.raises(EnvironmentFault, match="neither a git checkout nor a loaded bundle"):
        tree_contents(root)
    repository(root)
    assert [content.path for content in tree_contents(root)] == ["tree/README", f"tree/{OURS}"]


@pytest.mark.parametrize("with_own", [True, False])
def test_the_callers_git_variables_name_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_own: bool
) -> None:
    other = tmp_path / "other"
    repository(other)
    root = tree(tmp_path / "assay")
    own = repository(root) if with_own else None
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert tree_commit(root) == own


def test_a_repository_that_git_refuses_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's clone (safe.directory), or no git at all."""
    root = tree(tmp_path / "assay")
    repository(root)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(
        "#!/bin/sh\necho 'fatal: detected dubious ownership' >&2\nexit 128\n"
    )
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    assert tree_commit(root) is None
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert tree_commit(root) is None
