"""A tree with the real shell entry, and a driver of one file that prints what it was given."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from typing import TYPE_CHECKING

from driver.system.settings import ROOT
from tests.driver.wheels import make_uv_wheel, make_wheel, write_lock
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = (
    *("driver/assay", "driver/bootstrap.sh", "driver/__init__.py", "driver/stacks/__init__.py"),
    *("driver/system/__init__.py", "driver/system/subprocesses.py", "driver/system/interrupts.py"),
    "driver/system/plain_text.py",
)

MAIN = textwrap.dedent("""
    import json, os, sys
    import acme
    print(json.dumps({"argv": sys.argv[1:], "home": os.environ["ASSAY_HOME"], "cwd": os.getcwd(),
                      "acme": acme.VERSION, "prefix": sys.prefix,
                      "callers_path": os.environ["ASSAY_CALLERS_PYTHONPATH"]}))
    sys.exit(int(os.environ.get("CODE", "0")))
""")


def plant(root: Path, shelf: Path) -> Path:
    """Write a tree with the real shell entry, a driver of one file, and a lock of one wheel."""
    (root / "driver").mkdir(parents=True)
    plant_entry(root)
    (root / "driver" / "__main__.py").write_text(MAIN, encoding="utf-8")
    lock_of(root, shelf)
    return root


def plant_entry(root: Path) -> None:
    """Copy what makes the driver's environment, before any package is there."""
    for name in ENTRY:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for path in (ROOT / "driver" / "stacks" / "install").glob("*.py"):
        (root / "driver" / "stacks" / "install").mkdir(exist_ok=True)
        shutil.copy(path, root / "driver" / "stacks" / "install")


def stock(home: Path, shelf: Path) -> None:
    """Put the shelf's wheels where they are fetched to, for a test of what comes after fetching."""
    shutil.copytree(shelf, home / "wheelhouse")


def lock_of(root: Path, shelf: Path, version: str = "1.0") -> None:
    """Write the lock of a driver that stands on one package, acme, and on uv."""
    wheels = (make_wheel(shelf, "acme", version), make_uv_wheel(shelf))
    write_lock(root / "driver" / "requirements.lock", *wheels)


def assay(tree: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / "driver" / "assay", *arguments],
        cwd=tree,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
