"""Stage score: labels with real data, agreement with synthetic, fidelity of raw outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.job_folder import JobFolder
from tests.vendor_hooks.reference.stack import CASES, HOOK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeScore = Callable[..., JobFolder]

LABELS = [3, 1, 2, 0, 1, 2]


def logits(winners: list[int], runners_up: list[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return logits [N, 10] whose best and second-best classes are given."""
    array = np.zeros((len(winners), 10), np.float32)
    array[np.arange(len(winners)), runners_up] = 1
    array[np.arange(len(winners)), winners] = 2
    return array


def classes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the five best classes, as the task decodes them."""
    return np.argsort(-array, axis=1, kind="stable")[:, :5].astype(np.int32)


@pytest.fixture
def make_score(tmp_path: Path) -> MakeScore:
    """Return what writes a score stage's folder from logits of infer, validate and golden."""

    def make(
        *, infer: Any, validate: Any = None, golden: Any = None, labels: Any = LABELS, **job: Any
    ) -> JobFolder:
        settings = {"data": "real", "outputs": [{"name": "output", "shape": [10]}]} | job
        folder = JobFolder(tmp_path / "job", hook=HOOK, case=CASES / "vit_digits", **settings)
        there = next(array for array in (infer, validate) if array is not None)
        folder.with_pictures(len(there))
        for stage, array in (("infer", infer), ("validate", validate)):
            if array is not None:
                (folder.folder / stage).mkdir()
                np.savez(folder.folder / stage / "predictions.npz", classes=classes(array))
                np.savez(folder.folder / stage / "raw.npz", output=array)
        for name in ("labels", "golden"):
            (folder.folder / name).mkdir()
        (folder.folder / "labels" / "labels.json").write_text(json.dumps({"labels": labels}))
        np.savez(
            folder.folder / "golden" / "golden.npz", output=infer if golden is None else golden
        )
        return folder

    return make


def test_real_data_is_scored_against_labels(make_score: MakeScore) -> None:
    infer = logits([3, 1, 2, 0, 9, 9], [0, 0, 0, 1, 1, 8])
    validate = logits(LABELS, [0, 0, 0, 1, 0, 0])
    report = make_score(infer=infer, validate=validate).run_forked("score").ok
    assert report.accuracy["infer"].kind == "labels"
    assert report.accuracy["infer"].items == 6
    assert report.accuracy["infer"].values["top1"] == pytest.approx(400 / 6)
    assert report.accuracy["infer"].values["top2"] == pytest.approx(500 / 6)
    assert report.accuracy["validate"].values["top1"] == 100.0


def test_no_validate_stage_leaves_its_accuracy_out(make_score: MakeScore) -> None:
    report = make_score(infer=logits(LABELS, [9] * 6)).run_forked("score").ok
    assert set(report.accuracy) == {"infer"}


def test_with_a_limit_the_first_labels_count(make_score: MakeScore) -> None:
    job = make_score(infer=logits(LABELS[:4], [9] * 4), measure={"limit": 4})
    report = job.with_pictures(6).run_forked("score").ok
    assert report.accuracy["infer"].items == 4
    assert report.accuracy["infer"].values["top1"] == 100.0


@pytest.mark.parametrize("synthetic", [{"data": "synthetic"}, {"weights": "synthetic"}])
def test_anything_synthetic_is_scored_by_agreement(
    make_score: MakeScore, synthetic: dict[str, str]
) -> None:
    golden = logits([5, 6, 7], [0, 0, 0])
    infer = logits([5, 6, 8, 1, 1, 1], [0, 0, 7, 0, 0, 0])
    report = make_score(infer=infer, golden=golden, **synthetic).run_forked("score").ok
    assert report.accuracy["infer"].kind == "agreement"
    assert report.accuracy["infer"].items == 3
    assert report.accuracy["infer"].values["top1"] == pytest.approx(200 / 3)
    assert report.accuracy["infer"].values["top2"] == 100.0


def test_fidelity_is_the_worst_item_against_fp32(make_score: MakeScore) -> None:
    golden = np.eye(3, 10, dtype=np.float32) * 2
    infer = golden.copy()
    infer[1, 0] = 2  # 45 degrees off
    report = make_score(infer=infer, golden=golden).run_forked("score").ok
    assert report.fidelity is not None
    assert report.fidelity.items == 3
    assert report.fidelity.cosine_min == pytest.approx(0.5**0.5)
    assert report.fidelity.max_abs == 2.0


def test_more_predictions_than_labels_is_a_fault_of_the_data(make_score: MakeScore) -> None:
    outcome = make_score(infer=logits(LABELS, [9] * 6), labels=[1, 2]).run_forked("score")
    assert "6 predictions, but only 2 labels" in outcome.failed("data")


def test_no_predictions_break_the_contract(make_score: MakeScore) -> None:
    golden = logits(LABELS, [9] * 6)
    outcome = make_score(infer=None, validate=golden, golden=golden).run_forked("score")
    assert "infer wrote no predictions.npz" in outcome.failed("contract")


def test_cut_predictions_are_no_traceback(make_score: MakeScore) -> None:
    job = make_score(infer=logits(LABELS, [9] * 6))
    path = job.folder / "infer" / "predictions.npz"
    path.write_bytes(path.read_bytes()[:40])
    outcome = job.run_forked("score")
    assert "predictions.npz cannot be read" in outcome.failed("contract")
    assert "Traceback" not in outcome.log


def test_labels_that_cannot_be_read_are_a_fault_of_the_data(make_score: MakeScore) -> None:
    job = make_score(infer=logits(LABELS, [9] * 6))
    (job.folder / "labels" / "labels.json").write_text("{}")
    assert "labels.json cannot be read" in job.run_forked("score").failed("data")


def rewritten(job: JobFolder, file: str, **arrays: Any) -> JobFolder:
    """Return the job with another file of infer's in its place."""
    np.savez(job.folder / "infer" / file, **arrays)
    return job


GOOD = logits(LABELS, [9] * 6)


@pytest.mark.parametrize(
    ("file", "arrays", "said"),
    [
        (
            "predictions.npz",
            {"labels": classes(GOOD)},
            "'classes': this array is missing; the file has ['labels']",
        ),
        ("predictions.npz", {}, "'classes': this array is missing; the file has no arrays"),
        ("predictions.npz", {"classes": classes(GOOD)[:4]}, "4 rows, but the dataset has 6 items"),
        ("predictions.npz", {"classes": classes(GOOD)[:, :1]}, "shape [1] per item, expected [5]"),
        ("predictions.npz", {"classes": np.int32(3)}, "a single number, without rows"),
        (
            "predictions.npz",
            {"classes": classes(GOOD).astype(np.float32)},
            "dtype float32, expected int32",
        ),
        ("raw.npz", {"logits": GOOD}, "'output': this array is missing; the file has ['logits']"),
        ("raw.npz", {"output": GOOD[:, :9]}, "shape [9] per item, expected [10]"),
        ("raw.npz", {"output": GOOD * np.nan}, "contains NaN or Inf"),
    ],
)
def test_what_cannot_be_scored_is_the_hooks_failure_with_what_was_expected(
    make_score: MakeScore, file: str, arrays: dict[str, Any], said: str
) -> None:
    outcome = rewritten(make_score(infer=GOOD), file, **arrays).run_forked("score")
    assert said in outcome.failed("contract")
    assert f"infer wrote a {file} that cannot be scored" in outcome.failed("contract")
    assert "Traceback" not in outcome.log


def test_wider_whole_numbers_are_whole_numbers(make_score: MakeScore) -> None:
    job = rewritten(
        make_score(infer=GOOD), "predictions.npz", classes=classes(GOOD).astype(np.int64)
    )
    assert job.run_forked("score").ok.accuracy["infer"].values["top1"] == 100.0


def test_no_raw_outputs_break_the_contract(make_score: MakeScore) -> None:
    job = make_score(infer=GOOD)
    (job.folder / "infer" / "raw.npz").unlink()
    assert "infer wrote no raw.npz" in job.run_forked("score").failed("contract")
