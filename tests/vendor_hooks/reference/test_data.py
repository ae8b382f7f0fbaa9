"""Verb data: generated pictures in the layout that real data sets are given."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from driver.datasets.prepared import read_indexed
from tests.harness.job_folder import JobFolder, Outcome
from tests.harness.modules import dataset
from tests.vendor_hooks.reference.stack import CASES, HOOK
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack

COUNT = 12
SPEC: dict[str, Any] = {
    "layout": "imagefolder",
    "count": COUNT,
    "width": 100,
    "height": 75,
    "seed": 5,
}


def draw(
    folder: Path,
    python: Path,
    *,
    spec: dict[str, Any] = SPEC,
    case: Path = CASES / "vit_b_32",
    source: Path | None = None,
    **job: Any,
) -> Outcome:
    """Run the verb as the driver does: in the place of the export stage, whose report it writes."""
    document = {
        "outputs": [{"name": "output", "shape": [1000]}],
        "case_options": {"synthetic": spec},
        **job,
    }
    made = JobFolder(folder, hook=HOOK, case=case, **document)
    if source is not None:
        (made.folder / "source").symlink_to(source)
    made.write_job("export")
    done = subprocess.run(
        [str(made.folder / "hook" / "hook"), "data", str(made.folder)],
        env=made.environment(python),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return made.outcome(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def drawn(reference_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return draw(tmp_path_factory.mktemp("data") / "job", reference_python)


def test_the_driver_can_read_it_as_a_data_set(drawn: Outcome) -> None:
    assert drawn.ok.stage == "export"
    found = read_indexed(drawn.out, cached=False)
    assert found.count == COUNT
    payload = (drawn.out / "data" / "items.bin").read_bytes()
    assert found.sha256 == hashlib.sha256(payload).hexdigest()


def test_every_item_is_a_jpeg_and_no_two_are_alike(drawn: Outcome) -> None:
    items = dataset.Dataset(drawn.out / "data")
    payloads = [items.read(position) for position in range(COUNT)]
    items.close()
    assert all(payload.startswith(b"\xff\xd8\xff") for payload in payloads)
    assert len(set(payloads)) == COUNT
    # Structure and noise: a plain picture of this size compresses to less than 1 KB.
    assert min(len(payload) for payload in payloads) > 2000


def test_labels_are_chance_and_their_names_no_synsets(drawn: Outcome) -> None:
    labels = json.loads((drawn.out / "labels" / "labels.json").read_text(encoding="utf-8"))
    assert len(labels["labels"]) == COUNT
    assert len(labels["classes"]) == 1000
    assert labels["classes"] == sorted(labels["classes"])
    assert all(name.startswith("n9") for name in labels["classes"])
    first = labels["classes"][labels["labels"][0]]
    assert labels["names"][0] == f"{first}/synthetic_00000001.JPEG"
    index = (drawn.out / "data" / "index.json").read_text(encoding="utf-8")
    assert first not in index


def test_the_seed_decides(drawn: Outcome, reference_python: Path, tmp_path: Path) -> None:
    same = draw(tmp_path / "same", reference_python)
    other = draw(tmp_path / "other", reference_python, spec={**SPEC, "seed": 6})
    first = (drawn.out / "data" / "items.bin").read_bytes()
    assert (same.out / "data" / "items.bin").read_bytes() == first
    assert (other.out / "data" / "items.bin").read_bytes() != first


def test_a_smaller_count_is_the_beginning_of_a_larger_one(
    drawn: Outcome, reference_python: Path, tmp_path: Path
) -> None:
    fewer = draw(tmp_path / "fewer", reference_python, spec={**SPEC, "count": 3})
    first = (drawn.out / "data" / "items.bin").read_bytes()
    assert first.startswith((fewer.out / "data" / "items.bin").read_bytes())


def test_pictures_differ_in_more_than_noise() -> None:
    from importlib import import_module

    pictures = import_module("harness.inputs.generated_pictures")
    blocks = [
        pictures.picture(0, number, 64, 48).reshape(6, 8, 8, 8, 3).mean(axis=(1, 3))
        for number in range(6)
    ]
    distances = [
        np.abs(left - right).mean() for n, left in enumerate(blocks) for right in blocks[:n]
    ]
    assert min(distances) > 5
    assert all(block.std() > 5 for block in blocks)
