"""What goes to another host and comes back: nothing through links, nothing odd, nothing out of its folder."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from driver.errors import ContractFault, EnvironmentFault
from driver.runners.remote.parcels import content_digest, packed, unpack
from driver.runners.remote.runner import require_architecture

if TYPE_CHECKING:
    from pathlib import Path


def nothing() -> None:
    pass


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        return {entry.name: entry for entry in read}


def test_inputs_arrive_as_roots_and_read_only(tmp_path: Path) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "hook").write_text("#!/bin/sh\n")
    (tmp_path / "hook" / "hook").chmod(0o755)
    with packed([("hook", tmp_path / "hook")]) as archive:
        found = members(archive.read())
    assert (found["hook"].mode, found["hook/hook"].mode, found["hook/hook"].uid) == (
        0o555,
        0o555,
        0,
    )


def test_what_the_stage_writes_to_is_its_users(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    with packed([("out", tmp_path)], owner=10001) as archive:
        found = members(archive.read())
    assert {entry.uid for entry in found.values()} == {10001}
    assert (found["out"].mode, found["out/old"].mode) == (0o755, 0o644)


def test_of_a_hidden_folder_only_the_name_travels(tmp_path: Path) -> None:
    (tmp_path / "images" / "7").mkdir(parents=True)
    (tmp_path / "task.py").touch()
    with packed([("case", tmp_path)], masks=("case/images",)) as archive:
        assert members(archive.read()).keys() == {"case", "case/images", "case/task.py"}


def test_links_of_the_users_travel_as_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("1")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.bin").symlink_to(tmp_path / "hub")
    with packed([("weights", tmp_path / "weights")]) as archive:
        assert members(archive.read())["weights/model.bin"].isreg()


@pytest.mark.parametrize("target", ["cache", "model", "golden", "out"])
def test_a_link_in_what_a_guest_wrote_sends_no_file_of_this_host(
    tmp_path: Path, target: str
) -> None:
    (tmp_path / "secret").write_text("mine")
    folder = tmp_path / target
    folder.mkdir()
    (folder / "trace").symlink_to(tmp_path / "secret")
    with packed([(target, folder)]) as archive, packed([(".", folder)]) as itself:
        assert members(archive.read()).keys() == {target}
        assert members(itself.read()).keys() == {"."}
    empty = content_digest(folder, tmp_path / "memory")
    (tmp_path / "secret").write_text("changed")
    assert content_digest(folder, tmp_path / "memory") == empty


def test_a_changed_byte_is_another_content(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a").write_text("1")
    before = content_digest(folder, tmp_path / "memory")
    assert content_digest(folder, tmp_path / "memory") == before
    (folder / "a").write_text("22")
    assert content_digest(folder, tmp_path / "memory") != before


def archive_of(*entries: tarfile.TarInfo, content: bytes = b"") -> list[bytes]:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    whole = file.getvalue()
    return [whole[start : start + 700] for start in range(0, len(whole), 700)]


def entry(name: str, kind: bytes = tarfile.REGTYPE, leads_to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, leads_to
    return found


def test_what_came_back_is_files_of_the_callers(tmp_path: Path) -> None:
    chunks = archive_of(entry("out/d", tarfile.DIRTYPE), entry("out/d/report.json"), content=b"{}")
    unpack(chunks, tmp_path, nothing)
    file = tmp_path / "d" / "report.json"
    assert (file.read_bytes(), file.stat().st_uid) == (b"{}", os.geteuid())


@pytest.mark.parametrize(
    "odd",
    [
        entry("out/x", tarfile.SYMTYPE, "/etc/passwd"),
        entry("out/x", tarfile.LNKTYPE, "out/y"),
        entry("out/x", tarfile.FIFOTYPE),
        entry("out/x", tarfile.CHRTYPE),
        entry("out/../../x"),
        entry("/out/x"),
    ],
    ids=["link", "second name", "pipe", "device", "above", "absolute"],
)
def test_anything_but_a_file_below_the_folder_is_refused(
    tmp_path: Path, odd: tarfile.TarInfo
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with pytest.raises(ContractFault, match="the stage left"):
        unpack(archive_of(odd), folder, nothing)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b"]


def test_no_file_is_written_through_a_link_that_is_there(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        unpack(archive_of(entry("out/report.json"), content=b"{}"), tmp_path / "out", nothing)
    assert target.read_text() == "mine"


def test_the_quota_is_enforced_while_bytes_arrive(tmp_path: Path) -> None:
    def look() -> None:
        raise ContractFault("too much", "write less")

    with pytest.raises(ContractFault, match="too much"):
        unpack(archive_of(entry("out/big"), content=bytes(20 << 20)), tmp_path, look)
    assert (tmp_path / "big").stat().st_size < 12 << 20


def test_another_architecture_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(EnvironmentFault, match="lab3 is a aarch64"):
        require_architecture("lab3", {"Architecture": "aarch64"}, "x86_64")
    require_architecture("lab3", {"Architecture": "amd64"}, "x86_64")
