"""Signatures by ``ssh-keygen -Y``: unsigned, signed by an unknown key, or signed by a known one."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

from .faults import COPY_AGAIN, BundleFault
from .verification import SIGNATURE_LIMIT, Opened

NAMESPACE = "assay-bundle"
UNSIGNED, UNKNOWN, KNOWN, UNCHECKED = "unsigned", "unknown key", "known key", "not checked"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_WIDTH = 70
_TIMEOUT_S = 30


class Answer(NamedTuple):
    """What is known of a bundle's signature: ``state``, and the signer's name or the key's fingerprint."""

    state: str
    who: Optional[str] = None

    def __str__(self) -> str:
        """Return it in words."""
        if self.state == KNOWN:
            return f"signed by {self.who}"
        if self.state == UNKNOWN:
            return f"signed by an unknown key ({self.who})"
        if self.state == UNCHECKED:
            return "signed, but this machine has no ssh-keygen (OpenSSH 8.2 or newer) to check it"
        return "unsigned"


def check_signature(opened: Opened, allowed_signers: str | None) -> Answer:
    """Return whose signature a bundle has; BundleFault for one that is not of this manifest.

    ``allowed_signers`` is a file as ``ssh-keygen`` reads it. A signature stands in the bundle, or
    beside it in ``<bundle>.sig``.
    """
    signature = opened.signature
    beside = opened.source.path.with_name(f"{opened.source.path.name}.sig")
    if signature is None and beside.is_file():
        with beside.open("rb") as stream:
            signature = stream.read(SIGNATURE_LIMIT)
    if allowed_signers is not None and not Path(allowed_signers).is_file():
        raise BundleFault(
            f"the file of allowed signers {allowed_signers} is not there",
            "ALLOWED_SIGNERS=<file with lines such as `lab@example.org ssh-ed25519 AAAA…`>",
        )
    if signature is None:
        return Answer(UNSIGNED)
    _require_spelling(signature)
    if shutil.which("ssh-keygen") is None:
        return Answer(UNCHECKED)
    with tempfile.TemporaryDirectory(prefix="assay-signature-") as folder:
        file = Path(folder) / "manifest.sig"
        file.write_bytes(signature)
        return _ask(str(file), opened.manifest.raw, allowed_signers)


def require_signature(answer: Answer) -> None:
    """Raise BundleFault unless a bundle is signed by a known key (REQUIRE_SIGNATURE=1)."""
    if answer.state != KNOWN:
        raise BundleFault(
            f"a signature by a known key is required, and the bundle is {answer}",
            "ALLOWED_SIGNERS=<file that has the publisher's key>, or ask for a signed bundle",
        )


def _ask(file: str, manifest: bytes, allowed_signers: str | None) -> Answer:
    code, text = _keygen(["check-novalidate", "-s", file], manifest)
    if code != 0:
        raise BundleFault(
            f"the signature is not of this bundle: {text or 'ssh-keygen refuses it'}",
            "do not use it; " + COPY_AGAIN,
        )
    fingerprint = next((word for word in text.split() if word.startswith("SHA256:")), text)
    if allowed_signers is None:
        return Answer(UNKNOWN, fingerprint)
    code, text = _keygen(["find-principals", "-s", file, "-f", allowed_signers], manifest)
    for who in text.splitlines() if code == 0 else []:
        words = ["verify", "-s", file, "-f", allowed_signers, "-I", who]
        if _keygen(words, manifest)[0] == 0:
            return Answer(KNOWN, who)
    return Answer(UNKNOWN, fingerprint)


def _keygen(words: list[str], manifest: bytes) -> tuple[int, str]:
    command = ["ssh-keygen", "-Y", words[0], "-n", NAMESPACE] + words[1:]
    try:
        done = subprocess.run(
            command,
            input=manifest,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleFault(
            f"ssh-keygen cannot check the signature: {error}", "see it by hand"
        ) from None
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def _require_spelling(signature: bytes) -> None:
    """Raise BundleFault for an armour that ssh-keygen would not write: a flipped bit is none of a lab's."""
    try:
        lines = signature.decode("ascii").splitlines()
        body = base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        body = b""
    text = base64.b64encode(body).decode("ascii")
    rows = [text[place : place + _WIDTH] for place in range(0, len(text), _WIDTH)]
    spelled = "\n".join([_BEGIN] + rows + [_END]) + "\n"
    if not body or spelled.encode("ascii") != signature:
        raise BundleFault("the bundle's signature is damaged", COPY_AGAIN)
