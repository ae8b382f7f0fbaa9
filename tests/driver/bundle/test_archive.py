"""The archive: what others' programs read of it, that same inputs give the same bytes, and going on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from driver.bundle.contents import Content, hash_contents
from driver.bundle.loader.layout import member_header
from driver.bundle.loader.manifest import read_manifest
from driver.bundle.loader_zip import loader_zip
from driver.bundle.writer import Plan, _Parts, make_manifest, write_bundle
from driver.errors import EnvironmentFault, UsageFault
from driver.models.bundle import BundleManifest
from tests.disk import require_disk
from tests.driver.bundle.packing import DOCUMENT, FILES, pack, plan_of, verify

if TYPE_CHECKING:
    from pathlib import Path


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_tar_reads_a_bundle(tmp_path: Path) -> None:
    bundle = pack(tmp_path / "b.assay")
    subprocess.run(["tar", "xf", bundle.name], cwd=tmp_path, check=True)
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == FILES
    assert os.access(tmp_path / "tree/driver/assay", os.X_OK)


def test_pythons_tarfile_sees_the_manifest_first_and_nothing_of_this_host(tmp_path: Path) -> None:
    with tarfile.open(pack(tmp_path / "b.assay")) as archive:
        members = archive.getmembers()
    assert members[0].name == "assay-bundle.json"
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in members} == {
        (0, 0, 0, "", "")
    }


def test_the_manifest_is_the_models(tmp_path: Path) -> None:
    with tarfile.open(pack(tmp_path / "b.assay")) as archive:
        stream = archive.extractfile("assay-bundle.json")
        assert stream is not None
        BundleManifest.model_validate_json(stream.read())


def test_a_member_of_8_gib_and_more_has_a_header_that_tar_reads() -> None:
    header = member_header("blobs/sha256/large", 10 << 30)
    found = tarfile.TarFile.tarinfo.frombuf(header[-512:], "ascii", "strict")
    assert found.size == 0
    import io

    class Endless(io.BytesIO):
        """A stream whose content is never read."""

    with tarfile.open(fileobj=Endless(header), mode="r:") as archive:
        first = archive.next()
    assert first is not None
    assert (first.name, first.size) == ("blobs/sha256/large", 10 << 30)


def test_a_long_path_fits_through_a_pax_record(tmp_path: Path) -> None:
    name = "tree/" + "x" * 200
    bundle = pack(tmp_path / "b.assay", {name: b"content"})
    verify(bundle)
    with tarfile.open(bundle) as archive:
        assert archive.getnames()[1] == name


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "b.assay", tmp_path / "two" / "b.assay"
    for path in (first, second):
        path.parent.mkdir()
    pack(first)
    pack(second, dict(reversed(FILES.items())))
    assert sha256(first) == sha256(second)


def test_a_volume_set_joined_by_cat_is_the_bundle_in_one_file(tmp_path: Path) -> None:
    whole = pack(tmp_path / "whole.assay")
    pack(tmp_path / "set.assay", volume_bytes=1 << 20)
    verify(tmp_path / "set.assay")
    names = sorted(path.name for path in tmp_path.glob("set.assay*"))
    assert names == ["set.assay", "set.assay.001", "set.assay.002"]
    joined = b"".join((tmp_path / name).read_bytes() for name in names[1:])
    assert joined == whole.read_bytes()


def test_any_volume_names_its_set(tmp_path: Path) -> None:
    pack(tmp_path / "set.assay", volume_bytes=1 << 20)
    verify(tmp_path / "set.assay.002")


def test_nothing_but_the_bundle_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    pack(tmp_path / "out" / "b.assay", {"tree/a": b"a"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.assay"]


class Killed(BaseException):
    """What a kill is in these tests."""


@pytest.fixture
def big_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan of eight files of 300 kB, each noted in the journal as it ends."""
    monkeypatch.setattr("driver.bundle.writer.JOURNAL_BYTES", 1)
    contents = []
    for number in range(8):
        path = tmp_path / f"source-{number}"
        path.write_bytes(bytes([number]) * 300_000)
        contents.append(Content(path=f"home/{number}", source=path, role="data"))
    hashed = hash_contents(
        contents, memory=tmp_path / "memory", known={}, on_done=lambda _one: None
    )
    raw, digest = make_manifest(DOCUMENT, hashed, loader_zip())
    return Plan(manifest=raw, digest=digest, files=hashed, loader=loader_zip())


@pytest.mark.parametrize("volume_bytes", [None, 1 << 20])
def test_a_killed_bundle_goes_on_after_the_files_that_it_had(
    tmp_path: Path, big_plan: Plan, monkeypatch: pytest.MonkeyPatch, volume_bytes: int | None
) -> None:
    out = tmp_path / "b.assay"
    copied: list[int] = []
    copy = _Parts.copy

    def until_the_fifth(parts: _Parts, source: int, size: int, offset: int) -> None:
        copied.append(offset)
        if len(copied) == 5:
            raise Killed
        copy(parts, source, size, offset)

    monkeypatch.setattr(_Parts, "copy", until_the_fifth)
    with pytest.raises(Killed):
        write_bundle(big_plan, out, volume_bytes=volume_bytes, on_progress=quiet)
    assert not out.exists()
    write_bundle(big_plan, out, volume_bytes=volume_bytes, on_progress=quiet)
    assert len(copied) == 5 + 4
    verify(out)
    assert sorted(path.name for path in tmp_path.glob("b.assay.*")) == (
        [] if volume_bytes is None else ["b.assay.001", "b.assay.002", "b.assay.003"]
    )


def test_what_another_bundle_left_half_written_is_not_gone_on_with(
    tmp_path: Path, big_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(_Parts, "finish", killed)
        with pytest.raises(Killed):
            write_bundle(big_plan, tmp_path / "b.assay", volume_bytes=None, on_progress=quiet)
    pack(tmp_path / "b.assay")
    verify(tmp_path / "b.assay")


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path, big_plan: Plan) -> None:
    (tmp_path / "source-3").write_bytes(b"other")
    with pytest.raises(EnvironmentFault, match=r"source-3 changed while the bundle was written"):
        write_bundle(big_plan, tmp_path / "b.assay", volume_bytes=None, on_progress=quiet)


def test_volumes_that_would_be_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"volumes of 1000 bytes would be \d+"):
        pack(tmp_path / "b.assay", volume_bytes=1000)
    assert not list(tmp_path.glob("b.assay*"))


def test_too_little_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    with pytest.raises(EnvironmentFault, match=r"0\.00 GiB are free"):
        pack(tmp_path / "b.assay")
    assert not list(tmp_path.glob("b.assay*.part"))


def test_a_file_that_was_hashed_is_not_read_again(
    tmp_path: Path, big_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "driver.system.hashing.file_sha256", lambda _path: pytest.fail("hashed again")
    )
    contents = [one.content for one in big_plan.files]
    again = hash_contents(contents, memory=tmp_path / "memory", known={}, on_done=lambda _one: None)
    assert again == big_plan.files


def test_the_loader_is_the_same_zip_file_every_time() -> None:
    assert loader_zip() == loader_zip()


def test_a_plan_reads_back_as_it_was_made(tmp_path: Path) -> None:
    plan = plan_of(FILES, tmp_path)
    assert read_manifest(plan.manifest).entries == plan.entries


@pytest.mark.slow
@pytest.mark.disk
@pytest.mark.skipif(sys.platform != "linux", reason="sparse files")
def test_a_file_of_over_8_gib_goes_in_and_is_checked(tmp_path: Path) -> None:
    size_bytes = (8 << 30) + 1000
    require_disk(tmp_path, size_bytes)
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(size_bytes)
        stream.write(b"start")
    hashed = hash_contents(
        [Content(path="home/large", source=large, role="data")],
        memory=tmp_path / "memory",
        known={},
        on_done=lambda _one: None,
    )
    raw, digest = make_manifest(DOCUMENT, hashed, loader_zip())
    plan = Plan(manifest=raw, digest=digest, files=hashed, loader=loader_zip())
    write_bundle(plan, tmp_path / "b.assay", volume_bytes=3 << 30, on_progress=quiet)
    verify(tmp_path / "b.assay")
