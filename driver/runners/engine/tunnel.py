"""An ssh connection that brings the engine's socket of another host here."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from driver.errors import EnvironmentFault
from driver.system.untrusted.opener import Source, read

DOCKER_SOCKET = "/var/run/docker.sock"
PATIENCE_S = 30.0
LOG = "log"
LOG_BYTES = 1 << 20
OPTIONS = {
    # A question would wait for ever where nobody types.
    "BatchMode": "yes",
    "ExitOnForwardFailure": "yes",
    "ConnectTimeout": "15",
    # A host that is gone is noticed after 45 s.
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
    "StreamLocalBindMask": "0177",
}

LONGEST_FOLDER = 107 - len("/assay-ssh-12345678/engine.sock") - len(".1234567890123456")
"""Bytes of what a socket's folder may be in: sun_path of unix(7), and the name that ssh binds before it renames it."""

_open: dict[str, Tunnel] = {}


class Tunnel:
    """One ssh process with the engine's socket forwarded to ``address``.

    The system's own ssh: its configuration, keys, agents, jump hosts and known hosts apply. The Docker
    SDK's ssh needs paramiko, which knows few of them, and opens a connection for every request.
    """

    def __init__(self, url: str) -> None:
        """Connect. ``url``: ssh://[user@]host[:port][/path of the socket]. Raises EnvironmentFault."""
        self._folder = folder_of_sockets()
        self._url = url
        self.address = f"unix://{self._folder / 'engine.sock'}"
        with (self._folder / LOG).open("wb") as log:
            self._ssh = subprocess.Popen(
                ssh_command(url, self._folder / "engine.sock"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the driver, which still has to clean up there.
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the connection is still there."""
        return self._ssh.poll() is None

    def said(self) -> str:
        """Return the last line of ssh's messages, "" for none."""
        lines = (
            read(self._folder, LOG, LOG_BYTES, source=Source.USER)
            .decode(errors="replace")
            .split("\n")
        )
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._ssh.pid, signal.SIGTERM)
        self._ssh.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        path = self.address.removeprefix("unix://")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if not self.alive:
                raise ssh_fault(self._url, self.said())
            with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
                door.connect(path)
                return
            time.sleep(0.05)
        raise ssh_fault(self._url, f"no answer within {PATIENCE_S:.0f} s")


def folder_of_sockets() -> Path:
    """Return a new folder for a socket and for ssh's draft of it: below TMPDIR, in /tmp where that is too long."""
    within = tempfile.gettempdir()
    is_short = len(os.fsencode(within)) <= LONGEST_FOLDER
    return Path(tempfile.mkdtemp(prefix="assay-ssh-", dir=within if is_short else "/tmp"))


def ssh_command(url: str, local: Path) -> list[str]:
    """Return the ssh command that forwards the engine's socket of ``url`` to ``local``."""
    parts = urlsplit(url)
    options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
    port = ["-p", str(parts.port)] if parts.port else []
    user = ["-l", parts.username] if parts.username else []
    remote = parts.path if parts.path.strip("/") else DOCKER_SOCKET
    return [
        "ssh",
        "-N",
        "-T",
        *options,
        *port,
        *user,
        "-L",
        f"{local}:{remote}",
        "--",
        str(parts.hostname),
    ]


def ssh_fault(url: str, said: str) -> EnvironmentFault:
    """Return the error for a host that ssh does not reach, by its last message."""
    parts = urlsplit(url)
    port = f" -p {parts.port}" if parts.port else ""
    there = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    if "verification failed" in said or "IDENTIFICATION HAS CHANGED" in said:
        remedy = (
            f"check the host's key, then: ssh{port} {there}   (or ssh-keygen -R {parts.hostname})"
        )
    elif "Permission denied" in said:
        remedy = f"ssh must work without a password: ssh-copy-id{port} {there}"
    else:
        remedy = f"this must work: ssh{port} {there} docker version"
    return EnvironmentFault(
        f"ssh does not reach {url}: {said or 'it ended without a word'}", remedy
    )


def tunnel_to(url: str) -> Tunnel:
    """Return this process's connection to a host, opened where there is none or it was lost."""
    found = _open.get(url)
    if found is not None and found.alive:
        return found
    if found is not None:
        found.close()
    else:
        atexit.register(lambda: _open[url].close() if url in _open else None)
    _open.pop(url, None)
    _open[url] = Tunnel(url)
    return _open[url]
