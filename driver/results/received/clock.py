"""Asks a running stage for its time, so that its loops can be held to the driver's clock.

An answer was given between the question and its arrival, both by the driver's clock: however busy the machine is, that
much is certain. docs/contract.md describes the messages.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SOCKET = "socket"
ASK_S = 0.5
"""How often the driver asks; a guest may ask for a question in between."""
LEAST_S = 0.005
"""Questions follow each other no faster, whatever the guest says."""
MOST_READINGS = 200_000
"""More than a stage of a day has."""
LONGEST_LINE = 64
_ANSWER = re.compile(rb"([0-9]{1,18}) ([a-z]{1,16}|[-~])")


class Reading(NamedTuple):
    """One answer: the driver's clock before and after it, the guest's clock, and the loop that ran.

    ``loop`` is ``-`` for none, and ``~`` where one was just beginning or ending.
    """

    asked_ns: int
    heard_ns: int
    guest_ns: int
    loop: str

    @property
    def width_ns(self) -> int:
        """How long the answer took."""
        return self.heard_ns - self.asked_ns


class ClockWatch:
    """Asks the first guest that connects to ``<folder>/socket`` until the block ends."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and the socket; both can be reached by another user."""
        self.folder = folder
        self.readings: list[Reading] = []
        self.connected = False
        self._ended = threading.Event()
        self._pending = b""
        self._sockets = [_listening(folder)]
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; the readings stay."""
        self._ended.set()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _run(self) -> None:
        with suppress(OSError, ValueError):
            guest, _ = self._sockets[0].accept()
            self._sockets.append(guest)
            self.connected = True
            while not self._ended.is_set() and len(self.readings) < MOST_READINGS:
                again = self._ask(guest)
                if not again:
                    self._line(guest, ASK_S)
                self._ended.wait(LEAST_S)

    def _ask(self, guest: socket.socket) -> bool:
        """Ask once and keep the answer; return whether the guest wants to be asked again."""
        again = False
        asked_ns = time.monotonic_ns()
        guest.settimeout(None)
        guest.sendall(b"?")
        while True:
            line = self._line(guest, None)
            heard_ns = time.monotonic_ns()
            if line != b"!":
                break
            again = True
        answer = _ANSWER.fullmatch(line or b"")
        if answer is None:
            raise ValueError(line)
        self.readings.append(Reading(asked_ns, heard_ns, int(answer[1]), answer[2].decode()))
        return again

    def _line(self, guest: socket.socket, timeout_s: float | None) -> bytes | None:
        """Return the next line, None if none comes in time; ValueError for what is none."""
        guest.settimeout(timeout_s)
        while b"\n" not in self._pending:
            if len(self._pending) > LONGEST_LINE:
                raise ValueError(self._pending)
            try:
                part = guest.recv(LONGEST_LINE)
            except TimeoutError:
                return None
            if not part:
                raise ConnectionResetError
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        return line


def _listening(folder: Path) -> socket.socket:
    folder.mkdir()
    folder.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # By its descriptor: the whole path may be longer than an address can be.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
        finally:
            os.close(descriptor)
        # The guest may be another user.
        (folder / SOCKET).chmod(0o666)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
