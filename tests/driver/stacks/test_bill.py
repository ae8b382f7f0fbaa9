"""Bills of materials: valid CycloneDX, the same bytes for the same stack, everything by digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from driver.catalog.catalog import load_catalog
from driver.runners.spec import InstalledStack
from driver.stacks.bill import bill_path, kept_bill, sbom_of
from driver.stacks.installer import Installation
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.hashing import file_sha256
from tests.documents import sha
from tests.driver.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

CATALOG = load_catalog(Path(__file__).resolve().parents[3])
STACK = CATALOG.vendors["cpu"].stacks["ort1.31-torch2.13"]
TORCH = "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
ENVIRONMENT = {
    "kind": "environment",
    "python": "3.11.7",
    "lock_sha256": sha("lock"),
    "wheels": {TORCH: sha("torch"), "numpy-2.4.6-py3-none-any.whl": sha("numpy")},
}
IMAGE = {
    "kind": "image",
    "image_id": f"sha256:{sha('image')}",
    "base": "docker.io/library/python:3.11",
    "base_digest": f"sha256:{sha('base')}",
    "wheels": {TORCH: sha("torch")},
    "installers": {"sdk.run": sha("sdk")},
}
FOUND = {"kind": "found", "python": "3.11.7", "sha256": sha("f"), "packages": {"torch": "2.0"}}


def bill(made_of: Mapping[str, object], home: Path) -> bytes:
    installed = Installation(stack=InstalledStack(), provenance=made_of)
    return sbom_of(STACK, installed, Wheelhouse(home))


def parts(made_of: Mapping[str, object], home: Path) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(bill(made_of, home))["components"]}


@pytest.mark.parametrize("made_of", [ENVIRONMENT, IMAGE, FOUND], ids=lambda one: one["kind"])
def test_a_bill_keeps_the_published_schema_and_has_one_spelling(
    made_of: dict[str, object], tmp_path: Path
) -> None:
    text = bill(made_of, tmp_path)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None
    assert bill(dict(reversed(made_of.items())), tmp_path) == text
    assert b"timestamp" not in text


def test_packages_have_versions_addresses_and_digests(tmp_path: Path) -> None:
    torch = parts(ENVIRONMENT, tmp_path)["torch"]
    assert torch["version"] == "2.13.0+cpu"
    assert torch["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert torch["hashes"] == [{"alg": "SHA-256", "content": sha("torch")}]


def test_the_base_and_the_installers_of_an_image_are_in_its_bill(tmp_path: Path) -> None:
    found = parts(IMAGE, tmp_path)
    assert found["docker.io/library/python:3.11"]["hashes"][0]["content"] == sha("base")
    assert found["sdk.run"]["hashes"][0]["content"] == sha("sdk")


def test_one_other_digest_is_another_bill_with_another_serial_number(tmp_path: Path) -> None:
    other = {**ENVIRONMENT, "wheels": {TORCH: sha("another torch")}}
    serials = {json.loads(bill(one, tmp_path))["serialNumber"] for one in (ENVIRONMENT, other)}
    assert len(serials) == 2


def test_a_licence_is_that_of_exactly_the_wheel(tmp_path: Path) -> None:
    house = Wheelhouse(tmp_path)
    house.folder.mkdir(parents=True)
    wheel = make_wheel(house.folder, "tiny", licence="Apache-2.0")
    mine = {"kind": "environment", "wheels": {wheel.name: file_sha256(wheel)}}
    assert parts(mine, tmp_path)["tiny"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    foreign = {"kind": "environment", "wheels": {wheel.name: sha("another")}}
    assert "licenses" not in parts(foreign, tmp_path)["tiny"]


def test_a_bill_is_kept_by_its_digest_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Installation(stack=InstalledStack(), provenance=ENVIRONMENT)
    digest = kept_bill(STACK, installed, tmp_path)
    assert file_sha256(bill_path(tmp_path, digest)) == digest
    monkeypatch.setattr("driver.stacks.bill.sbom_of", None)
    assert kept_bill(STACK, installed, tmp_path) == digest
