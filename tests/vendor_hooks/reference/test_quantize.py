"""A graph with quantizers: what it was calibrated on, and that none of that is in the dataset."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

CASE = ROOT / "cases" / "vit_digits"
EXPORT = {"opset": 18, "batch": "dynamic"}


def digest(payloads: list[bytes]) -> str:
    parts = b"".join(hashlib.sha256(payload).digest() for payload in payloads)
    return hashlib.sha256(parts).hexdigest()


def exported(outcome: Outcome) -> dict[str, Any]:
    """Return export.json; the file that it describes is there."""
    model = outcome.out / "model"
    document: dict[str, Any] = json.loads((model / "export.json").read_text(encoding="utf-8"))
    graph = (model / "model.int8.onnx").read_bytes()
    assert document["quantized_sha256"] == hashlib.sha256(graph).hexdigest()
    assert b"DequantizeLinear" in graph
    # The graph for the other precisions stays what it is.
    assert b"DequantizeLinear" not in (model / "model.onnx").read_bytes()
    return document


def test_it_is_calibrated_on_the_cases_pictures_and_says_on_which(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    quantize = {"precision": "int8", "bundled": "calibration"}
    outcome = make_digits(export=EXPORT, quantize=quantize).run("export", python=reference_python)
    found = exported(outcome)["quantized"]
    pictures = sorted((CASE / "calibration").iterdir())
    assert (found["items"], found["items_from"]) == (len(pictures), "calibration")
    assert found["items_sha256"] == digest([path.read_bytes() for path in pictures])
    assert found["by"].startswith("onnxruntime ")
    listed = {artifact.path for artifact in outcome.ok.artifacts}
    assert "out/model/model.int8.onnx" in listed


def test_synthetic_data_are_calibrated_on_pictures_that_follow_theirs(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    series = {"count": 5, "width": 48, "height": 48, "seed": 0, "first": 256}
    quantize = {"precision": "int8", "generated": series}
    job = make_digits(export={"opset": 16, "batch": "static"}, quantize=quantize)
    found = exported(job.run("export", python=reference_python))["quantized"]
    assert (found["items"], found["items_from"]) == (5, "generated")


def test_no_calibration_picture_of_a_case_is_in_its_dataset() -> None:
    for manifest in ROOT.glob("cases/*/calibration"):
        case = manifest.parent
        known = {path.read_bytes() for path in (case / "data").rglob("*") if path.is_file()}
        calibrated = [path.read_bytes() for path in manifest.iterdir()]
        assert calibrated
        assert not known & set(calibrated), case
