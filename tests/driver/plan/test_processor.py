"""A vendor that runs on the host may ask for a maker's processor and for instructions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.models.vendor import ProcessorSpec
from driver.plan.processor import lacking, misfit
from driver.system.host.processor import Identity, read_identity
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.vendor import Vendor

EPYC = Identity(
    model="AMD EPYC 9B14", vendor_id="AuthenticAMD", flags=frozenset({"avx2", "avx512_bf16"})
)
XEON = EPYC.model_copy(update={"model": "Intel Xeon", "vendor_id": "GenuineIntel"})
ARM = Identity(model="Neoverse-N1")


def asking(**processor: Any) -> Vendor:
    vendor = load_catalog(ROOT).vendors["cpu"]
    manifest = vendor.manifest.model_copy(update={"processor": ProcessorSpec(**processor)})
    return replace(vendor, manifest=manifest)


def test_any_processor_fits_a_vendor_that_asks_for_none() -> None:
    for seen in (EPYC, XEON, ARM):
        assert misfit(asking(), seen) is None
        assert lacking(asking(), seen, "bf16") is None


@pytest.mark.parametrize(("seen", "said"), [(XEON, "GenuineIntel"), (ARM, "no vendor_id")])
def test_another_makers_processor_is_refused_by_name(seen: Identity, said: str) -> None:
    unfit = misfit(asking(vendor_id="AuthenticAMD"), seen)
    assert unfit is not None
    assert "the vendor_id AuthenticAMD; this host's is" in unfit[0]
    assert f"{seen.model} ({said})" in unfit[0]
    assert misfit(asking(vendor_id="AuthenticAMD"), EPYC) is None


def test_the_remedy_names_the_vendors_that_measure_this_processor() -> None:
    ours = load_catalog(ROOT).vendors
    amd = ours["amd"]
    unfit = misfit(amd, XEON, ours.values())
    assert unfit is not None
    assert unfit[1].startswith("use VENDOR=cpu or VENDOR=intel or VENDOR=onnxruntime, which")
    intels = asking(vendor_id="GenuineIntel")
    own = replace(intels, manifest=intels.manifest.model_copy(update={"name": "own"}))
    only = misfit(amd, XEON, [amd, own])
    assert only is not None
    assert only[1] == "use VENDOR=own, which measures this processor"
    alone = misfit(amd, XEON, [amd])
    assert alone is not None
    assert alone[1] == "run it on a host with such a processor"


def test_an_arithmetic_without_its_instructions_is_refused_and_others_are_not() -> None:
    vendor = asking(flags={"bf16": ["avx512_bf16"]})
    milan = EPYC.model_copy(update={"flags": frozenset({"avx2"})})
    unfit = lacking(vendor, milan, "bf16")
    assert unfit is not None
    assert "lacks avx512_bf16, without which bf16 would be emulated" in unfit[0]
    assert lacking(vendor, milan, "fp32") is None
    assert lacking(vendor, EPYC, "bf16") is None


def test_the_kernel_says_what_a_processor_is(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    text = "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B14\nflags\t\t: avx2 avx512_bf16\n\n"
    (tmp_path / "proc" / "cpuinfo").write_text(text * 2, encoding="utf-8")
    assert read_identity(tmp_path) == EPYC
