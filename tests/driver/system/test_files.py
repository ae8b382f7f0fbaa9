"""What root creates is there for root's containers, whatever the umask; a normal user's umask counts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S

SHOW = """
import os, sys
import driver.__main__ as entry
from driver import cli
os.geteuid = lambda: int(sys.argv[1])
cli.app = lambda args, standalone_mode: print(f"{os.umask(0):03o}")
sys.exit(entry.main([]))
"""


@pytest.mark.parametrize(
    ("uid", "umask", "during"),
    [
        (0, "077", "022"),
        (0, "027", "022"),
        (0, "002", "002"),
        (0, "022", "022"),
        (1000, "077", "077"),
    ],
)
def test_the_umask_of_a_run(uid: int, umask: str, during: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'umask {umask}; exec "$@"', "sh", sys.executable, "-c", SHOW, str(uid)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stdout == f"{during}\n", done.stderr
