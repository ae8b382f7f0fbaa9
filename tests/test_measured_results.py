"""The examples in results/measured: whole, small, measured from a commit, and of no machine by name."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from driver.aggregate.tree import find_results
from driver.bundle.chain import own_files, read_result
from driver.models.base import Tier
from driver.results.statement import statement_text
from driver.system.hashing import file_sha256

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "results" / "measured"
RESULTS = sorted(MEASURED.rglob("result.json"))
PLACES = re.compile(rb"(?<![\w.:/<-])/(?:home|root|tmp|work|mnt|srv|users|var/tmp)/", re.IGNORECASE)
MAX_BYTES = 5_000_000


def test_there_are_three_of_each_small_job_and_one_of_each_large() -> None:
    jobs = Counter(path.relative_to(MEASURED).parts[:2] for path in RESULTS)
    assert jobs == {
        ("vit_digits", "cpu"): 3,
        ("vit_digits", "intel"): 3,
        ("vit_b_32", "cpu"): 1,
        ("vit_b_32", "intel"): 1,
    }


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in MEASURED.rglob("*") if path.is_file()) < MAX_BYTES


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_each_is_whole_and_was_measured(path: Path) -> None:
    folder, result = read_result(path)
    assert [link for link in own_files(folder, result) if link.state != "verified"] == []
    assert (result.status, result.simulated, result.job.tier) == ("ok", False, Tier.STANDARD)
    assert re.fullmatch(r"[0-9a-f]{40}", str(result.provenance["commit"])), "a commit, no changes"
    assert result.predictions is not None
    assert result.provenance["tolerances"]
    said = (folder / "statement.json").read_text("utf-8")
    assert said == statement_text(result, file_sha256(path))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_none_names_a_machine_or_a_place_on_it(path: Path) -> None:
    assert json.loads(path.read_text("utf-8"))["provenance"]["host"]["name"] is None
    texts = [one for one in path.parent.rglob("*") if one.is_file() and one.suffix != ".npy"]
    assert [one.name for one in texts if PLACES.search(one.read_bytes())] == []


def test_a_users_own_report_leaves_them_out() -> None:
    assert list(find_results([ROOT / "results"]).files) == [
        file for file in find_results([ROOT / "results"]).files if "/measured/" not in file.path
    ]
    assert len(find_results([MEASURED]).files) == len(RESULTS)
