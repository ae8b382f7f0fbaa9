"""Another machine, as far as one machine can be two: an sshd of its own, and behind it an engine of its own
that sees neither this tree nor any folder of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.settings import ROOT
from tests.in_memory import available_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S = 60.0
ROOM_BYTES = 8 << 30
IN_MEMORY = "mkdir /mnt/data && mount -t tmpfs -o size=6g,mode=711 none /mnt/data"
"""Images and volumes of some gigabytes, which are gone with their mount: deleting them from a disk took longer
than all tests of the other host."""
ENGINE = """
set -e
mount --make-rprivate /
mount --bind {folder} /mnt
{in_memory}
for hidden in {hidden}; do mount -t tmpfs none "$hidden"; done
# In a network of its own: without a bridge, it would remove that of the machine's own engine.
exec dockerd --data-root /mnt/data --exec-root /mnt/exec --pidfile /mnt/run/docker.pid \\
    --host unix:///mnt/run/docker.sock --bridge none --iptables=false
"""
SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
PermitRootLogin yes
UsePAM no
"""
SSH = """
Host lab3
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""


@dataclass(frozen=True, kw_only=True)
class OtherHost:
    """``folder``: its engine's and its keys; ``tree``: a checkout that names it lab3; ``path``: with its ssh."""

    folder: Path
    tree: Path
    path: str

    @property
    def socket(self) -> str:
        """Return where its engine listens; for looking, not for what is tested."""
        return f"unix://{self.folder}/run/docker.sock"

    def docker(self, *words: str) -> str:
        """Ask the other engine directly; returns what it prints."""
        done = subprocess.run(
            ["docker", "-H", self.socket, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def trust(self, key: Path) -> None:
        """Have ssh know the host by this public key, and no other."""
        kind, value = key.read_text(encoding="utf-8").split()[:2]
        known = f"[127.0.0.1]:{port_of(self.folder)} {kind} {value}\n"
        (self.folder / "known_hosts").write_text(known, encoding="utf-8")


def port_of(folder: Path) -> str:
    return (folder / "port").read_text(encoding="utf-8")


@contextmanager
def other_host() -> Iterator[OtherHost]:
    """Start it, as root; everything of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="assay-host-"))
    try:
        tree = _make(folder, _free_port())
        host = OtherHost(
            folder=folder, tree=tree, path=f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        )
        host.trust(folder / "hostkey.pub")
        with _engine(folder), _sshd(folder):
            yield host
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(folder: Path, port: int) -> Path:
    for name in ("bin", "run", "home"):
        (folder / name).mkdir()
    for name in ("hostkey", "key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    texts = {
        "port": str(port),
        "sshd_config": SSHD.format(folder=folder, port=port),
        "ssh_config": SSH.format(folder=folder, port=port),
        "bin/ssh": f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "bin" / "ssh").chmod(0o755)
    tree = folder / "tree"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
    # What is tested is this tree, committed or not.
    changed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, changed):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    (tree / "assay.local.toml").write_text(
        f'[hosts.lab3]\ndocker = "ssh://lab3{folder}/run/docker.sock"\n', encoding="utf-8"
    )
    return tree


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _engine(folder: Path) -> Iterator[None]:
    hidden = [path for path in (ROOT, folder / "tree", folder / "home") if path.is_dir()]
    script = ENGINE.format(
        folder=folder,
        hidden=" ".join(map(str, hidden)),
        in_memory=IN_MEMORY if available_bytes() >= ROOM_BYTES else "",
    )
    with (folder / "engine.log").open("wb") as log:
        engine = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", script], stdout=log, stderr=log
        )
        try:
            _wait(folder / "run" / "docker.sock", engine, folder / "engine.log")
            yield
        finally:
            engine.terminate()
            engine.wait()


@contextmanager
def _sshd(folder: Path) -> Iterator[None]:
    Path("/run/sshd").mkdir(exist_ok=True)
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    with (folder / "sshd.log").open("wb") as log:
        words = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
        daemon = subprocess.Popen(words, stderr=log)
        try:
            yield
        finally:
            daemon.terminate()
            daemon.wait()


def _wait(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not path.exists():
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)
