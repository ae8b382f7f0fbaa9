"""Answers the driver whenever it asks for the time, so that it can hold the loops to its own clock.

The driver listens at ``clock/socket`` of the job folder where its runner can have that. It sends ``?``; the answer is
a line: the clock in nanoseconds, and the loop that runs (``-`` for none). ``!`` asks it to ask now.
"""

import contextlib
import os
import pathlib
import socket
import threading
from typing import Optional

from harness import clock

FOLDER, NAME = "clock", "socket"
NO_LOOP = "-"
#: A loop began or ended while the clock was read: the answer does not say which.
CHANGING = "~"


class TimeAnswers:
    """Answers in a thread of its own until the driver is gone; does nothing where no driver listens."""

    def __init__(self, job_folder: pathlib.Path) -> None:
        self._loop = NO_LOOP
        self._driver = _connected(job_folder / FOLDER)
        if self._driver is not None:
            threading.Thread(target=self._answer, name="clock", daemon=True).start()

    def loop_began(self, name: str) -> None:
        """Say from now on that ``name`` runs; call it when its clock has started."""
        self._loop = name
        self._call_for_question()

    def loop_ended(self) -> None:
        """Say from now on that no loop runs."""
        self._loop = NO_LOOP
        self._call_for_question()

    def _call_for_question(self) -> None:
        if self._driver is None:
            return
        try:
            self._driver.send(b"!\n", socket.MSG_DONTWAIT)
        except OSError:
            return  # it asks in a moment anyway, or is gone

    def _answer(self) -> None:
        assert self._driver is not None
        with self._driver as driver, contextlib.suppress(OSError):
            while driver.recv(1):
                before = self._loop
                now_ns = clock.now_ns()
                name = before if before == self._loop else CHANGING
                driver.sendall("{} {}\n".format(now_ns, name).encode("ascii"))


def _connected(folder: pathlib.Path) -> Optional[socket.socket]:
    """A connection to the driver; None where there is no socket, or a file system that has none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # By its descriptor: the whole path may be longer than an address can be.
        descriptor = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect("/proc/self/fd/{}/{}".format(descriptor, NAME))
        finally:
            os.close(descriptor)
    except OSError:
        connection.close()
        return None
    return connection
