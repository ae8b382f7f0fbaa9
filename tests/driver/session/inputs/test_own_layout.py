"""A layout of the case's own: the reference image reads it, once, and the guest sees items, never the source."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from driver.datasets.own import source_digest
from driver.datasets.weights import locate_weights
from driver.errors import DataFault
from driver.plan.choice import choose
from driver.runners.spec import Stacks
from driver.session.inputs.own_items import prepare_own
from tests.driver.miniature import write_executable
from tests.driver.session.scripted_runner import HOOK
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets.prepared import IndexedDataset

pytestmark = pytest.mark.jobs

VERB = """
import hashlib, json, pathlib, sys
if sys.argv[1] == "data":
    folder = pathlib.Path(sys.argv[2])
    here = pathlib.Path(__file__).resolve().parent
    job = json.loads((folder / "job.json").read_text())
    # As a vocabulary would be: a file of the weights that decides what the items are.
    seen = (folder / "weights" / "config.json").is_file()
    with (here / "README.md").open("a") as calls:
        calls.write("with weights\\n" if seen else "without weights\\n")
    lines = (folder / "source").read_text().splitlines()[: job["case_options"]["source"]["count"]]
    for part in ("data", "labels"):
        (folder / "out" / part).mkdir()
    body = "".join(lines).encode()
    (folder / "out/data/items.bin").write_bytes(body)
    items = [{"id": str(number), "offset": number, "length": 1} for number in range(len(lines))]
    index = {"schema": "assay/dataset/1", "kind": "file", "count": len(lines), "file": "items.bin",
             "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "items": items}
    (folder / "out/data/index.json").write_text(json.dumps(index))
    labels = {"schema": "assay/labels/1", "labels": [{"answers": []}] * len(lines), "classes": [],
              "names": lines}
    (folder / "out/labels/labels.json").write_text(json.dumps(labels))
    report = {"schema": "assay/stage-report/1", "job_id": job["job"]["id"], "stage": "export",
              "repeat": 0, "status": "ok", "wall_ns": 1}
    if "broken" in lines:
        report.update(status="failed", failure={"kind": "data", "message": "the file is cut short",
                                                "remedy": "DATA=<the whole file>"})
    (folder / "out" / "report.json").write_text(json.dumps(report))
    sys.exit(1 if "broken" in lines else 0)
if (pathlib.Path(sys.argv[2]) / "source").exists():
    print("sees the source")
"""


OWN = 'layout = "own"\nform = "a file of letters"'


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    for name in ("acme", "reference"):
        hook = lab.root / "vendor_hooks" / name / "hook"
        write_executable(hook, f"#!{sys.executable}\n{VERB}\n{HOOK}")
    path = lab.root / "cases/tiny/case.toml"
    text = path.read_text().replace('layout = "imagefolder"', OWN)
    path.write_text(text.replace("classes = 2\n", ""))
    lab.data = tmp_path / "letters.txt"
    lab.data.write_text("a\nb\nc\n")
    lab.request = lab.request.model_copy(update={"data": str(lab.data)})
    return lab


def called(lab: Lab) -> list[str]:
    # README.md is not code: changing it changes no key.
    path = lab.root / "vendor_hooks/reference/README.md"
    return path.read_text().splitlines() if path.is_file() else []


def calls(lab: Lab) -> int:
    return len(called(lab))


def prepare(lab: Lab) -> IndexedDataset:
    """Prepare the letters as `make data` does."""
    site = lab.site()
    choice = choose(lab.request, site.catalog)
    python = lab.installer.install(choice.stack).stack
    weights = locate_weights(choice.case, choice.request.weights, lab.settings)
    stacks = Stacks(reference=python, vendor=python)
    return prepare_own(site, choice, lab.data, weights, stacks)


def reads_nothing_else(lab: Lab) -> None:
    path = lab.root / "cases/tiny/case.toml"
    path.write_text(path.read_text().replace(OWN, f"{OWN}\nreads = []"))


def other_weights(folder: Path) -> str:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"others")
    return str(folder)


def test_it_is_read_once_and_the_guest_sees_items_alone(lab: Lab) -> None:
    finished = lab.run()
    assert finished.result.status == "ok"
    recorded = finished.result.provenance["dataset"]
    assert (recorded["kind"], recorded["count"]) == ("real", 3)
    logs = [path.read_text() for path in (finished.folder / "logs").iterdir()]
    assert not any("sees the source" in log for log in logs)
    assert lab.run().result.provenance["dataset"] == recorded
    assert calls(lab) == 1
    assert "reading letters.txt for tiny" in lab.listener.notes


def test_another_file_or_fewer_items_are_another_dataset(lab: Lab) -> None:
    first = lab.run().result
    fewer = lab.run(limit=2).result
    lab.data.write_text("a\nb\nd\n")
    other = lab.run().result
    assert calls(lab) == 3
    assert fewer.provenance["dataset"]["count"] == 2
    assert len({one.job.id for one in (first, fewer, other)}) == 3


def test_other_weights_may_make_other_items(lab: Lab, tmp_path: Path) -> None:
    first = lab.run().result
    second = lab.run(weights=other_weights(tmp_path / "others")).result
    assert called(lab) == ["with weights", "with weights"]
    assert first.job.id != second.job.id


def test_items_that_do_not_depend_on_weights_are_made_once_for_all_and_without_them(
    lab: Lab, tmp_path: Path
) -> None:
    reads_nothing_else(lab)
    lab.run()
    lab.run(weights=other_weights(tmp_path / "others"))
    assert called(lab) == ["without weights"]


def test_prepared_items_are_found_without_data_even_if_their_source_is_gone(lab: Lab) -> None:
    made = prepare(lab)
    assert made.data.parent == lab.settings.datasets_home / "tiny-val"
    assert prepare(lab).cached
    lab.data.unlink()
    whole, fewer = (lab.run(data=None, limit=limit).result for limit in (None, 2))
    assert calls(lab) == 1
    assert whole.provenance["dataset"]["sha256"] == made.sha256
    assert (whole.provenance["dataset"]["count"], fewer.provenance["dataset"]["count"]) == (3, 2)


def test_other_weights_make_other_items_of_the_prepared_source(lab: Lab, tmp_path: Path) -> None:
    prepare(lab)
    others = other_weights(tmp_path / "others")
    assert lab.run(data=None, weights=others).result.status == "ok"
    assert calls(lab) == 2
    lab.data.write_text("a\n")
    with pytest.raises(DataFault, match=r"letters\.txt has changed since"):
        lab.run(data=None, weights=others)
    lab.data.unlink()
    with pytest.raises(DataFault, match="is gone") as caught:
        lab.run(data=None, weights=others)
    assert "make data CASE=tiny SRC=" in caught.value.remedy


def test_preparing_another_source_replaces_what_was_prepared(lab: Lab) -> None:
    first = prepare(lab)
    lab.data.write_text("a\nb\n")
    second = prepare(lab)
    assert (first.count, second.count) == (3, 2)
    assert lab.run(data=None).result.provenance["dataset"]["count"] == 2


def test_a_file_that_cannot_be_read_ends_the_run_with_the_readers_words(lab: Lab) -> None:
    lab.data.write_text("a\nbroken\n")
    with pytest.raises(DataFault, match="the dataset could not be made: the file is cut short"):
        lab.run()


def test_a_damaged_item_is_read_again_and_named(lab: Lab) -> None:
    lab.run()
    (kept,) = lab.settings.cache.glob("datasets/tiny-val-*/data/items.bin")
    kept.write_bytes(b"abX")
    finished = lab.run()
    assert finished.result.status == "ok"
    assert kept.read_bytes() == b"abc"
    assert "data/items.bin" in json.dumps(finished.result.provenance["made_again"])


def test_a_source_is_what_its_visible_files_hold(tmp_path: Path) -> None:
    folder, memory = tmp_path / "coco", tmp_path / "memory"
    (folder / "val").mkdir(parents=True)
    (folder / "val/1.jpg").write_bytes(b"one")
    first = source_digest(folder, memory)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "val/._1.jpg").write_bytes(b"x")
    assert source_digest(folder, memory) == first
    (folder / "val/1.jpg").rename(folder / "val/2.jpg")
    renamed = source_digest(folder, memory)
    (folder / "val/2.jpg").write_bytes(b"two")
    assert len({first, renamed, source_digest(folder, memory)}) == 3


def test_only_files_that_the_case_reads_are_part_of_a_source(tmp_path: Path) -> None:
    folder, memory = tmp_path / "coco", tmp_path / "memory"
    for name in ("val/1.jpg", "val/deep/2.jpg", "train/1.jpg", "1.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"one")
    read = ("val/*", "1.json")
    first = source_digest(folder, memory, read)
    (folder / "train/1.jpg").write_bytes(b"two")
    assert source_digest(folder, memory, read) == first
    (folder / "val/deep/2.jpg").write_bytes(b"two")
    assert source_digest(folder, memory, read) != first
    with pytest.raises(DataFault, match=r"has none of test/\*"):
        source_digest(folder, memory, ("test/*",))
    assert source_digest(folder / "1.json", memory, ("test/*",))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFault, match="has no files"):
        source_digest(tmp_path / "empty", tmp_path / "memory")
