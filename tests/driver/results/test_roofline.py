"""The roofline: intensity, achieved rate, peak and bandwidth, and nothing where a part is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.models.result import Result
from driver.results.roofline import Roofline, roofline_of, work_of
from driver.system.settings import ROOT
from tests import documents


def roofline(provenance: dict[str, Any] | None = None, **changes: Any) -> Roofline:
    key = changes.get("job") or documents.job()
    origin = documents.provenance(key) | (provenance or {})
    return roofline_of(
        Result.model_validate(documents.document(**{**changes, "provenance": origin}))
    )


def test_the_intensity_counts_parameters_once_a_call_and_inputs_and_outputs_once_an_item() -> None:
    found = roofline(metrics=documents.metrics(1000.0))
    elements = 304_326_632 + 64 * (150_528 + 1000)
    assert found.intensity == pytest.approx(2 * 61_554_712_576 * 64 / (2 * elements))
    assert found.achieved == pytest.approx(2 * 61_554_712_576 * 1000.0)
    assert (found.peak, found.bandwidth) == (312e12, 1555e9)


def test_a_larger_batch_and_a_narrower_type_raise_the_intensity() -> None:
    small, large = (roofline(job=documents.job(batch_size=size)).intensity for size in (1, 64))
    wide = roofline({"effective": {"infer": {"arithmetic": "tf32"}}}).intensity
    assert small is not None
    assert large is not None
    assert wide is not None
    assert small < large
    assert wide == pytest.approx(large / 2)


def test_the_peak_is_that_of_the_arithmetic_that_ran() -> None:
    assert roofline({"effective": {"infer": {"arithmetic": "tf32"}}}).peak == 156e12
    assert roofline({"effective": {}, "arithmetic": "int8"}).peak == 624e12


@pytest.mark.parametrize("missing", ["work", "chip"])
def test_without_macs_bytes_or_a_peak_there_is_no_roofline(missing: str) -> None:
    assert roofline({missing: None}) == Roofline()
    assert roofline({missing: {}}) == Roofline()


def test_without_a_throughput_or_a_known_arithmetic_there_is_no_roofline() -> None:
    assert roofline({"effective": {"infer": {"arithmetic": "fp4"}}}) == Roofline()
    failure = {"kind": "interrupted", "stage": "infer", "message": "stopped", "remedy": "again"}
    nothing = {"acc_metric": "acc1"}
    assert roofline(status="failed", failure=failure, metrics=nothing, gate=None) == Roofline()


def test_a_card_with_another_amount_of_memory_gets_no_bandwidth() -> None:
    found = roofline(metrics=documents.metrics(mem_total_gib=80.0))
    assert found.bandwidth is None
    assert found.peak == 312e12
    assert roofline(metrics=documents.metrics(mem_total_gib=None)).bandwidth is None


def test_every_case_knows_what_an_item_costs() -> None:
    for case in load_catalog(ROOT).cases.values():
        work = work_of(case.manifest.model)
        assert min(work.values()) > 0, case.name
    unet = work_of(load_catalog(ROOT).case("sd").manifest.model)
    assert unet["output_elements"] == 2 * 4 * 64 * 64, (
        "two latents, since guidance doubles the batch"
    )


def test_every_chip_with_a_bandwidth_names_its_source_and_stays_below_its_peaks() -> None:
    for vendor in load_catalog(ROOT).vendors.values():
        for name, chip in vendor.manifest.chips.items():
            if chip.memory_bandwidth is not None:
                assert chip.memory_bandwidth_source, name
                assert chip.memory_gib is not None, name
                assert chip.memory_bandwidth < min(chip.peaks.values()), name
