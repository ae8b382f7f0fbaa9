"""The record of a cached folder: whatever changes in it is found, and named."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from driver.system.hashing import remembered_sha256
from driver.system.untrusted import record
from tests.driver.damage import DAMAGE, flip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "models" / "abc"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(b"onnx" * 1000)
    (folder / "report.json").write_text("{}")
    record.write_record(folder, tmp_path / "memory")
    return folder


def damaged(folder: Path, *, thorough: bool = False) -> list[str]:
    return record.damaged(folder, folder.parents[2] / "memory", thorough=thorough)


def test_a_whole_folder_is_whole(kept: Path) -> None:
    assert damaged(kept) == []
    (kept / "later").write_bytes(b"a tactic")
    assert damaged(kept) == [], "what is added later is not recorded, and not asked for"


def to_a_link_to_the_same_bytes(path: Path) -> None:
    path.rename(path.parent / "x")
    path.symlink_to("x")


def longer(path: Path) -> None:
    os.truncate(path, 5000)


def gone(path: Path) -> None:
    path.unlink()


ALL_DAMAGE = DAMAGE | {
    "longer": longer,
    "gone": gone,
    "a link to the same bytes": to_a_link_to_the_same_bytes,
}


@pytest.mark.parametrize("name", ALL_DAMAGE)
@pytest.mark.parametrize("file", ["model/model.onnx", "report.json"])
def test_every_damage_is_found_and_named(kept: Path, name: str, file: str) -> None:
    ALL_DAMAGE[name](kept / file)
    assert damaged(kept) == [file]


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_record_damages_the_folder(kept: Path, name: str) -> None:
    DAMAGE[name](kept / record.RECORD)
    assert damaged(kept)


def test_a_large_file_is_read_again_only_if_it_was_written_or_thoroughly(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "SMALL_BYTES", 0)
    assert damaged(kept) == []
    path = kept / "model" / "model.onnx"
    # As a disk that forgets a bit: no time changes. Only a change of the remembered note imitates it.
    real = path.read_bytes()
    flip(path)
    assert damaged(kept) == ["model/model.onnx"], "its times say that it was written"
    path.write_bytes(real)
    assert damaged(kept, thorough=True) == []


def test_a_bit_that_flips_without_a_change_of_times_is_found_thoroughly(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note that such a file leaves behind: its new bytes, remembered with the old digest."""
    monkeypatch.setattr(record, "SMALL_BYTES", 0)
    path = kept / "model" / "model.onnx"
    old = sha256(path.read_bytes()).hexdigest()
    flip(path)
    assert damaged(kept) == ["model/model.onnx"]
    new = sha256(path.read_bytes()).hexdigest()
    check = sha256(old.encode()).hexdigest()[:8]
    for note in (kept.parents[2] / "memory").rglob("*"):
        if note.is_file() and note.read_text().startswith(new):
            note.write_text(f"{old} {check}")
    assert damaged(kept) == []
    assert damaged(kept, thorough=True) == ["model/model.onnx"]


def test_a_damaged_note_is_no_damaged_file(tmp_path: Path) -> None:
    path, memory = tmp_path / "weights", tmp_path / "memory"
    path.write_bytes(b"weights")
    digest = remembered_sha256(path, memory)
    (note,) = (one for one in memory.rglob("*") if one.is_file())
    flip(note)
    assert remembered_sha256(path, memory) == digest


def test_a_digest_that_cannot_be_remembered_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    (tmp_path / "memory").write_text("a file where a folder should be")
    assert len(remembered_sha256(path, tmp_path / "memory")) == 64
