"""What a guest may leave under the name of a file, and what becomes of it: nothing of the host is read."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.system.untrusted import opener
from driver.system.untrusted.opener import ROOT_STAND_IN, RefusedFile, Source

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1000


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(b"inner")
    (tmp_path / "secret").write_bytes(b"of the host")
    return folder


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def sparse_at(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda path: path.symlink_to("../secret"), "a symbolic link"),
    "absolute link": (lambda path: path.symlink_to("/etc/shadow"), "a symbolic link"),
    "link to an endless device": (lambda path: path.symlink_to("/dev/zero"), "a symbolic link"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "a symbolic link"),
    "pipe": (os.mkfifo, "a pipe"),
    "socket": (socket_at, "a socket"),
    "folder": (Path.mkdir, "a folder"),
    "hard link": (lambda path: path.hardlink_to(path.parents[1] / "secret"), "a hard link"),
    "too large": (lambda path: path.write_bytes(bytes(LIMIT + 1)), "1,001 bytes"),
    "sparse": (sparse_at, "bytes, more"),
}


@pytest.mark.parametrize("name", ODD)
def test_anything_but_a_small_file_of_its_own_is_refused_at_once(out: Path, name: str) -> None:
    make, said = ODD[name]
    make(out / "odd")
    with pytest.raises(RefusedFile, match=said):
        opener.read(out, "odd", LIMIT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices and gives files away")
def test_devices_and_files_of_strangers_are_refused(out: Path) -> None:
    os.mknod(out / "zero", 0o20666, os.makedev(1, 5))
    with pytest.raises(RefusedFile, match="a device"):
        opener.read(out, "zero", LIMIT)
    (out / "theirs").write_bytes(b"")
    os.chown(out / "theirs", 4242, 4242)
    with pytest.raises(RefusedFile, match="belongs to user 4242"):
        opener.read(out, "theirs", LIMIT)
    os.chown(out / "theirs", ROOT_STAND_IN, ROOT_STAND_IN)
    assert opener.read(out, "theirs", LIMIT) == b""


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "inner/../../secret", "", ".", "a\0b"]
)
def test_no_name_leads_out_of_its_folder(out: Path, name: str) -> None:
    with pytest.raises(RefusedFile):
        opener.read(out, name, LIMIT)


def test_no_folder_on_the_way_is_a_link(out: Path, tmp_path: Path) -> None:
    assert opener.read(out, "inner/file", LIMIT) == b"inner"
    (out / "way").symlink_to(out / "inner")
    with pytest.raises(RefusedFile):
        opener.read(out, "way/file", LIMIT)
    (tmp_path / "other").symlink_to(out)
    with pytest.raises(RefusedFile):
        opener.read(tmp_path / "other", "inner/file", LIMIT)


def test_a_missing_file_is_missing(out: Path) -> None:
    for name in ("nothing", "none/file"):
        with pytest.raises(FileNotFoundError):
            opener.read(out, name, LIMIT)


def test_a_file_of_the_cache_may_be_linked_by_a_backup(out: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").hardlink_to(out / "inner" / "file")
    assert opener.read(out, "inner/file", LIMIT, source=Source.CACHE) == b"inner"


def test_a_folder_that_the_user_named_may_have_links(out: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(out)
    (out / "linked").symlink_to("inner/file")
    assert opener.read(tmp_path / "data", "linked", LIMIT, source=Source.USER) == b"inner"
    os.mkfifo(tmp_path / "pipe")
    (out / "hung").symlink_to("../pipe")
    with pytest.raises(RefusedFile, match="a pipe"):
        opener.read(out, "hung", LIMIT, source=Source.USER)


def test_a_copy_has_the_same_bytes_and_overwrites_nothing(out: Path, tmp_path: Path) -> None:
    digest = opener.copy(out, "inner/file", tmp_path / "copy", LIMIT)
    assert (tmp_path / "copy").read_bytes() == b"inner"
    assert len(digest) == 64
    with pytest.raises(FileExistsError):
        opener.copy(out, "inner/file", tmp_path / "copy", LIMIT)
    with pytest.raises(RefusedFile):
        opener.copy(out, "inner/file", tmp_path / "other", 3)
    assert not (tmp_path / "other").exists()


def test_usage_counts_what_is_on_disk_and_names_what_is_odd(out: Path) -> None:
    (out / "big").write_bytes(bytes(100_000))
    found = opener.usage(out)
    assert found.bytes >= 100_000
    assert (found.entries, found.odd) == (3, None)
    (out / "inner" / "link").symlink_to("/")
    assert opener.usage(out).odd == "inner/link, which is a symbolic link"
    assert opener.files_below(out) == ["big", "inner/file"]


def test_what_has_a_link_in_it_is_not_taken(out: Path, tmp_path: Path) -> None:
    (out / "inner" / "link").symlink_to("/etc")
    with pytest.raises(RefusedFile, match="inner contains link, which is a symbolic link"):
        opener.take(out, "inner", tmp_path / "taken")
    (out / "inner" / "link").unlink()
    opener.take(out, "inner", tmp_path / "taken")
    assert (tmp_path / "taken" / "file").read_bytes() == b"inner"
