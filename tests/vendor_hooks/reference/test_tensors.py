"""Verb tensors: every item preprocessed once, bit for bit what the task prepares."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.vendor_hooks.reference.conftest import GOLDEN
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

PREPARED = """
import hashlib, json, sys
from harness.inputs.dataset import Dataset
from harness.job import read_job
from harness.plugins import load_task
job = read_job(sys.argv[1], "export")
task, items = load_task(job), Dataset(job.data_dir)
arrays = [task.prepare(items.read(place))["input"] for place in range(len(items))]
print(json.dumps([hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]))
"""


def run(job: JobFolder, python: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=job.environment(python) | {"PYTHONPATH": str(job.folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def tensors(job: JobFolder, python: Path) -> Outcome:
    """Run the verb as the driver does: in the place of the export stage, whose report it writes."""
    job.write_job("export")
    done = run(job, python, str(job.folder / "hook" / "hook"), "tensors", str(job.folder))
    return job.outcome(done.returncode, done.stdout + done.stderr)


def index_of(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((outcome.out / "data" / "index.json").read_text())
    return document


def test_every_item_is_what_the_task_prepares_bit_for_bit(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    job = make_digits()
    outcome = tensors(job, reference_python)
    assert outcome.ok.stage == "export"
    index = index_of(outcome)
    assert (index["kind"], index["count"]) == ("tensor", GOLDEN)
    assert index["tensors"] == [{"name": "input", "shape": [3, 32, 32], "dtype": "float32"}]
    blob = (outcome.out / "data" / "items.bin").read_bytes()
    assert index["bytes"] == len(blob) == GOLDEN * 3 * 32 * 32 * 4
    assert index["sha256"] == hashlib.sha256(blob).hexdigest()
    found = [
        hashlib.sha256(blob[item["offset"] :][: item["length"]]).hexdigest()
        for item in index["items"]
    ]
    expected = run(job, reference_python, str(reference_python), "-c", PREPARED, str(job.folder))
    assert found == json.loads(expected.stdout)


def test_ids_stay_so_that_a_failure_names_the_same_item(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    job = make_digits()
    before = [item["id"] for item in json.loads((job.data / "index.json").read_text())["items"]]
    assert [item["id"] for item in index_of(tensors(job, reference_python))["items"]] == before


def test_a_picture_that_is_none_is_booked_on_the_data(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    job = make_digits()
    path = job.data / "items.bin"
    path.write_bytes(b"x" * path.stat().st_size)
    assert "is not a readable image" in tensors(job, reference_python).failed("data")


def test_tensors_are_not_preprocessed_again(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    job = make_digits()
    made = tensors(job, reference_python).out / "data"
    for name in ("index.json", "items.bin"):
        (job.data / name).write_bytes((made / name).read_bytes())
    assert "already of kind tensor" in tensors(job, reference_python).failed("data")
