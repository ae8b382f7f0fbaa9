"""Rootless Podman of an ordinary user, and programs that run as that user."""

from __future__ import annotations

import os
import pwd
import shutil
import site
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CGROUPS = Path("/sys/fs/cgroup")
PYTHONS = (sys.executable, "/usr/bin/python3")
RUNTIME_FOR_V1 = '[engine]\nruntime = "runc"\n'
"""crun refuses cgroups v1 beside v2 (hybrid), as containers in a CI machine may have them."""

START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Rootless:
    """A user's Podman: where it listens, and how to run something as its user."""

    user: pwd.struct_passwd
    folder: Path
    socket: str

    def run(self, argv: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, with the engine in DOCKER_HOST; returns its output."""
        return subprocess.run(
            self.command(argv, DOCKER_HOST=self.socket, **env),
            cwd=ROOT,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def python(self, argv: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run this tree's Python code as the user, who may not be able to use this interpreter."""
        paths = os.pathsep.join([str(ROOT), *site.getsitepackages()])
        own = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        return self.run([self._interpreter(), *argv], **own, **env)

    def _interpreter(self) -> str:
        for python in PYTHONS:
            code = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
            if self.run([python, "-I", "-c", code]).returncode == 0:
                return python
        raise AssertionError(f"{self.user.pw_name} can use none of {PYTHONS}")

    def command(self, argv: Sequence[str], **env: str) -> list[str]:
        """Return the command that runs ``argv`` as the user, in an environment of its own."""
        own = {
            "HOME": self.user.pw_dir,
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            **env,
        }
        words = ["env", "-i", *(f"{name}={value}" for name, value in own.items()), *argv]
        if os.geteuid() == self.user.pw_uid:
            return words
        ids = [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--init-groups"]
        return ["setpriv", *ids, *words]


@contextmanager
def running(user: pwd.struct_passwd) -> Iterator[Rootless]:
    """Start Podman's service for the user, in a folder of its own, and stop it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="assay-podman-"))
    try:
        if _has_cgroups_v1():
            (folder / "containers.conf").write_text(RUNTIME_FOR_V1, encoding="utf-8")
        else:
            (folder / "containers.conf").touch()
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        socket = folder / "podman.sock"
        podman = Rootless(user=user, folder=folder, socket=f"unix://{socket}")
        with _service(podman, socket):
            yield podman
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _service(podman: Rootless, socket: Path) -> Iterator[None]:
    words = ["podman", "system", "service", "--time", "0", podman.socket]
    with (podman.folder / "service.log").open("wb") as log:
        service = subprocess.Popen(podman.command(words), stdout=log, stderr=log, cwd="/")
        try:
            deadline = time.monotonic() + START_S
            while not socket.exists():
                if service.poll() is not None or time.monotonic() > deadline:
                    said = (podman.folder / "service.log").read_text(encoding="utf-8")
                    raise AssertionError(f"Podman's service did not start: {said}")
                time.sleep(0.05)
            yield
        finally:
            service.terminate()
            service.wait()
            # The process that keeps the user's namespaces.
            subprocess.run(podman.command(["podman", "system", "migrate"]), check=False, cwd="/")


def _has_cgroups_v1() -> bool:
    return not (CGROUPS / "cgroup.controllers").exists()
