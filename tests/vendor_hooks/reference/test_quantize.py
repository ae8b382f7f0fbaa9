"""A graph with quantizers: what it was calibrated on, that none of that is in the dataset, and how right it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.forks import EXPORTING
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.reference.conftest import PROBES
from tests.vendor_hooks.reference.stack import probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

CASE = ROOT / "cases" / "vit_digits"
EXPORT = {"opset": 18, "batch": "dynamic"}


def digest(payloads: list[bytes]) -> str:
    parts = b"".join(hashlib.sha256(payload).digest() for payload in payloads)
    return hashlib.sha256(parts).hexdigest()


def export(job: JobFolder, python: Path) -> Outcome:
    """Run the stage without a second process, which no graph of this size has."""
    return job.run_forked("export", python=python, modules=EXPORTING)


def exported(outcome: Outcome) -> dict[str, Any]:
    """Return export.json; the file that it describes is there."""
    model = outcome.out / "model"
    document: dict[str, Any] = json.loads((model / "export.json").read_text(encoding="utf-8"))
    graph = (model / f"model.{document['quantized']['precision']}.onnx").read_bytes()
    assert document["quantized_sha256"] == hashlib.sha256(graph).hexdigest()
    assert b"DequantizeLinear" in graph
    # The graph for the other precisions stays what it is.
    assert b"DequantizeLinear" not in (model / "model.onnx").read_bytes()
    return document


def test_it_is_calibrated_on_the_cases_pictures_and_says_on_which(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    quantize = {"precision": "int8", "bundled": "calibration"}
    outcome = export(make_digits(export=EXPORT, quantize=quantize), reference_python)
    found = exported(outcome)["quantized"]
    pictures = sorted((CASE / "calibration").iterdir())
    assert (found["items"], found["items_from"]) == (len(pictures), "calibration")
    assert found["items_sha256"] == digest([path.read_bytes() for path in pictures])
    assert found["by"].startswith("onnxruntime ")
    listed = {artifact.path for artifact in outcome.ok.artifacts}
    assert "out/model/model.int8.onnx" in listed


def test_fp8_of_the_real_digits_is_as_right_as_fp32(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    """ONNX Runtime's quantizers of E4M3 round for real; what is between them it multiplies in fp32."""
    # Opset 16 has no float8, and a LayerNormalization of single operators: what TensorRT's engine asks for.
    quantize = {"precision": "fp8", "bundled": "calibration"}
    job = make_digits(export={"opset": 16, "batch": "dynamic"}, quantize=quantize)
    outcome = export(job, reference_python)
    assert exported(outcome)["quantized"]["items"] == len(list((CASE / "calibration").iterdir()))
    left = sorted(path.name for path in (outcome.out / "model").glob("*.onnx"))
    assert left == ["model.fp8.onnx", "model.onnx"]
    found = probe(reference_python, PROBES / "fp8_graph.py", str(CASE), str(outcome.out / "model"))
    assert found["opset"] == 19
    # FLOAT8E4M3FN, all zero, one a tensor, with its scale: activations and weights alike.
    assert (found["zero_types"], found["zero_bytes"], found["shapes"]) == ([17], [0], [[]])
    # The convolution of three channels has no kernel in fp8, so TensorRT gets it in fp32.
    assert found["quantized"] == {"Gemm": 21, "MatMul": 12}
    assert found["plain"] == {"Conv": 1}
    assert found["largest"] == pytest.approx([448] * found["weights"], rel=1e-5)
    assert found["items"] == 364
    assert found["right"]["fp32"] == 357
    assert found["right"]["fp8"] >= 355
    # The accuracies agree, so the gate asks for 0.9 (docs/figures.md).
    assert 0.9 < found["cosine_min"] < 0.9999


def test_synthetic_data_are_calibrated_on_pictures_that_follow_theirs(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> None:
    series = {"count": 5, "width": 48, "height": 48, "seed": 0, "first": 256}
    quantize = {"precision": "int8", "generated": series}
    job = make_digits(export={"opset": 16, "batch": "static"}, quantize=quantize)
    found = exported(export(job, reference_python))["quantized"]
    assert (found["items"], found["items_from"]) == (5, "generated")


def test_no_calibration_picture_of_a_case_is_in_its_dataset() -> None:
    for manifest in ROOT.glob("cases/*/calibration"):
        case = manifest.parent
        known = {path.read_bytes() for path in (case / "data").rglob("*") if path.is_file()}
        calibrated = [path.read_bytes() for path in manifest.iterdir()]
        assert calibrated
        assert not known & set(calibrated), case
