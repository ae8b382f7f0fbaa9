"""On a terminal of 80 and 120 columns every verb fits: nothing is wider, nothing breaks inside a word."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from driver.system.user.terminal import cells

if TYPE_CHECKING:
    from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
VERBS = (
    ("list",),
    ("--help",),
    ("published",),
    ("published", "--lang", "zh"),
    ("doctor",),
    ("doctor", "--vendor", "nvidia"),
    ("doctor", "--case", "sam", "--vendor", "nvidia"),
    ("sweep", "--bs", "1,4", "--precision", "fp32,bf16", "--vendor", "nvidia", "--dry-run"),
    ("run", "--case", "vit_digts"),
)


def printed(command: list[str], columns: int, home: Path) -> list[str]:
    """Return the lines that a command writes to a terminal of this width, without escapes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    hidden = ("ASSAY_", "COLUMNS", "LINES")
    env = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    env |= {
        "ASSAY_HOME": str(home),
        "TERM": "xterm",
        "OUT": str(home / "out"),
        "HF_HOME": str(home),
    }
    child = subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    child.wait()
    os.close(ours)
    text = ESCAPES.sub("", b"".join(pieces).decode("utf-8"))
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]


def too_wide(lines: list[str], columns: int) -> list[str]:
    """Return the lines that the terminal itself has to break; one long word cannot be helped."""
    return [line for line in lines if cells(line.rstrip()) > columns and " " in line.strip()]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_fits_the_terminal(verb: tuple[str, ...], columns: int, tmp_path: Path) -> None:
    lines = printed([sys.executable, "-m", "driver", *verb], columns, tmp_path)
    assert len(lines) > 1
    assert too_wide(lines, columns) == []


@pytest.mark.parametrize("columns", [80, 120])
def test_make_help_fits_the_terminal(columns: int, tmp_path: Path) -> None:
    lines = printed(["make", "help"], columns, tmp_path)
    assert too_wide(lines, columns) == []
    piped = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert " ".join(lines).split() == piped.stdout.split(), "no word is lost or broken"
    assert all(line.startswith("  make ") for line in piped.stdout.splitlines()), "one a line"


def test_list_turns_vertical_and_keeps_every_engine(tmp_path: Path) -> None:
    lines = printed([sys.executable, "-m", "driver", "list"], 80, tmp_path)
    assert "vendor nvidia" in lines
    assert "case vit_digits" in lines
    shown = " ".join(" ".join(lines).split())
    assert "trtexec (" in shown
