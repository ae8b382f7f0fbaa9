"""Signatures, made and checked by the real ssh-keygen: unsigned, an unknown key, a known one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from driver.bundle.loader.faults import BundleFault
from driver.bundle.loader.program import main
from driver.bundle.loader.signature import check_signature, require_signature
from driver.bundle.loader.verification import open_bundle
from driver.bundle.loader.volumes import open_source
from driver.bundle.signing import sign
from driver.bundle.writer import write_bundle
from driver.errors import EnvironmentFault
from tests.driver.bundle.packing import FILES, pack, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from driver.bundle.loader.signature import Answer

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two keys, and the allowed signers that know the first."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("known", "unknown"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)],
            check=True,
        )
    public = (folder / "known.pub").read_text()
    (folder / "allowed").write_text(f'lab@example.org namespaces="assay-bundle" {public}')
    return folder


def signed(tmp_path: Path, key: Path) -> Path:
    plan = plan_of(FILES, tmp_path / "memory")
    plan = replace(plan, signature=sign(plan.manifest, key))
    out = tmp_path / "b.assay"
    write_bundle(plan, out, volume_bytes=None, on_progress=lambda _done, _total: None)
    return out


def answer(bundle: Path, allowed: Path | None) -> Answer:
    with open_source(bundle) as source:
        return check_signature(open_bundle(source), None if allowed is None else str(allowed))


def test_unsigned_unknown_and_known_are_three_answers(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "1").mkdir()
    assert str(answer(pack(tmp_path / "1" / "b.assay"), keys / "allowed")) == "unsigned"
    unknown = answer(signed(tmp_path, keys / "unknown"), keys / "allowed")
    assert str(unknown).startswith("signed by an unknown key (SHA256:")
    known = answer(signed(tmp_path, keys / "known"), keys / "allowed")
    assert str(known) == "signed by lab@example.org"


def test_without_allowed_signers_every_key_is_unknown(tmp_path: Path, keys: Path) -> None:
    assert answer(signed(tmp_path, keys / "known"), None).state == "unknown key"


def test_ssh_keygen_itself_verifies_a_bundle(tmp_path: Path, keys: Path) -> None:
    bundle = signed(tmp_path, keys / "known")
    subprocess.run(
        ["tar", "xf", bundle.name, "assay-bundle.json", "assay-bundle.json.sig"],
        cwd=tmp_path,
        check=True,
    )
    command = ["ssh-keygen", "-Y", "verify", "-f", str(keys / "allowed"), "-I", "lab@example.org"]
    with (tmp_path / "assay-bundle.json").open("rb") as manifest:
        done = subprocess.run(
            [*command, "-n", "assay-bundle", "-s", "assay-bundle.json.sig"],
            stdin=manifest,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert 'Good "assay-bundle" signature for lab@example.org' in done.stdout


def test_a_signature_beside_the_bundle_counts(tmp_path: Path, keys: Path) -> None:
    bundle = pack(tmp_path / "b.assay")
    with open_source(bundle) as source:
        manifest = open_bundle(source).manifest.raw
    bundle.with_name("b.assay.sig").write_bytes(sign(manifest, keys / "known"))
    assert answer(bundle, keys / "allowed").who == "lab@example.org"


def test_signed_bundles_of_the_same_inputs_have_the_same_bytes(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "1").mkdir()
    first = signed(tmp_path / "1", keys / "known").read_bytes()
    assert signed(tmp_path, keys / "known").read_bytes() == first


def test_every_flipped_bit_of_a_signature_is_found(tmp_path: Path, keys: Path) -> None:
    bundle = signed(tmp_path, keys / "known")
    whole = bundle.read_bytes()
    start = whole.index(b"-----BEGIN SSH SIGNATURE")
    end = whole.index(b"-----END SSH SIGNATURE-----\n", start) + 28
    missed = []
    for place in range(start, end, 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        bundle.write_bytes(damaged)
        try:
            answer(bundle, keys / "allowed")
        except BundleFault:
            continue
        missed.append(place)
    assert not missed


def test_the_signature_of_another_bundle_is_refused(tmp_path: Path, keys: Path) -> None:
    bundle = pack(tmp_path / "b.assay")
    bundle.with_name("b.assay.sig").write_bytes(sign(b"another manifest", keys / "known"))
    with pytest.raises(BundleFault, match=r"the signature is not of this bundle"):
        answer(bundle, keys / "allowed")


def test_a_signature_of_another_namespace_is_refused(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driver.bundle.signing.NAMESPACE", "file")
    bundle = signed(tmp_path, keys / "known")
    with pytest.raises(BundleFault, match=r"the signature is not of this bundle"):
        answer(bundle, keys / "allowed")


def test_require_signature_refuses_the_first_two(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "1").mkdir()
    with pytest.raises(BundleFault, match=r"is required, and the bundle is unsigned"):
        require_signature(answer(pack(tmp_path / "1" / "b.assay"), keys / "allowed"))
    with pytest.raises(
        BundleFault, match=r"is required, and the bundle is signed by an unknown key"
    ):
        require_signature(answer(signed(tmp_path, keys / "unknown"), keys / "allowed"))
    require_signature(answer(signed(tmp_path, keys / "known"), keys / "allowed"))


def test_the_program_refuses_before_it_writes(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = signed(tmp_path, keys / "unknown")
    monkeypatch.setenv("REQUIRE_SIGNATURE", "1")
    monkeypatch.setenv("ALLOWED_SIGNERS", str(keys / "allowed"))
    assert main(["load", "--into", str(tmp_path / "here")], bundle=str(bundle)) == 3
    assert "a signature by a known key is required" in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


def test_without_ssh_keygen_a_signature_is_not_checked_and_does_not_count(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = signed(tmp_path, keys / "known")
    monkeypatch.setenv("PATH", "/nonexistent")
    found = answer(bundle, keys / "allowed")
    assert found.state == "not checked"
    with pytest.raises(BundleFault, match=r"is required"):
        require_signature(found)


def test_a_missing_file_of_allowed_signers_and_a_missing_key_are_said(
    tmp_path: Path, keys: Path
) -> None:
    with pytest.raises(BundleFault, match=r"allowed signers .* is not there"):
        answer(signed(tmp_path, keys / "known"), tmp_path / "nobody")
    with pytest.raises(EnvironmentFault, match=r"the key .*nokey is not there"):
        sign(b"", tmp_path / "nokey")


@pytest.mark.parametrize(
    ("old", "new"), [(b"\n", b"\r\n"), (b"-----END", b"\n-----END"), (b"U1NI", b"U1NI ")]
)
def test_a_signature_in_another_spelling_is_damaged(
    tmp_path: Path, keys: Path, old: bytes, new: bytes
) -> None:
    bundle = pack(tmp_path / "b.assay")
    with open_source(bundle) as source:
        signature = sign(open_bundle(source).manifest.raw, keys / "known")
    bundle.with_name("b.assay.sig").write_bytes(signature.replace(old, new))
    with pytest.raises(BundleFault, match=r"the bundle's signature is damaged"):
        answer(bundle, keys / "allowed")
