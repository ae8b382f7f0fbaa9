"""What an environment holds of what its lock names."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from driver.stacks.install.installed import lacking
from tests.driver.wheels import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with the packages some_one and two."""
    for name in ("some_one", "two"):
        zipfile.ZipFile(make_wheel(tmp_path / "shelf", name)).extractall(tmp_path / "site")
    return tmp_path / "site"


def test_a_whole_one_lacks_nothing(site: Path) -> None:
    assert lacking(site, ["some-one", "two", "Some.One"]) == []


def test_a_package_that_is_not_there_is_named(site: Path) -> None:
    assert lacking(site, ["two", "three"]) == ["three"]


def test_metadata_without_modules_is_no_package(site: Path) -> None:
    (site / "two" / "__init__.py").unlink()
    assert lacking(site, ["two"]) == ["two"]


@pytest.mark.parametrize("damage", [b"\xff\xfe", None])
def test_a_record_that_cannot_be_read_proves_nothing(site: Path, damage: bytes | None) -> None:
    record = site / "two-1.0.dist-info" / "RECORD"
    if damage is None:
        record.unlink()
    else:
        record.write_bytes(damage)
    assert lacking(site, ["two"]) == ["two"]
