"""INPUT=tensor: preprocessed once, then mapped, and recorded in the result; prepared data are found."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.datasets.imagenet.layout import Layout
from driver.datasets.imagenet.sources import open_source
from driver.errors import DataFault
from driver.session.inputs.made_datasets import tensor_bytes
from tests.driver.miniature import write_executable
from tests.driver.session.scripted_runner import HOOK
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.jobs

VERB = """
import json, pathlib, sys
if sys.argv[1] == "tensors":
    folder = pathlib.Path(sys.argv[2])
    here = pathlib.Path(__file__).resolve().parent
    job = json.loads((folder / "job.json").read_text())
    index = json.loads((folder / "data" / "index.json").read_text())
    with (here / "README.md").open("a") as calls:
        calls.write("called\\n")
    made = folder / "out" / "data"
    made.mkdir()
    (made / "items.bin").write_bytes(b"tensors")
    index.update(kind="tensor", sha256="5" * 64)
    (made / "index.json").write_text(json.dumps(index))
    report = {"schema": "assay/stage-report/1", "job_id": job["job"]["id"], "stage": "export",
              "repeat": 0, "status": "ok", "wall_ns": 1}
    broken = (here / "broken").is_file()
    if broken:
        report.update(status="failed", failure={"kind": "data", "message": "item 000001 is not an image",
                                                "remedy": "replace it"})
    (folder / "out" / "report.json").write_text(json.dumps(report))
    sys.exit(1 if broken else 0)
if sys.argv[1] == "infer":
    seen = json.loads((pathlib.Path(sys.argv[2]) / "data" / "index.json").read_text())
    print("the guest sees", seen["kind"])
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    for name in ("acme", "reference"):
        hook = lab.root / "vendor_hooks" / name / "hook"
        write_executable(hook, f"#!{sys.executable}\n{VERB}\n{HOOK}")
    return lab


def calls(lab: Lab) -> int:
    # README.md is not code: changing it changes no key.
    path = lab.root / "vendor_hooks/reference/README.md"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def test_files_are_the_default_input_and_recorded_in_the_result(lab: Lab) -> None:
    finished = lab.run()
    assert finished.result.provenance["dataset"]["input"] == "file"
    assert "the guest sees file" in (finished.folder / "logs/infer-0.log").read_text()
    assert calls(lab) == 0


def test_tensors_are_made_once_and_mapped_by_the_guest(lab: Lab) -> None:
    finished = lab.run(input_kind="tensor")
    assert finished.result.status == "ok"
    assert finished.result.provenance["dataset"]["input"] == "tensor"
    assert finished.result.provenance["dataset"]["sha256"] == "5" * 64
    assert "the guest sees tensor" in (finished.folder / "logs/infer-0.log").read_text()
    lab.run(input_kind="tensor")
    assert calls(lab) == 1


def test_preprocessing_is_shown_as_its_own_task(lab: Lab) -> None:
    lab.run(input_kind="tensor")
    assert lab.listener.tasks == ["tensors", "ended"]


def test_runs_from_tensors_and_from_files_are_different_jobs(lab: Lab) -> None:
    assert lab.run().result.job.id != lab.run(input_kind="tensor").result.job.id


def test_other_constants_or_fewer_items_make_other_tensors(lab: Lab) -> None:
    lab.run(input_kind="tensor")
    lab.run(input_kind="tensor", preprocess="other")
    lab.run(input_kind="tensor", limit=2)
    assert calls(lab) == 3


def test_a_preprocessing_failure_ends_the_run_before_anything_is_recorded(
    lab: Lab,
) -> None:
    (lab.root / "vendor_hooks/reference/broken").touch()
    with pytest.raises(DataFault, match="item 000001 is not an image"):
        lab.run(input_kind="tensor")
    (lab.root / "vendor_hooks/reference/broken").unlink()
    assert lab.run(input_kind="tensor").result.status == "ok"


def test_disk_space_for_tensors_is_checked_first(lab: Lab) -> None:
    case = load_catalog(lab.root).cases["tiny"].manifest
    assert tensor_bytes(case, 10) == 10 * 3 * 8 * 8 * 4


def test_a_prepared_dataset_is_used_without_a_setting(lab: Lab) -> None:
    case = load_catalog(lab.root).cases["tiny"]
    source = open_source(lab.data, case)
    folder = lab.settings.datasets_home / "tiny-val"
    Layout(folder, source.reader, source.labelled).write(source.origin)
    finished = lab.run(data=None)
    recorded = finished.result.provenance["dataset"]
    assert (recorded["kind"], recorded["count"]) == ("real", 4)
    index = json.loads((folder / "data/index.json").read_text())
    assert recorded["sha256"] == index["sha256"] == lab.run().result.provenance["dataset"]["sha256"]
    assert lab.run(data=str(folder)).result.provenance["dataset"]["sha256"] == recorded["sha256"]
