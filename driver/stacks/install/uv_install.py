"""Installing a lock with uv from the wheelhouse: no network, and no settings of the caller.

Standard library only: the driver's own environment is made with it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from driver.system.subprocesses import run_child

if TYPE_CHECKING:
    from pathlib import Path

LEFT_OUT = ("UV_", "PIP_", "PYTHON")


def uv_offline(home: Path) -> dict[str, str]:
    """Return uv's environment, with its cache in ``home``.

    Of two environments that share a package (torch, numpy) only the first unpacks it: uv links out of
    that cache.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith(LEFT_OUT)}
    return env | {"UV_CACHE_DIR": str(home / "uv-cache"), "UV_NO_CONFIG": "1", "UV_OFFLINE": "1"}


def install(uv: str, lock: Path, folder: Path, home: Path) -> None:
    """Install what ``lock`` names into the environment ``folder``; raises ChildFailed."""
    command = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python3")]
    command += ["--no-index", "--find-links", str(home / "wheelhouse"), "--require-hashes"]
    command += ["--no-deps", "--link-mode", "hardlink", "-r", str(lock)]
    run_child(command, env=uv_offline(home))
