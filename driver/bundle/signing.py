"""Signs a manifest with a key of the publisher's: ``ssh-keygen -Y sign``, as labs have it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from driver.bundle.loader.signature import NAMESPACE
from driver.errors import EnvironmentFault
from driver.system.subprocesses import ChildFailed, run_child

KEY = "SIGN=<private key, such as ~/.ssh/id_ed25519>"


def require_key(key: Path) -> None:
    """Raise EnvironmentFault unless ``key`` is a key that ssh-keygen reads; it asks for no passphrase."""
    if not key.is_file():
        raise EnvironmentFault(f"the key {key} is not there", KEY)
    try:
        run_child(["ssh-keygen", "-l", "-f", str(key)])
    except FileNotFoundError:
        raise EnvironmentFault(
            "ssh-keygen is not on this machine", "install OpenSSH 8.2 or newer, or leave SIGN out"
        ) from None
    except ChildFailed as error:
        raise EnvironmentFault(f"{key} is not a key: {error.tail}", KEY) from error


def sign(manifest: bytes, key: Path) -> bytes:
    """Return the armoured signature of a manifest; an agent or ssh-keygen itself asks for a passphrase.

    ``key`` is a private key, or the public one of a key that an agent holds. Raises EnvironmentFault.
    """
    key = key.expanduser()
    require_key(key)
    with tempfile.TemporaryDirectory(prefix="assay-sign-") as folder:
        file = Path(folder) / "manifest"
        file.write_bytes(manifest)
        command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE, str(file)]
        try:
            run_child(command)
        except ChildFailed as error:
            raise EnvironmentFault(
                f"ssh-keygen could not sign with {key}: {error.tail}",
                "unlock the key in an agent (ssh-add), and name its public half, the file that ends in .pub",
            ) from error
        return Path(f"{file}.sig").read_bytes()
