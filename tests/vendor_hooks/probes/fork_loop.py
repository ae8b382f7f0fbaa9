"""Serves requests on a Unix socket, each by a fork of this process: for the processes of a test run, many at once.

A connection has one request, a line of JSON. It is answered with the fork's process id, and when that has ended with its
exit status and the processor seconds that it and its children used, a line each. Who closes the connection before ends
the fork. The server ends with the process that it was started for, and ends its forks then.
"""

import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback

#: For a request to arrive, seconds: others wait meanwhile.
ARRIVES_WITHIN_S = 10.0


class Server:
    """Forks; ``run(request)`` returns a fork's exit status, ``prepare(request)`` is called before it is made."""

    def __init__(self, address, served, run, prepare=None):
        self._run, self._prepare = run, prepare or (lambda asked: None)
        self._waiting = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._ended, self._wake = os.pipe()
        os.set_blocking(self._ended, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
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
            for pid, connection in self._waiting.items():
                if connection in ready:
                    _kill(pid)
            if self._listener in ready:
                # What one asks for, or cannot have, is nobody else's matter.
                try:
                    self._accept()
                except Exception:
                    traceback.print_exc()
        for pid in self._waiting:
            _kill(pid)

    def _answer(self):
        for pid, connection in list(self._waiting.items()):
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                code, seconds = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
                self._say(connection, f"{code} {seconds}")
                self._selector.unregister(connection)
                connection.close()
                del self._waiting[pid]

    def _accept(self):
        connection, _ = self._listener.accept()
        try:
            connection.settimeout(ARRIVES_WITHIN_S)
            with connection.makefile() as lines:
                asked = json.loads(lines.readline())
            self._prepare(asked)
            child = os.fork()
        except BaseException:
            connection.close()
            raise
        if child == 0:
            self._become(asked, connection)
        self._waiting[child] = connection
        self._selector.register(connection, selectors.EVENT_READ)
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
        for one in (self._ended, self._wake, self._served):
            os.close(one)
        status = 1
        try:
            status = self._run(asked)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def serve(address, served, run, prepare=None):
    """Serve on the socket ``address`` for the process ``served``, as nobody's child.

    When that begins, the processor seconds that were used until then are a line of standard output. Whoever started this
    may end all of its descendants at any time, as a runner does; forks are others' too.
    """
    server = Server(address, int(served), run, prepare)
    if os.fork():
        os._exit(0)
    os.setsid()
    used = resource.getrusage(resource.RUSAGE_SELF)
    os.write(1, f"{used.ru_utime + used.ru_stime}\n".encode())
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    server.serve()
