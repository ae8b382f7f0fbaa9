"""Bad bundles: each is refused with what is wrong with it, and nothing of it is left behind or used."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from driver.bundle.loader.extraction import extract, require_machine
from driver.bundle.loader.faults import BundleFault
from driver.bundle.loader.layout import member_header
from driver.bundle.loader.manifest import content_digest, destination, read_manifest, spell
from driver.bundle.loader.program import main
from driver.bundle.loader.verification import open_bundle
from driver.bundle.loader.volumes import open_source
from tests.driver.bundle.packing import DOCUMENT, FILES, forge, pack, place_of, plan_of, verify

TINY = {"tree/a": b"a" * 700, "results/r/result.json": b"{}", "tree/empty": b""}


def load(path: Path, into: Path) -> None:
    """Load a bundle as the program does, but for images."""
    with open_source(path) as source:
        opened = open_bundle(source)
        require_machine(opened.manifest)
        extract(opened, into, note=lambda _text: None)


def refused(path: Path, into: Path | None = None) -> str:
    """Return what loading a bundle is refused with; nothing may be left of it."""
    into = into or path.parent / "loaded"
    before = sorted(entry.name for entry in path.parent.iterdir())
    with pytest.raises(BundleFault) as caught:
        load(path, into)
    assert caught.value.remedy
    assert sorted(entry.name for entry in path.parent.iterdir()) == before
    return caught.value.message


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A small bundle."""
    (tmp_path / "place").mkdir()
    return pack(tmp_path / "place" / "b.assay", TINY)


def entry(path: str, size: int = 0) -> dict[str, Any]:
    return {"path": path, "bytes": size, "sha256": "0" * 64, "role": "tree", "executable": False}


# --- what happens on the way ---------------------------------------------------------------------
def test_every_flipped_bit_is_found(bundle: Path) -> None:
    whole = bundle.read_bytes()
    first_header, stride = 512, 131
    places = [*range(0, first_header, 5), *range(first_header, len(whole), stride)]
    missed = []
    for place in places:
        for bit in (0, 5):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            bundle.write_bytes(damaged)
            try:
                verify(bundle)
            except BundleFault:
                continue
            missed.append((place, bit))
    assert not missed


@pytest.mark.parametrize(
    "name",
    [
        "tree/Makefile",
        "home/weights/vit_digits/model.bin",
        "results/vit_digits/cpu/one/result.json",
        "blobs/sha256/" + "0" * 64,
    ],
)
def test_a_flipped_bit_of_a_layer_weight_or_result_is_named_by_its_file(
    tmp_path: Path, name: str
) -> None:
    bundle = pack(tmp_path / "b.assay")
    place = place_of(bundle, name)
    damaged = bytearray(bundle.read_bytes())
    damaged[place.data] ^= 4
    bundle.write_bytes(damaged)
    assert refused(bundle).startswith(f"{name} differs: its sha256 is ")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_bundle(bundle: Path, share: float) -> None:
    os.truncate(bundle, int(bundle.stat().st_size * share))
    message = refused(bundle)
    assert "truncated" in message or "not a bundle" in message


def test_a_lengthened_bundle(bundle: Path) -> None:
    with bundle.open("ab") as stream:
        stream.write(b"more")
    assert "longer than its manifest says" in refused(bundle)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a bundle"),
        (b"{}\n", "not an index of volumes"),
        (b"PK\3\4" * 500, "is not a bundle"),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "b.assay").write_bytes(content)
    assert said in refused(tmp_path / "b.assay")


def test_a_bundle_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleFault, match=r"nothing\.assay cannot be read: No such file"):
        open_source(tmp_path / "nothing.assay")
    with pytest.raises(BundleFault, match=r"is not a file"):
        open_source(tmp_path)


# --- volumes --------------------------------------------------------------------------------------
@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """A bundle of three volumes."""
    files = {f"tree/{number}": os.urandom(900_000) for number in range(3)}
    (tmp_path / "place").mkdir()
    return pack(tmp_path / "place" / "set.assay", files, volume_bytes=1 << 20)


def test_a_missing_volume(volumes: Path) -> None:
    volumes.with_name("set.assay.002").unlink()
    assert "volume 2 of 3 is missing" in refused(volumes)


def test_a_doubled_volume(volumes: Path) -> None:
    shutil.copyfile(volumes.with_name("set.assay.001"), volumes.with_name("set.assay.002"))
    assert "should be volume 2 of 3, and is volume 1 once more" in refused(volumes)


def test_a_foreign_volume(volumes: Path, tmp_path: Path) -> None:
    other = pack(tmp_path / "o.assay", {"tree/o": os.urandom(3_000_000)}, volume_bytes=1 << 20)
    shutil.copyfile(other.with_name("o.assay.002"), volumes.with_name("set.assay.002"))
    assert "should be volume 2 of 3, and is of another bundle" in refused(volumes)


@pytest.mark.parametrize(
    ("volume", "offset"), [(1, 600_000), (1, 3_000_000), (2, 1_500_000), (2, 3_100_000)]
)
def test_a_flipped_bit_anywhere_in_a_volume_is_found_and_the_volume_named(
    tmp_path: Path, volume: int, offset: int
) -> None:
    """Also behind the first MiB, by which volumes are known before they are read."""
    files = {f"tree/{number}": os.urandom(1_300_000) for number in range(5)}
    bundle = pack(tmp_path / "set.assay", files, volume_bytes=3_200_000)
    path = tmp_path / f"set.assay.00{volume}"
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([byte[0] ^ 16]))
    assert path.name in refused(bundle)


def test_a_truncated_volume(volumes: Path) -> None:
    last = volumes.with_name("set.assay.003")
    os.truncate(last, last.stat().st_size - 1)
    message = refused(volumes)
    assert "set.assay.003" in message


@pytest.mark.parametrize("place", [0, 40, 200, -1, -3000])
def test_a_flipped_bit_in_the_index_of_volumes(volumes: Path, place: int) -> None:
    damaged = bytearray(volumes.read_bytes())
    damaged[place] ^= 1
    volumes.write_bytes(damaged)
    refused(volumes)


def test_volumes_named_outside_their_folder(volumes: Path) -> None:
    line, _, loader = volumes.read_bytes().partition(b"\n")
    index = json.loads(line)
    index["volumes"][0]["name"] = "../../etc/x.001"
    index["digest"] = content_digest(index)
    volumes.write_bytes(json.dumps(index).encode() + b"\n" + loader)
    assert "is damaged" in refused(volumes)


# --- manifests that somebody wrote on purpose -------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../evil", "outside its folder"),
        ("tree/../../evil", "outside its folder"),
        ("/etc/passwd", "outside its folder"),
        ("tree/./a", "outside its folder"),
        ("tree/a\nb", "characters that it may not"),
        ("tree/a b", "characters that it may not"),
        ("tree//a", "characters that it may not"),
        ("tree/" + "x" * 300, "characters that it may not"),
        ("tree/assay.local.toml", "where none belongs"),
        ("tree/.assay/x", "where none belongs"),
        ("tree/.git/hooks/post-checkout", "where none belongs"),
        ("home/bundle/assay-bundle.json", "where none belongs"),
        ("assay-bundle.json", "where none belongs"),
        ("etc/passwd", "where none belongs"),
        ("tree", "where none belongs"),
    ],
)
def test_a_path_that_no_bundle_may_have(bundle: Path, path: str, said: str) -> None:
    if len(path) < 300 and "\n" not in path:
        forge(bundle, files=[entry(path)])
        assert said in refused(bundle)
    document = {**json.loads(plan_of(TINY, bundle.parent.parent).manifest), "files": [entry(path)]}
    document["digest"] = content_digest(document)
    with pytest.raises(BundleFault, match=said):
        read_manifest(spell(document))


def test_a_name_twice(bundle: Path) -> None:
    forge(bundle, files=[entry("tree/a"), entry("tree/a")])
    assert refused(bundle) == "the bundle names the file 'tree/a' twice"


def test_a_name_twice_in_the_archive_alone(bundle: Path) -> None:
    place = place_of(bundle, "tree/empty")
    with bundle.open("r+b") as stream:
        stream.seek(place.start)
        stream.write(member_header("tree/a", 0))
    assert "a file named 'tree/a' where its manifest lists" in refused(bundle)


def test_two_names_for_one_place(bundle: Path) -> None:
    forge(bundle, files=[entry("tree/results/x"), entry("results/x")])
    assert "names the file 'results/x' twice" in refused(bundle)


def test_a_name_that_is_a_file_and_a_folder(bundle: Path) -> None:
    forge(bundle, files=[entry("tree/a"), entry("tree/a/b")])
    assert "both as a file and as a folder" in refused(bundle)


def test_a_member_of_10_tb(bundle: Path) -> None:
    forge(bundle, files=[entry("tree/a", 10 << 40)])
    assert "truncated: it has" in refused(bundle)


def test_a_member_of_10_tb_in_a_sparse_bundle_asks_for_disk_first(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    path = pack(tmp_path / "place" / "b.assay", TINY)
    with open_source(path) as source:
        loader = source.read(source.size - open_bundle(source).manifest.loader[0], 1 << 20)
    document = {
        **json.loads(plan_of(TINY, tmp_path).manifest),
        "files": [entry("tree/a", 10 << 40)],
    }
    document["digest"] = content_digest(document)
    raw = spell(document)
    from driver.bundle.loader.layout import END, MANIFEST, member_header, padded

    with path.open("wb") as stream:
        stream.write(member_header(MANIFEST, len(raw)) + raw + bytes(padded(len(raw)) - len(raw)))
        stream.write(member_header("tree/a", 10 << 40))
        stream.seek(10 << 40, os.SEEK_CUR)
        stream.write(END + loader)
    message = refused(path)
    assert message.startswith("loading takes 10240.06 GiB in ")


def test_a_newer_format(bundle: Path) -> None:
    forge(bundle, schema="assay/bundle/2")
    assert (
        refused(bundle)
        == "the bundle has the format assay/bundle/2, this loader reads assay/bundle/1"
    )


def test_another_schema(bundle: Path) -> None:
    forge(bundle, schema="someone/else/1")
    assert "its schema is 'someone/else/1'" in refused(bundle)


def test_another_processor(bundle: Path) -> None:
    forge(bundle, machine="riscv64")
    assert refused(bundle).startswith("the bundle is for riscv64, this machine is ")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": "all"},
        {"files": [{"path": "tree/a"}]},
        {"files": [{**entry("tree/a"), "bytes": -1}]},
        {"files": [{**entry("tree/a"), "bytes": True}]},
        {"files": [{**entry("tree/a"), "bytes": 1.5}]},
        {"files": [{**entry("tree/a"), "sha256": "x"}]},
        {"files": [{**entry("tree/a"), "path": 5}]},
        {"loader": None},
        {"loader": {"bytes": -5, "sha256": "0" * 64}},
    ],
)
def test_a_manifest_of_other_types(bundle: Path, changes: dict[str, Any]) -> None:
    document = {**json.loads(plan_of(TINY, bundle.parent.parent).manifest), **changes}
    document["digest"] = content_digest(document)
    with pytest.raises(
        BundleFault, match=r"the bundle's manifest is damaged: it is not understood"
    ):
        read_manifest(spell(document))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 200_000, b'{"schema": 5}'])
def test_a_manifest_that_is_none(raw: bytes) -> None:
    with pytest.raises(BundleFault, match=r"the bundle's manifest is damaged"):
        read_manifest(raw)


def test_a_manifest_in_another_spelling(tmp_path: Path) -> None:
    document = json.loads(plan_of(TINY, tmp_path).manifest)
    with pytest.raises(BundleFault, match=r"not what its own digest says"):
        read_manifest(json.dumps(document).encode())


# --- archives that are not what their manifest lists ------------------------------------------------
def replace_header(bundle: Path, member: str, /, **fields: Any) -> None:
    """Put another header before a file: a link, a device, with another name or size."""
    place = place_of(bundle, member)
    info = tarfile.TarInfo(member)
    info.size = place.entry.bytes
    info.mode = place.entry.mode
    for key, value in fields.items():
        setattr(info, key, value)
    with bundle.open("r+b") as stream:
        stream.seek(place.start)
        stream.write(info.tobuf(tarfile.USTAR_FORMAT))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a symbolic link"),
        ({"type": tarfile.LNKTYPE, "linkname": "tree/a"}, "a hard link"),
        ({"type": tarfile.CHRTYPE}, "a character device"),
        ({"type": tarfile.BLKTYPE}, "a block device"),
        ({"type": tarfile.FIFOTYPE}, "a named pipe"),
        ({"type": tarfile.DIRTYPE}, "a folder"),
        ({"type": tarfile.GNUTYPE_SPARSE}, "a sparse file"),
        ({"name": "../evil"}, "a file named '../evil'"),
        ({"name": "/etc/passwd"}, "a file named '/etc/passwd'"),
        ({"name": "tree/extra"}, "a file named 'tree/extra'"),
        ({"size": 5}, "another size, mode, owner or time"),
        ({"mode": 0o4755}, "another size, mode, owner or time"),
        ({"uid": 1000}, "another size, mode, owner or time"),
    ],
)
def test_a_member_that_is_not_the_file_that_the_manifest_lists(
    bundle: Path, fields: dict[str, Any], said: str
) -> None:
    replace_header(bundle, "tree/a", **fields)
    assert said in refused(bundle)


def test_an_extra_file(bundle: Path) -> None:
    with open_source(bundle) as source:
        opened = open_bundle(source)
        end, loader = opened.places[-1].end, opened.manifest.loader[0]
        whole = source.read(0, source.size)
    extra = io.BytesIO()
    with tarfile.open(fileobj=extra, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("tree/evil"))
    bundle.write_bytes(whole[:end] + extra.getvalue()[:512] + whole[end:])
    assert "longer than its manifest says" in refused(bundle)
    bundle.write_bytes(whole[:end] + extra.getvalue()[:512] + whole[end + 512 :])
    assert "more files than its manifest lists: a file named 'tree/evil'" in refused(bundle)
    assert loader


def test_a_loader_that_was_replaced(bundle: Path) -> None:
    with bundle.open("r+b") as stream:
        stream.seek(-200, os.SEEK_END)
        stream.write(b"evil")
    assert "loader is not the one" in refused(bundle)


# --- loading --------------------------------------------------------------------------------------
def test_a_bad_bundle_by_the_program_is_exit_code_3(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(bundle, 5000)
    assert main(["load", "--into", str(bundle.parent / "x")], bundle=str(bundle)) == 3
    said = capsys.readouterr().err
    assert "truncated" in said
    assert "→ copy it again" in said
    assert "Traceback" not in said


def test_no_file_of_another_place_is_ever_a_destination() -> None:
    for path in FILES:
        assert not destination(path).startswith(("/", "..", ".git"))


def test_document_of_these_tests_is_whole() -> None:
    assert set(DOCUMENT) >= {"machine", "images", "elsewhere"}
