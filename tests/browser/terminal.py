"""Draws what a command prints on a terminal as an SVG picture, for the README.

    python -m tests.browser.terminal docs/run.svg make run

The command runs on a pseudo-terminal; the picture shows the screen at its end.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 158
ROWS = 50
_ERASED = re.compile(r"\x1b\[2K|\x1b\[1A|\x1b\[\?25[hl]")


def printed(command: list[str]) -> str:
    """Return everything that a command writes to a terminal of COLUMNS × ROWS."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    child.wait()
    return b"".join(pieces).decode("utf-8", errors="replace")


def screen(text: str) -> list[str]:
    """Return the lines that stay: a carriage return or an erased line takes back what was there."""
    lines = [""]
    for token in re.split(r"(\r\n|\n|\r|\x1b\[2K|\x1b\[1A|\x1b\[\?25[hl])", text):
        if token in ("\r\n", "\n"):
            lines.append("")
        elif token == "\x1b[1A":
            lines.pop()
            lines = lines or [""]
        elif token in ("\r", "\x1b[2K"):
            lines[-1] = ""
        elif not _ERASED.fullmatch(token):
            lines[-1] += token
    return [line for line in lines if Text.from_ansi(line).plain.strip()]


def main(arguments: list[str]) -> int:
    """Run the command and write the picture."""
    target, *command = arguments
    root = str(Path.cwd())
    lines = [line.replace(root + "/", "") for line in screen(printed(command))]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(f"$ {' '.join(command)}", highlight=False)
    for line in lines:
        console.print(Text.from_ansi(line), highlight=False)
    Path(target).write_text(console.export_svg(title="assay"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
