"""`bundle RESULT=…` asks for a result's job again, wherever it was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.catalog.catalog import load_catalog
from driver.models.result import Result
from driver.plan.choice import choose
from driver.plan.request import parse_request
from driver.rerun.asking import asked_by
from tests import documents

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("vendor", "stack", "engine", "chip", "asked"),
    [
        ("nvidia", "cuda12.1-trt8.6", "tensorrt", "A100", "A100"),
        ("nvidia", "cuda12.1-trt8.6", "tensorrt", "NVIDIA A100-SXM4-80GB MIG 1g.10gb", None),
        ("nvidia", "cuda12.1-trt8.6", "tensorrt", "NVIDIA H200 NVL", None),
        ("intel", "openvino2026.4", "openvino", "AMD EPYC 9B14, 64 of 64 threads, 64 GiB", None),
    ],
)
def test_a_result_of_a_chip_that_no_manifest_lists_can_be_bundled(
    vendor: str, stack: str, engine: str, chip: str, asked: str | None
) -> None:
    key = documents.job(vendor=vendor, stack=stack, engine=engine, chip=chip, precision="fp32")
    result = Result.model_validate(documents.document(job=key))
    catalog = load_catalog(ROOT)
    given = asked_by(result, catalog)
    assert given["chip"] == asked
    assert choose(parse_request(given), catalog).engine_name == engine
