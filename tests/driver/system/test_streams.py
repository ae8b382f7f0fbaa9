"""Standard streams that are closed, full or without a reader change no exit code but that of a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from driver import __main__ as program
from driver.console import Console
from driver.errors import ContractFault

def app(**_):
    console = Console()
    for number in range(5000):
        console.note(f"note {number} of a run that says a lot")
        console.text(f"line {number} of a long table")
    open(sys.argv[1], "w").write("reached the end")
    raise ContractFault("the hook broke it", "fix it")

import driver.cli
driver.cli.app = app
sys.exit(program.main([]))
"""


def ran(tmp_path: Path, redirection: str) -> tuple[int, str]:
    """Run the program in a shell; return its exit code, and what it wrote to a file at its end."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    end = tmp_path / "end"
    command = f'"{sys.executable}" "{program}" "{end}" {redirection}'
    script = f"set -o pipefail; {command}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, end.read_text() if end.exists() else ""


CONTRACT = 5


@pytest.mark.parametrize(
    "redirection",
    [
        "",
        ">&-",
        "2>&-",
        ">&- 2>&-",
        "<&- >&- 2>&-",
        "2>/dev/full",
        "| head -n 1",
        "2>&1 | head -n 1",
        "2>&1 >/dev/null | true",
        "| true",
    ],
)
def test_the_exit_code_is_the_verbs(tmp_path: Path, redirection: str) -> None:
    assert ran(tmp_path, redirection) == (CONTRACT, "reached the end")


@pytest.mark.parametrize("redirection", [">/dev/full", ">/dev/full 2>/dev/full", ">/dev/full 2>&-"])
def test_output_that_the_disk_does_not_take_is_the_hosts(tmp_path: Path, redirection: str) -> None:
    assert ran(tmp_path, redirection)[0] == 3


def test_a_file_that_is_opened_never_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    ran(tmp_path, ">&- 2>&-")
    assert (tmp_path / "end").read_text() == "reached the end"
