"""Commands in a network namespace with no network: not even this machine's own addresses answer."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

UNSHARE = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")


def without_network() -> tuple[str, ...]:
    """Return the start of a command that has no network; the test is skipped where that cannot be."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare (util-linux)")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    return UNSHARE
