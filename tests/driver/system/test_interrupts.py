"""What interrupts the driver: from a terminal, in the background, and in the middle of a clean-up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

# The driver's real entry around a verb that answers each line, so that a test knows it is alive.
ECHO = """
    import sys
    import driver.__main__ as entry
    from driver import cli
    def echo(args, standalone_mode):
        print("up", flush=True)
        for line in sys.stdin:
            print(line, end="", flush=True)
    cli.app = echo
    sys.exit(entry.main([]))
"""
# Between "half" and "whole" nothing may interrupt it.
CLEAN_UP = """
    import sys
    from driver.system.interrupts import heed_interrupts, interrupts_deferred
    heed_interrupts()
    try:
        with interrupts_deferred():
            print("half", flush=True)
            sys.stdin.readline()
            print("whole", flush=True)
        print("not reached", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        print(sys.stdin.readline(), end="", flush=True)
"""


@contextmanager
def started(program: str, first: str, *, ignoring: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a program that says ``first``; ``ignoring`` names signals that it finds ignored."""
    trap = f"trap '' {ignoring}; " if ignoring else ""
    with subprocess.Popen(
        ["sh", "-c", f'{trap}exec "$@"', "sh", sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{first}\n"
            yield process
        finally:
            process.kill()


def answers(process: subprocess.Popen[str], line: str) -> bool:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line)
    process.stdin.flush()
    return process.stdout.readline() == line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_from_a_terminal_each_of_them_interrupts(number: signal.Signals) -> None:
    with started(ECHO, "up") as process:
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 130
    assert said.startswith("assay: interrupted")


@pytest.mark.parametrize(
    ("ignored", "numbers"),
    [
        ("HUP", [signal.SIGHUP]),
        ("INT", [signal.SIGINT]),
        ("INT HUP", [signal.SIGINT, signal.SIGHUP]),
    ],
    ids=["nohup", "a shell's &", "both"],
)
def test_what_was_ignored_on_entry_stays_ignored_and_sigterm_interrupts(
    ignored: str, numbers: list[signal.Signals]
) -> None:
    with started(ECHO, "up", ignoring=ignored) as process:
        for number in numbers:
            process.send_signal(number)
        assert answers(process, "still here\n")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def test_sigterm_interrupts_where_it_was_ignored_on_entry() -> None:
    with started(ECHO, "up", ignoring="TERM") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_clean_up_ends_before_it_is_interrupted(number: signal.Signals) -> None:
    with started(CLEAN_UP, "half") as process:
        process.send_signal(number)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "whole\n"
        assert process.stdout.readline() == "interrupted\n"
        process.send_signal(number)  # the handler is back: nothing is held any more
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert said.splitlines()[-1] == "KeyboardInterrupt"


# Python drops what is raised here, as it does in callbacks of its import system.
DROPPED = """
    import signal, time
    from driver.system.interrupts import heed_interrupts
    class Falls:
        def __del__(self):
            print("up", flush=True)
            signal.raise_signal(signal.SIGTERM)
    heed_interrupts()
    try:
        Falls()
        time.sleep(600)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_an_interrupt_that_python_drops_comes_again() -> None:
    with started(DROPPED, "up", ignoring="INT") as process:
        said, errors = process.communicate(timeout=PATIENCE_S)
    assert said == "interrupted\n"
    assert errors == ""


def test_a_clean_up_leaves_alone_what_is_ignored() -> None:
    with started(CLEAN_UP, "half", ignoring="INT") as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate("\n", timeout=PATIENCE_S)[0]
    assert said.splitlines() == ["whole", "not reached"]
