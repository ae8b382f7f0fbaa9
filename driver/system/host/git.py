"""Runs git on this tree alone, never on a repository around it or the caller's GIT_DIR."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

OURS = "driver/__main__.py"
"""A file that every commit of this project has, and no other project's."""


def git(root: Path, *arguments: str, timeout_s: float = 10.0) -> str | None:
    """Return git's output for a tree, without the last newline; None if git fails or is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
            # GIT_DIR and similar variables may point to the caller's repository.
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def is_own_checkout(root: Path) -> bool:
    """Whether ``root`` is the top of a repository whose commit has this tree's files.

    A tree that was unpacked inside another repository, or over one, is not.
    """
    top = git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root.resolve():
        return False
    return git(root, "rev-parse", "--verify", f"HEAD:{OURS}") is not None
