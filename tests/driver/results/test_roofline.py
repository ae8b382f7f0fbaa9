"""The roofline: intensity, achieved rate, peak and bandwidth, and nothing where a part is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.models.case import ModelSpec
from driver.models.result import Result
from driver.results.roofline import Roofline, roofline_of, weights_read, work_of
from driver.results.warnings import implausible_reads
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


def test_of_embedding_tables_only_the_rows_that_are_looked_up_count() -> None:
    work = documents.provenance(documents.job())["work"]
    tables = {"table_parameters": 304_000_000, "looked_up_elements": 416}
    found = roofline({"work": work | tables}, metrics=documents.metrics(1000.0))
    elements = 326_632 + 64 * (150_528 + 1000 + 416)
    assert found.intensity == pytest.approx(2 * 61_554_712_576 * 64 / (2 * elements))
    # A document that contradicts itself gives no negative traffic.
    odd = roofline({"work": work | {"table_parameters": 10**12}})
    assert odd.intensity is not None
    assert odd.intensity > 0


def with_tables(parameters: int) -> ModelSpec:
    """Return ViT-L/16, as if so many of its 304,326,632 parameters were in embedding tables."""
    found = load_catalog(ROOT).case("vit_l_16").manifest.model.model_dump()
    lookups = {"parameters": parameters, "elements": 416}
    return ModelSpec.model_validate(found | {"lookups": lookups})


def test_tables_are_no_weights_that_every_call_reads() -> None:
    model = with_tables(304_000_000)
    assert weights_read(model, generates=False) == 326_632
    # 1.2 GB in 2,000 calls a second are 2.4 TB/s, if a call read them all.
    assert implausible_reads(2000.0, 1, 4 * model.parameters, 2e12) is not None
    assert implausible_reads(2000.0, 1, 4 * weights_read(model, generates=False), 2e12) is None
    work = work_of(model)
    assert (work["table_parameters"], work["looked_up_elements"]) == (304_000_000, 416)


def test_other_models_read_all_weights_and_language_models_those_of_their_products() -> None:
    vit, llama = (load_catalog(ROOT).case(name).manifest.model for name in ("vit", "smollm2_135m"))
    assert weights_read(vit, generates=False) == vit.parameters
    assert weights_read(llama, generates=True) == min(llama.parameters, llama.macs)
    assert "table_parameters" not in work_of(vit)


def test_tables_with_more_parameters_than_the_model_are_refused() -> None:
    with pytest.raises(ValueError, match="but the model has 304326632"):
        with_tables(304_326_633)


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
