"""The cases' accuracy gates, applied to what was printed as valid rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driver.published.gate import Verdict, gate_verdicts
from driver.published.load import load_case
from tests.driver.published.document_text import CASES, DOCUMENTS


def _verdicts() -> list[tuple[str, Verdict]]:
    return [(case, v) for case in DOCUMENTS for v in gate_verdicts(load_case(CASES / case))]


def test_only_sam_fp16_and_stable_diffusion_fp16_are_refused() -> None:
    refused = [(case, v.where, v.printed) for case, v in _verdicts() if v.gate.passed is False]
    assert refused == [
        ("sam_h", "tensorrt fp16 bs 4", "0.89/1.0"),
        ("stable_diffusion_v1_4", "tensorrt fp16 bs 2", "17.1/25.2"),
    ]


def test_the_gate_that_published_toml_keeps_refuses_the_same_rows() -> None:
    """Without case.toml the published file's own bound counts; it must not be a laxer one."""
    refused = []
    for case in DOCUMENTS:
        found = load_case(CASES / case)
        verdicts = gate_verdicts(replace(found, gate=found.published.gate))
        refused += [v.printed for v in verdicts if v.gate.passed is False]
    assert refused == ["0.89/1.0", "17.1/25.2"]


def test_vit_l_fp16_passes_at_one_per_cent() -> None:
    verdict = gate_verdicts(load_case(CASES / "vit_l_16"))[0]
    assert verdict.printed == "79.0/79.3"
    assert verdict.gate.passed is True
    assert verdict.gate.drop == pytest.approx(0.003783, abs=1e-6)


def test_a_row_without_inference_accuracy_is_neither_passed_nor_refused() -> None:
    verdicts = gate_verdicts(load_case(CASES / "stable_diffusion_v1_4"))
    assert [v.gate.passed for v in verdicts if v.printed.startswith("-/")] == [None] * 4


def test_evaluations_are_held_against_the_open_source_model() -> None:
    verdicts = [v for v in gate_verdicts(load_case(CASES / "regnety_016"))]
    assert [v.printed for v in verdicts] == [
        "77.85% / 77.862",
        "77.83% / 77.862",
        "77.85% / 77.862",
        "77.85% / 77.862",
    ]
    assert all(v.gate.passed for v in verdicts)
