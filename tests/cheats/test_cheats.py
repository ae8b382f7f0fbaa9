"""Hooks that cut corners in the core loop fail, or gain nothing by it; the honest one passes every time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from driver.errors import EXIT_OF_KIND
from driver.models.base import FailureKind
from driver.results.gate import FP32_COSINE_MIN, slackened
from tests.harness.job_folder import CLASSES, JobFolder, Outcome
from tests.harness.modules import kernel

pytestmark = pytest.mark.jobs

HERE = Path(__file__).parent
ENGINES = sorted(path.stem for path in (HERE / "hook" / "engines").glob("*.py"))

FAIL = {
    "remembers_addresses": "sampled from the core loop",
    "zeros_in_core": "sampled from the core loop",
    "zeros_before_files": "beside the core loop",
    "previous_in_core": "sampled from the core loop",
    "first_items_only": "sampled from the core loop",
    "does_not_wait": "",
}
GAIN_NOTHING = ("remembers_batches", "remembers_items")


def run(folder: Path, engine: str, *, batch_size: int = 4, seconds: float = 0.3) -> Outcome:
    measure = {"min_seconds": seconds, "latency_min_calls": 0}
    job = JobFolder(
        folder / "job",
        hook=HERE / "hook",
        engine=engine,
        batch_size=batch_size,
        measure=measure,
        golden_count=40,
    )
    return job.with_pictures(40).run()


def test_the_readme_names_every_engine_and_its_verdict() -> None:
    rows = [
        line.split("|")
        for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    named = {cells[1].strip().strip("`"): cells[3].strip() for cells in rows}
    assert sorted(named) == ENGINES
    assert {name for name, verdict in named.items() if verdict == "`contract`"} == set(FAIL)
    assert EXIT_OF_KIND[FailureKind.CONTRACT] == 5
    assert os.access(HERE / "hook" / "hook", os.X_OK)


@pytest.mark.parametrize("batch_size", [1, 4, 40, 64])
def test_an_honest_engine_passes(tmp_path: Path, batch_size: int) -> None:
    report = run(tmp_path, "honest", batch_size=batch_size).ok
    assert report.core_agreement == 1.0
    assert report.details["core_check"]["largest_difference"] < 1e-5


@pytest.mark.parametrize(("engine", "said"), FAIL.items())
def test_a_short_cut_breaks_the_contract(tmp_path: Path, engine: str, said: str) -> None:
    assert said in run(tmp_path, engine).failed("contract")


def test_what_is_consistent_with_itself_differs_from_the_reference(tmp_path: Path) -> None:
    cosines = {}
    for engine in ("honest", "samples_content"):
        kept = run(tmp_path / engine, engine, seconds=2.0).npz("core_samples.npz")
        rows = kept["input:input"].reshape(len(kept["input:input"]), -1)
        weights = np.random.RandomState(0).standard_normal((rows.shape[1], CLASSES))
        expected = np.tanh(rows @ weights.astype(np.float32) / 30)
        found = kept["output:logits"]
        product = np.sum(found * expected, axis=1)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        cosines[engine] = float(np.min(product / norms))
    assert cosines["honest"] > 0.99999
    assert cosines["samples_content"] < slackened(FP32_COSINE_MIN)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("engine", GAIN_NOTHING)
def test_no_item_comes_twice(tmp_path: Path, engine: str, batch_size: int) -> None:
    assert run(tmp_path, engine, batch_size=batch_size).ok.versions["hits"] == "0"


def test_a_clock_slowed_by_the_engine_is_not_the_harness_s(tmp_path: Path) -> None:
    outcome = run(tmp_path, "slows_clock")
    assert outcome.ok
    # A call may be posted ahead, and a busy machine delivers two answers together: the mean tells.
    assert outcome.npy("core.npy").mean() >= 1e6


@pytest.mark.skipif(kernel.landlock_version() is None, reason="this kernel has no Landlock")
def test_the_out_folder_cannot_be_edited_while_the_engine_runs(tmp_path: Path) -> None:
    outcome = run(tmp_path, "edits_out")
    assert outcome.ok.versions["hits"] == "0"
    assert len(outcome.npz("predictions.npz")["classes"]) == 40


def test_inputs_cannot_be_exchanged_for_remembered_ones(tmp_path: Path) -> None:
    assert "signal 11 (SIGSEGV)" in run(tmp_path, "swaps_inputs").failed("infer")


def test_the_seed_of_each_process_is_another_and_is_reported(tmp_path: Path) -> None:
    seeds = {
        run(tmp_path / str(n), "honest", seconds=0.05).ok.details["core_inputs"]["seed"]
        for n in range(3)
    }
    assert len(seeds) == 3
