"""How another host's engine is reached by ssh, and what each of its refusals advises."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from driver.errors import EnvironmentFault
from driver.runners.engine import tunnel
from driver.runners.engine.tunnel import Tunnel, folder_of_sockets, ssh_command, ssh_fault


def test_the_command_never_asks_and_notices_a_lost_host() -> None:
    words = ssh_command("ssh://me@lab3:2222", Path("/tmp/s"))
    assert words[-4:] == ["-L", "/tmp/s:/var/run/docker.sock", "--", "lab3"]
    assert {"BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=15"} <= set(words)
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("-l") + 1] == "me"


def test_a_rootless_engines_socket_is_the_urls_path() -> None:
    words = ssh_command("ssh://lab3/run/user/7/podman/podman.sock", Path("/tmp/s"))
    assert "/tmp/s:/run/user/7/podman/podman.sock" in words


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Host key verification failed.", "check the host's key"),
        ("me@lab3: Permission denied (publickey).", "ssh-copy-id -p 2222 me@lab3"),
        ("ssh: connect to host lab3 port 2222: Connection refused", "this must work: ssh -p 2222"),
    ],
)
def test_each_refusal_has_its_remedy(said: str, advice: str) -> None:
    fault = ssh_fault("ssh://me@lab3:2222", said)
    assert fault.exit_code == 3
    assert said in fault.message
    assert advice in fault.remedy


def test_an_ssh_that_fails_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(tunnel, "LONGEST_FOLDER", len(str(tmp_path)))
    with pytest.raises(EnvironmentFault, match="Host key verification failed"):
        Tunnel("ssh://lab3")
    assert [path.name for path in tmp_path.iterdir()] == ["ssh"]


@pytest.mark.parametrize("longer", [0, 1])
def test_ssh_can_bind_its_socket_wherever_temporary_files_are(
    longer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's TMPDIR has the job, the user and the host in its path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        within = Path(short, "j" * (tunnel.LONGEST_FOLDER + longer - len(short) - 1))
        within.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(within))
        folder = folder_of_sockets()
        # As OpenSSH binds it before it renames it.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/engine.sock.{'X' * 16}")
        (folder / f"engine.sock.{'X' * 16}").unlink()
        assert (folder.parent == within) == (longer == 0)
        folder.rmdir()
