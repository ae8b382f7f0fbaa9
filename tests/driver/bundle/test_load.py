"""Loading: by the bundle itself, at once or not at all, however often and however many do it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from driver.bundle.loader import extraction
from driver.bundle.loader.extraction import extract, settings_text
from driver.bundle.loader.faults import BundleFault
from driver.bundle.loader.verification import open_bundle
from driver.bundle.loader.volumes import open_source
from driver.bundle.parts import private_contents
from driver.catalog.catalog import load_catalog
from tests.driver.bundle.packing import FILES, pack
from tests.driver.miniature import make_tree
from tests.harness.interpreters import python37

if TYPE_CHECKING:
    from driver.bundle.loader.extraction import Loaded

PLACES = {
    "tree/Makefile": "Makefile",
    "tree/driver/assay": "driver/assay",
    "home/weights/vit_digits/model.bin": ".assay/weights/vit_digits/model.bin",
    "results/vit_digits/cpu/one/result.json": "results/vit_digits/cpu/one/result.json",
    "blobs/sha256/" + "0" * 64: ".assay/bundle/blobs/sha256/" + "0" * 64,
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle in a folder of its own."""
    (tmp_path / "media").mkdir()
    return pack(tmp_path / "media" / "b.assay")


def load(bundle: Path, into: Path, notes: list[str] | None = None) -> Loaded:
    with open_source(bundle) as source:
        return extract(open_bundle(source), into, note=([] if notes is None else notes).append)


def run(
    bundle: Path, *words: str, python: str = sys.executable, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(bundle), *words],
        cwd=bundle.parent,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env},
    )


def test_a_bundle_loads_itself(bundle: Path) -> None:
    done = run(bundle)
    assert done.returncode == 0, done.stderr
    (folder,) = bundle.parent.glob("assay-*")
    assert {name: (folder / place).read_bytes() for name, place in PLACES.items()} == {
        name: FILES[name] for name in PLACES
    }
    assert os.access(folder / "driver" / "assay", os.X_OK)
    assert done.stdout == ""
    assert "unsigned" in done.stderr


@pytest.mark.py37
def test_python_3_7_loads_it(bundle: Path) -> None:
    python, reason = python37()
    if python is None:
        pytest.skip(reason)
    done = run(bundle, "load", "--into", "here", python=str(python))
    assert done.returncode == 0, done.stderr
    assert (bundle.parent / "here" / "Makefile").is_file()


def test_every_other_python_of_this_host_loads_it(bundle: Path) -> None:
    for minor in range(8, 16):
        python = shutil.which(f"python3.{minor}")
        if python is None or python == sys.executable:
            continue
        done = run(bundle, "load", "--into", f"here-{minor}", python=python)
        if "pyenv: " in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        assert (bundle.parent / f"here-{minor}" / "Makefile").is_file()


def test_volumes_load_themselves(tmp_path: Path) -> None:
    bundle = pack(tmp_path / "set.assay", volume_bytes=1 << 20)
    assert run(bundle, "load", "--into", "here").returncode == 0
    assert (tmp_path / "here" / "Makefile").is_file()


def test_what_was_loaded_is_offline_and_knows_its_weights(bundle: Path, tmp_path: Path) -> None:
    load(bundle, tmp_path / "here")
    settings = tomllib.loads((tmp_path / "here" / "assay.local.toml").read_text(encoding="utf-8"))
    weights = str(tmp_path / "here" / ".assay" / "weights" / "vit_digits")
    assert settings == {"offline": True, "weights": {"vit_digits": weights}}


def test_with_an_assay_home_of_the_caller_it_says_where_its_own_is(bundle: Path) -> None:
    done = run(bundle, "load", "--into", "here", ASSAY_HOME="/somewhere")
    assert done.returncode == 0
    assert "unset ASSAY_HOME (/somewhere) first: the bundle's wheels" in done.stderr
    assert "unset ASSAY_HOME" not in run(bundle, "load", "--into", "here").stderr


def test_it_verifies_itself_and_writes_nothing(bundle: Path) -> None:
    done = run(bundle, "verify")
    assert done.returncode == 0
    assert "every file is what the manifest says: 7 files" in done.stderr
    assert [path.name for path in bundle.parent.iterdir()] == ["b.assay"]


def test_show_lists_the_parts_and_load_what_to_type_next(tmp_path: Path) -> None:
    bundle = pack(
        tmp_path / "b.assay",
        {**FILES, "results/tiny/acme/one/result.json": b"{}", "results/tiny/acme/one/x.log": b""},
    )
    shown = run(bundle, "show")
    assert shown.returncode == 0
    assert re.search(r"^  \w+: \d+ files, \d+\.\d MB$", shown.stderr, re.MULTILINE)
    assert not (tmp_path / "out").exists()
    loaded = run(bundle, "--into", str(tmp_path / "out"))
    assert "&& make rerun RESULT=results/tiny/acme/one;" in loaded.stderr


def test_it_says_what_must_come_from_elsewhere(tmp_path: Path) -> None:
    missing = {"what": "the image of acme sdk1", "how": "docker pull acme/sdk:1"}
    done = run(pack(tmp_path / "b.assay", elsewhere=[missing]), "show")
    assert "not in it: the image of acme sdk1 → docker pull acme/sdk:1" in done.stderr


def test_a_second_load_finds_the_first(bundle: Path, tmp_path: Path) -> None:
    assert not load(bundle, tmp_path / "here").present
    (tmp_path / "here" / "results" / "own").mkdir()
    assert load(bundle, tmp_path / "here").present
    assert (tmp_path / "here" / "results" / "own").is_dir()


@pytest.mark.parametrize("content", [[], ["wheelhouse/mine.whl", "cache/models/k/model.onnx"]])
def test_in_a_folder_that_exists_a_bundle_gets_one_of_its_own(
    bundle: Path, tmp_path: Path, content: list[str]
) -> None:
    """An ASSAY_HOME, or a disk: nothing that is there changes."""
    home = tmp_path / "here"
    home.mkdir()
    for name in content:
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text("mine")
    loaded = load(bundle, home)
    assert loaded.folder.parent == home
    assert loaded.folder.name.startswith("assay-")
    assert (loaded.folder / "Makefile").is_file()
    assert [(home / name).read_text() for name in content] == ["mine"] * len(content)
    others = {path.name for path in home.iterdir()} - {loaded.folder.name}
    assert others == {name.split("/")[0] for name in content}
    again = load(bundle, home)
    assert (again.folder, again.present) == (loaded.folder, True)


def test_a_folder_of_another_bundle_or_a_checkout_is_not_loaded_into(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    load(pack(tmp_path / "other" / "b.assay", commit="f00d"), tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleFault, match=r"here is another bundle, or a checkout of Assay"):
        load(bundle, tmp_path / "here")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_not_written_over(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("mine")
    with pytest.raises(BundleFault, match=r"exists, and is not this bundle"):
        load(bundle, tmp_path / "here")
    assert (tmp_path / "here").read_text() == "mine"


def test_everything_is_on_the_disk_before_the_folder_has_its_name(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    load(bundle, tmp_path / "here")
    staging = str(tmp_path / ".here.loading")
    written = {
        staging + str(path).removeprefix(str(tmp_path / "here"))
        for path in (tmp_path / "here").rglob("*")
    }
    assert set(synced[:-1]) == written | {staging}
    assert synced[-2:] == [staging, str(tmp_path)]


def test_a_disk_that_fails_when_it_is_to_keep_the_files_leaves_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(BundleFault, match=r"cannot be loaded into .*here: Input/output error"):
        load(bundle, tmp_path / "here")
    assert not list(tmp_path.glob("*here*"))


def test_too_little_disk_is_said_before_anything_is_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1 << 20}))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BundleFault, match=r"loading takes 0\.06 GiB in .*, 0\.00 GiB are free"):
        load(bundle, tmp_path / "here")
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_that_fills_up_leaves_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int, _chunk: memoryview) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(extraction, "_write", full)
    with pytest.raises(BundleFault, match=r"No space left on device"):
        load(bundle, tmp_path / "here")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "memory"] or sorted(
        path.name for path in tmp_path.iterdir()
    ) == ["media"]


def test_a_load_that_was_killed_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    files = {f"home/{number}": os.urandom(8 << 20) for number in range(12)}
    bundle = pack(tmp_path / "media" / "b.assay", files)
    child = subprocess.Popen(
        [sys.executable, str(bundle), "load", "--into", "here"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    staging = tmp_path / ".here.loading"
    while child.poll() is None and not list(staging.glob(".assay/[0-9]*")):
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not (tmp_path / "here").exists()
    assert staging.is_dir()
    assert not load(bundle, tmp_path / "here").present
    assert not staging.exists()
    assert (tmp_path / "here" / ".assay" / "11").read_bytes() == files["home/11"]


def test_two_loads_at_once_are_one(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    fill = extraction._fill

    def slowly(*arguments: object) -> None:
        begun.set()
        go_on.wait(10)
        fill(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(extraction, "_fill", slowly)
    notes: list[str] = []
    ended: list[bool] = []

    def loading() -> None:
        ended.append(load(bundle, tmp_path / "here", notes).present)

    threads = [threading.Thread(target=loading) for _ in range(2)]
    threads[0].start()
    begun.wait(10)
    threads[1].start()
    while not notes:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(ended) == [False, True]
    assert notes == [f"waiting for another load into {tmp_path / '.here.loading'}"]
    assert not (tmp_path / ".here.loading").exists()


def test_of_two_bundles_at_once_into_one_folder_the_second_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = pack(tmp_path / "other" / "b.assay", {"tree/other": b"other"})
    fill = extraction._fill
    faults: list[str] = []

    def second(notes: list[str]) -> None:
        try:
            load(other, tmp_path / "here", notes)
        except BundleFault as fault:
            faults.append(fault.message)

    def meanwhile(*arguments: object) -> None:
        thread.start()
        while not notes_of_second:
            time.sleep(0.001)
        fill(*arguments)  # type: ignore[arg-type]

    notes_of_second: list[str] = []
    thread = threading.Thread(target=second, args=(notes_of_second,))
    monkeypatch.setattr(extraction, "_fill", meanwhile)
    assert not load(bundle, tmp_path / "here").present
    thread.join(10)
    assert faults == [f"{tmp_path / 'here'} exists, and is not this bundle"]
    assert (tmp_path / "here" / "Makefile").is_file()
    assert not (tmp_path / "here" / "other").exists()
    assert not (tmp_path / ".here.loading").exists()


def test_a_staging_folder_that_is_a_link_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".here.loading").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleFault, match=r"cannot be loaded"):
        load(bundle, tmp_path / "here")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_parent_that_is_not_there(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleFault, match=r"nowhere is not a folder"):
        load(bundle, tmp_path / "nowhere" / "here")


def test_vendors_and_cases_from_outside_the_tree_are_found_where_they_were_loaded(
    tmp_path: Path,
) -> None:
    tree, mine = make_tree(tmp_path / "tree"), tmp_path / "mine" / "tiny"
    shutil.copytree(tree / "cases" / "tiny", mine)
    shutil.copytree(tree / "vendor_hooks" / "acme", tmp_path / "mine" / "acme")
    shutil.copytree(tree / "images" / "acme", tmp_path / "mine" / "acme" / "images")
    catalog = load_catalog(tree, [tmp_path / "mine" / "acme"], [mine])
    inside = load_catalog(tree)
    assert private_contents("cases", inside.case("tiny"), tree) == []
    paths = [one.path for one in private_contents("cases", catalog.case("tiny"), tree)]
    assert "home/cases/tiny/case.toml" in paths
    paths += [one.path for one in private_contents("vendors", catalog.vendor("acme"), tree)]
    manifest = SimpleNamespace(id="x", entries=[SimpleNamespace(path=path) for path in paths])
    settings = tomllib.loads(settings_text(manifest, tmp_path / "lab"))  # type: ignore[arg-type]
    assert settings["case_path"] == [str(tmp_path / "lab/.assay/cases/tiny")]
    assert settings["vendor_path"] == [str(tmp_path / "lab/.assay/vendors/acme")]
