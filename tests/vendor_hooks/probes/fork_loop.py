"""Serves requests on a Unix socket, each by a fork of this process: for the processes of a test run, many at once.

A connection has one request, a line of JSON. It is answered with the fork's process id, and when that has ended with its
exit status and the processor seconds that it and its children used, a line each. The server ends with the process that
it was started for, and ends its forks then.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback


class Server:
    """Forks; ``run(request)`` returns a fork's exit status, ``prepare(request)`` is called before it is made."""

    def __init__(self, address, served, run, prepare=None):
        self._run, self._prepare = run, prepare or (lambda asked: None)
        self._waiting = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._ended, wake = os.pipe()
        os.set_blocking(self._ended, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._served = os.pidfd_open(served)
        self._selector = selectors.DefaultSelector()
        for source in (self._listener, self._ended, self._served):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self):
        """Serve until the process that this is for has ended."""
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._served in ready:
                break
            with contextlib.suppress(BlockingIOError):
                os.read(self._ended, 1 << 12)
            self._answer()
            if self._listener in ready:
                self._accept()
        for pid in self._waiting:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _answer(self):
        for pid, connection in list(self._waiting.items()):
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                code, seconds = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
                self._say(connection, f"{code} {seconds}")
                connection.close()
                del self._waiting[pid]

    def _accept(self):
        connection, _ = self._listener.accept()
        with connection.makefile() as lines:
            line = lines.readline()
        if not line:
            connection.close()
            return
        asked = json.loads(line)
        self._prepare(asked)
        child = os.fork()
        if child == 0:
            self._become(asked, connection)
        self._waiting[child] = connection
        self._say(connection, child)

    def _say(self, connection, words):
        # Who asked may have gone.
        with contextlib.suppress(OSError):
            connection.sendall(f"{words}\n".encode())

    def _become(self, asked, connection):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        self._selector.close()
        for one in (self._listener, connection, *self._waiting.values()):
            one.close()
        os.close(self._ended)
        os.close(self._served)
        status = 1
        try:
            status = self._run(asked)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve(address, served, run, prepare=None):
    """Serve on the socket ``address`` for the process ``served``; say on standard output when that begins."""
    server = Server(address, int(served), run, prepare)
    os.write(1, b"ready\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    server.serve()
