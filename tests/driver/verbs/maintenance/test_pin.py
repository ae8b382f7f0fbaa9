"""Pinning a base image or an installer changes one line of stack.toml and nothing else."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault
from driver.verbs.maintenance.pin import with_digest, with_sha256
from tests.driver.doctor.test_probe import private_vendor
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "ab" * 32
TEXT = """schema = "assay/stack/1"

[base]
image = "registry/base:1"  # for people
source = "somewhere"

[versions]
digest = "not this one"
"""


def test_a_digest_is_written_only_to_the_base_table() -> None:
    pinned = tomllib.loads(with_digest(TEXT, DIGEST))
    assert pinned["base"] == {"image": "registry/base:1", "source": "somewhere", "digest": DIGEST}
    assert pinned["versions"]["digest"] == "not this one"


def test_pinning_again_replaces_the_digest() -> None:
    once = with_digest(TEXT, DIGEST)
    other = "sha256:" + "cd" * 32
    assert with_digest(once, other) == once.replace(DIGEST, other)


def test_a_manifest_without_a_base_is_refused() -> None:
    with pytest.raises(EnvironmentFault):
        with_digest("[versions]\n", DIGEST)


INSTALLERS = """
# The toolkit.
[[installers]]
file = "a.run"  # as its maker names it
source = "acme.example [downloads]"

[[installers]]
file = "b.tar"
sha256 = "{old}"
source = "acme.example"

[extra]
sha256 = "not this one"
"""


def test_the_sha256_of_an_installer_is_written_to_its_own_table() -> None:
    text = TEXT + INSTALLERS.format(old="0" * 64)
    pinned = with_sha256(with_sha256(text, "a.run", "a" * 64), "b.tar", "b" * 64)
    found = tomllib.loads(pinned)
    assert [one["sha256"] for one in found["installers"]] == ["a" * 64, "b" * 64]
    assert found["extra"] == {"sha256": "not this one"}
    assert len(pinned.splitlines()) == len(text.splitlines()) + 1
    assert "# as its maker names it" in pinned
    with pytest.raises(EnvironmentFault, match=r"c\.run"):
        with_sha256(text, "c.run", "c" * 64)


def test_installers_are_pinned_without_a_registry_or_an_engine(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    manifest = vendor / "images" / "v1" / "stack.toml"
    manifest.write_text(
        manifest.read_text() + INSTALLERS.partition("[extra]")[0].format(old="0" * 64)
    )
    folder = tmp_path / "installers"
    folder.mkdir()
    (folder / "a.run").write_bytes(b"release 1")
    done = assay(
        *("pin", "--vendor", "acme", "--stack", "v1"),
        home=tmp_path / "home",
        VENDOR_PATH=str(vendor),
        INSTALLERS=str(folder),
        DOCKER_HOST=f"unix://{tmp_path}/none.sock",
    )
    assert done.returncode == 3, "no engine, so no base is pinned"
    pins = [one.get("sha256") for one in tomllib.loads(manifest.read_text())["installers"]]
    assert pins == [hashlib.sha256(b"release 1").hexdigest(), "0" * 64]
    assert "b.tar is not in" in done.stderr
