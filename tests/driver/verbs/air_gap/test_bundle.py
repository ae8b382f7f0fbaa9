"""`bundle`: what is asked for, what goes in, what must come from elsewhere; and the whole way, offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.bundle.parts import missing_image, tree_contents, wheel_licences
from driver.catalog.catalog import load_catalog
from driver.cli import app
from driver.console import Console
from driver.errors import DataFault, EnvironmentFault, UsageFault
from driver.system.host.machine import tree_commit
from driver.system.settings import ROOT
from driver.verbs.air_gap.bundle import (
    BundleOptions,
    _combinations,
    _included,
    make_bundle,
    size_bytes,
)
from tests.documents import document, metrics, write
from tests.driver.bundle.packing import FILES, pack
from tests.driver.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 << 30), ("700M", 700 << 20), ("4GiB", 4 << 30), ("512", 512)]
)
def test_a_volume_s_size(text: str, size: int) -> None:
    assert size_bytes("VOLUME", text) == size


@pytest.mark.parametrize("text", ["big", "4X", "-4G", "4.5G", ""])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(UsageFault, match=r"VOLUME=.* is not a size"):
        size_bytes("VOLUME", text)


def test_a_part_that_no_bundle_has_offers_the_nearest() -> None:
    with pytest.raises(
        UsageFault, match=r"unknown part of a bundle \(WITH\) 'weight' \(did you mean weights\?\)"
    ):
        _included("data,weight")


def test_lists_are_combined_as_in_a_sweep() -> None:
    asked = list(_combinations({"vendor": "cpu,intel", "case": "vit_digits"}))
    assert [one["vendor"] for one in asked] == ["cpu", "intel"]


def run(words: Sequence[str]) -> int:
    code = app(args=list(words), standalone_mode=False)
    return code if isinstance(code, int) else 0


def test_a_result_that_was_edited_is_not_bundled(tmp_path: Path) -> None:
    body = document()
    body["metrics"]["acc_infer"] = 99.0
    with pytest.raises(DataFault, match=r"was edited"):
        run(["bundle", "--result", str(write(tmp_path, body)), "--out", str(tmp_path / "b.assay")])
    assert not (tmp_path / "b.assay").exists()


def test_a_folder_as_out_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="is a folder, and a bundle is a file") as raised:
        make_bundle({}, BundleOptions(out=str(tmp_path)), Console())
    assert raised.value.remedy == f"OUT={tmp_path / 'vit_digits-cpu.assay'}"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_key_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a key")
    options = BundleOptions(key=str(tmp_path / "notes"), out=str(tmp_path / "x.assay"))
    with pytest.raises(EnvironmentFault, match="notes is not a key") as raised:
        make_bundle({}, options, Console())
    assert raised.value.remedy.startswith("SIGN=<private key")
    assert not (tmp_path / "x.assay").exists()


def test_verify_takes_one_of_the_two() -> None:
    with pytest.raises(UsageFault, match=r"verify needs either a bundle or a result"):
        run(["verify"])


def test_verify_and_load_by_the_driver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = pack(
        tmp_path / "b.assay",
        {name: data for name, data in FILES.items() if not name.endswith(".json")},
    )
    assert run(["verify", "--bundle", str(bundle)]) == 0
    assert run(["load", "--bundle", str(bundle), "--into", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "Makefile").is_file()
    with pytest.raises(DataFault, match=r"a signature by a known key is required"):
        run(
            [
                "load",
                "--bundle",
                str(bundle),
                "--into",
                str(tmp_path / "other"),
                "--require-signature",
            ]
        )
    assert not (tmp_path / "other").exists()
    capsys.readouterr()


def test_a_damaged_result_in_a_whole_bundle_is_found(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"results/vit_digits/cpu/one/result\.json was edited"):
        run(["verify", "--bundle", str(pack(tmp_path / "b.assay"))])


def test_an_edited_figure_with_a_new_digest_in_a_whole_bundle_is_found(tmp_path: Path) -> None:
    body = json.dumps(document(metrics=metrics(p_infer_core=9000.0))).encode()
    bundle = pack(tmp_path / "b.assay", {"results/vit_l_16/nvidia/one/result.json": body})
    with pytest.raises(DataFault, match=r"one/result\.json was edited: p_infer_core is 9000"):
        run(["verify", "--bundle", str(bundle)])


# --- parts --------------------------------------------------------------------------------------------
def test_the_tree_is_what_git_tracks_without_tests() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    names = {content.path for content in tree_contents(ROOT)}
    assert {"tree/Makefile", "tree/driver/assay", "tree/cases/vit_digits/case.toml"} <= names
    assert not [name for name in names if name.startswith("tree/tests/")]
    assert not [name for name in names if "__pycache__" in name]


def test_a_tree_that_a_bundle_brought_can_be_bundled_again_and_knows_its_commit(
    tmp_path: Path,
) -> None:
    kept = tmp_path / ".assay" / "bundle"
    kept.mkdir(parents=True)
    (tmp_path / "Makefile").write_text("help:\n")
    digest = __import__("hashlib").sha256(b"help:\n").hexdigest()
    files = [{"path": "tree/Makefile", "sha256": digest}, {"path": "home/x", "sha256": "0" * 64}]
    (kept / "assay-bundle.json").write_text(json.dumps({"commit": "c0ffee", "files": files}))
    assert [content.path for content in tree_contents(tmp_path)] == ["tree/Makefile"]
    assert tree_commit(tmp_path) == "c0ffee"
    (tmp_path / "Makefile").write_text("help: all\n")
    assert tree_commit(tmp_path) == "c0ffee+changes"


def test_a_folder_that_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"neither a git checkout nor a loaded bundle"):
        tree_contents(tmp_path)


def test_an_image_that_may_not_be_passed_on_is_named_with_how_to_get_it() -> None:
    stack = load_catalog(ROOT).vendor("kunlunxin").stacks["xtcl2.0"]
    image, *installers = missing_image(stack, {}, f"sha256:{'1' * 64}")
    assert image.reference == stack.manifest.base.image
    assert image.digest == f"sha256:{'1' * 64}"
    assert "make images VENDOR=kunlunxin STACK=xtcl2.0" in image.how
    assert len(installers) == len(stack.manifest.installers)
    assert all("INSTALLERS=" in one.how for one in installers)


def test_only_stacks_that_say_so_are_passed_on() -> None:
    catalog = load_catalog(ROOT)
    stacks = [
        catalog.reference,
        *(one for vendor in catalog.vendors.values() for one in vendor.stacks.values()),
    ]
    assert {one.vendor for one in stacks if one.manifest.redistributable} == {
        "reference",
        "cpu",
        "intel",
        # By their wheels' metadata, MIT: zentorch, onnxruntime-openvino.
        "amd",
        "onnxruntime",
    }


def test_a_wheel_s_licence_is_what_it_says(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny")
    assert wheel_licences([wheel])[0].model_dump() == {"what": "tiny 1.0", "licence": "not stated"}


# --- the whole way ------------------------------------------------------------------------------------
def namespaces() -> str | None:
    """Return why this host cannot give a process a network of its own, or None."""
    tool = shutil.which("unshare")
    if tool is None:
        return "needs unshare (util-linux)"
    done = subprocess.run(
        [tool, "--user", "--map-root-user", "--net", "true"], check=False, capture_output=True
    )
    return None if done.returncode == 0 else "this host forbids network namespaces"


LAB = """
ip link set lo up 2>/dev/null || true
! python3 -c 'import urllib.request as u; u.urlopen("http://192.0.2.1/", timeout=2)' 2>/dev/null || exit 90
python3 bundle.assay --into here || exit 91
cd here
make verify BUNDLE=../bundle.assay || exit 92
ours="$(ls -d results/vit_digits/*/*/*)"
make run CASE=vit_digits || exit 93
driver/assay rerun --result "$ours"
test $? -eq 8 || exit 97
make report || exit 94
make verify RESULT="$(ls -d results/vit_digits/*/*/* | tail -n 1)" || exit 95
! make lock ALL=1 || exit 96
"""


@pytest.mark.slow
@pytest.mark.stack
def test_bundle_load_run_rerun_and_report_where_there_is_only_loopback(tmp_path: Path) -> None:
    """The air gap: another home, empty caches, a network namespace that has nothing but lo."""
    reason = namespaces()
    if reason is not None:
        pytest.skip(reason)
    assay = str(ROOT / "driver" / "assay")
    env = {**os.environ, "OUT": str(tmp_path / "results")}
    subprocess.run([assay, "run", "--case", "vit_digits"], check=True, env=env)
    (ours,) = (tmp_path / "results").glob("vit_digits/*/*/*/result.json")
    lab = tmp_path / "lab"
    (lab / "home").mkdir(parents=True)
    bundle = lab / "bundle.assay"
    subprocess.run([assay, "bundle", "--result", str(ours), "--out", str(bundle)], check=True)
    clean = {"PATH": os.environ["PATH"], "HOME": str(lab / "home")}
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", LAB]
    done = subprocess.run(command, cwd=lab, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = [
        json.loads(path.read_text())
        for path in lab.glob("here/results/vit_digits/*/*/*/result.json")
    ]
    assert len(found) == 3
    assert len({one["job"]["id"] for one in found}) == 1
    assert len({one["metrics"]["acc_infer"] for one in found}) == 1
    assert "export    from the cache" in done.stderr
    (verdict,) = lab.glob("here/results/vit_digits/*/*/*/rerun.json")
    judged = {one["name"]: one["outcome"] for one in json.loads(verdict.read_text())["figures"]}
    assert (judged["predictions"], judged["accuracy"]) == ("reproduced", "reproduced")


@pytest.mark.slow
@pytest.mark.stack
def test_two_bundles_of_the_same_inputs_have_one_sha256(tmp_path: Path) -> None:
    assay = str(ROOT / "driver" / "assay")
    for name in ("one.assay", "two.assay"):
        subprocess.run(
            [assay, "bundle", "--case", "vit_digits", "--out", str(tmp_path / name)], check=True
        )
    listed = subprocess.run(
        ["sha256sum", "one.assay", "two.assay"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len({line.split()[0] for line in listed.stdout.splitlines()}) == 1
    with tarfile.open(tmp_path / "one.assay") as archive:
        first: Any = archive.next()
    assert first.name == "assay-bundle.json"
