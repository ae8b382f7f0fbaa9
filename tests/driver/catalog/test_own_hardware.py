"""Stacks on other hardware have tables of their own in vendor.toml; amd's GPUs beside its processors are such."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from driver.catalog.catalog import load_catalog
from driver.catalog.found_python import FoundPython
from driver.catalog.found_stack import with_found
from driver.catalog.vendor import Vendor
from driver.check.manifests import check_manifest
from driver.check.vendor import check_vendor
from driver.doctor.finding import failures
from driver.errors import UsageFault
from driver.models.vendor import VendorManifest
from driver.plan.chips import SeenDevice
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.verbs.listing import _vendor_rows, catalog_document

ROOT = Path(__file__).resolve().parents[3]
CATALOG = load_catalog(ROOT)
AMD = CATALOG.vendors["amd"]
(GPUS,) = AMD.others
MI300X = {"amd/rocm7": (SeenDevice(name="AMD Instinct MI300X", uuid="GPU-1"),)}
EPYC = {"amd": (SeenDevice(name="AMD EPYC 9B14"),)}


def asked(**given: Any) -> Request:
    return Request(case="vit_digits", vendor="amd", **given)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({}, "amd"),
        ({"stack": "zen"}, "amd"),
        ({"stack": "rocm7"}, "amd/rocm7"),
        ({"stack": "rocm7-vllm0.29"}, "amd/rocm7"),
        ({"engine": "vllm"}, "amd/rocm7"),
        # Both have this engine: the shared tables come first.
        ({"engine": "eager"}, "amd"),
        ({"engine": "eager", "stack": "rocm7"}, "amd/rocm7"),
        ({"engine": "migraphx"}, "amd/rocm7"),
        ({"engine": "eager", "chip": "mi325x"}, "amd/rocm7"),
        ({"engine": "zentorch", "stack": "rocm7"}, "amd/rocm7"),
    ],
)
def test_what_a_request_names_decides_whose_tables_hold(given: dict[str, str], label: str) -> None:
    wanted: dict[str, Any] = {"stack": None, "engine": None, "chip": None, **given}
    assert AMD.for_request(**wanted).label == label


def test_a_gpus_job_has_the_gpus_engine_devices_monitor_and_peaks() -> None:
    choice = choose(asked(stack="rocm7"), CATALOG, {**EPYC, **MI300X})
    manifest = choice.vendor.manifest
    assert (choice.engine_name, choice.chip_name, choice.stack.name) == (
        "migraphx",
        "MI300X",
        "rocm7",
    )
    assert choice.chip.peaks["fp16"] == 1307.4e12
    assert choice.devices == ("GPU-1",)
    assert manifest.devices.select == "ROCR_VISIBLE_DEVICES"
    assert manifest.monitor.parser == "amd-smi"
    # A server with an Intel processor has these GPUs, too.
    assert manifest.processor.vendor_id == ""


def test_a_further_stack_on_the_same_hardware_has_the_same_tables() -> None:
    given = asked(engine="vllm").model_copy(update={"case": "llama_pydoc"})
    choice = choose(given, CATALOG, {**EPYC, **MI300X})
    assert (choice.stack.name, choice.chip_name) == ("rocm7-vllm0.29", "MI300X")
    assert choice.devices == ("GPU-1",)
    assert choice.vendor is GPUS
    assert AMD.manifest.of_stack("rocm7-vllm0.29") == AMD.manifest.of_stack("rocm7")


def test_an_engine_of_another_stack_on_the_same_hardware_is_refused() -> None:
    with pytest.raises(UsageFault, match=r"'rocm7-vllm0\.29' of amd has no engine 'migraphx'"):
        choose(asked(stack="rocm7-vllm0.29", engine="migraphx"), CATALOG, {**EPYC, **MI300X})


def test_a_processors_job_is_as_it_was() -> None:
    choice = choose(asked(), CATALOG, {**EPYC, **MI300X})
    assert (choice.engine_name, choice.stack.name) == ("zentorch", "zen")
    assert (choice.chip_name, choice.devices) == ("AMD EPYC 9B14", ("processor",))
    assert choice.vendor.manifest.processor.vendor_id == "AuthenticAMD"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"stack": "rocm7", "engine": "zentorch"},
            "engine 'zentorch' of amd belongs to the hardware of stack zen, and what is named beside it to that of "
            "stacks rocm7, rocm7-vllm0.29 "
            "leave one of them out; on the hardware of stacks rocm7, rocm7-vllm0.29, ENGINE is one of: "
            "migraphx, onnxruntime, inductor, eager, vllm, and CHIP one of: MI300X, MI325X",
        ),
        (
            {"stack": "zen", "engine": "migraphx"},
            "engine 'migraphx' of amd belongs to the hardware of stacks rocm7, rocm7-vllm0.29",
        ),
        (
            {"stack": "rocm7", "chip": "host"},
            "chip 'host' of amd belongs to the hardware of stack zen",
        ),
        (
            {"engine": "migraphx", "chip": "HOST"},
            "chip 'HOST' of amd belongs to the hardware of stack zen",
        ),
        ({"engine": "eager", "precision": "fp16"}, "precision of amd eager"),
        ({"engine": "migrafx"}, "migraphx"),
    ],
)
def test_tables_do_not_mix(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageFault) as caught:
        choose(asked(**given), CATALOG, {**EPYC, **MI300X})
    assert message.strip() in f"{caught.value.message} {caught.value.remedy}"


def test_a_python_of_the_host_replaces_either_stack() -> None:
    python = FoundPython(
        python=Path("/opt/venv/bin/python3"), version="3.12.3", packages={}, digest="1" * 64
    )
    catalog = with_found(CATALOG, stack=python, reference=None)
    for engine, stack in (("zentorch", "zen"), ("migraphx", "rocm7"), ("vllm", "rocm7")):
        case = "llama_pydoc" if engine == "vllm" else "vit_digits"
        given = asked(engine=engine, runner="process").model_copy(update={"case": case})
        choice = choose(given, catalog, {**EPYC, **MI300X})
        assert (choice.stack.name, choice.stack.in_place_of) == ("found-11111111", stack)


def test_the_list_has_the_engines_and_chips_of_both() -> None:
    document: Any = catalog_document(CATALOG)
    amd = document["vendors"]["amd"]
    assert amd["engines"]["eager"] == ["fp32", "bf16", "fp16"]
    assert {"zentorch", "migraphx", "vllm"} <= set(amd["engines"])
    assert amd["chips"] == ["host", "MI300X", "MI325X"]


def test_the_list_gives_each_stack_its_engines_and_the_hardware_its_chips() -> None:
    rows = {row[1]: row[2:4] for row in _vendor_rows(CATALOG) if row[0] == "amd"}
    assert rows["rocm7-vllm0.29"] == ("vllm (bf16, fp16, fp32)", "MI300X, MI325X")
    assert "vllm" not in rows["rocm7"][0]
    assert rows["rocm7"][1] == "MI300X, MI325X"


def test_the_check_reads_both() -> None:
    assert failures(check_vendor(AMD)) == []
    said = [one.what for one in check_vendor(AMD)]
    assert {"chip host", "chip MI300X"} <= set(said)


def without(vendor: Vendor, **changes: Any) -> Vendor:
    return replace(vendor, manifest=vendor.manifest.model_copy(update=changes))


def test_a_wrong_name_is_found_under_its_own_heading() -> None:
    wrong = failures(check_manifest(without(GPUS, default_engine="migrafx")))
    assert [one.what for one in wrong] == ["vendor.toml: stacks.rocm7.default_engine"]
    assert "migraphx" in wrong[0].found


def test_a_further_stack_that_does_not_exist_is_found() -> None:
    manifest = AMD.manifest
    rocm = manifest.stacks["rocm7"].model_copy(update={"also": ("rocm7-vllm0.28",)})
    wrong = failures(check_manifest(without(AMD, stacks={"rocm7": rocm})))
    assert [one.what for one in wrong] == ["vendor.toml: stacks.rocm7.also"]
    assert "rocm7-vllm0.29" in wrong[0].found


def document() -> dict[str, Any]:
    return tomllib.loads((ROOT / "vendor_hooks/amd/vendor.toml").read_text(encoding="utf-8"))


def test_its_engines_are_of_no_other_stack() -> None:
    changed = document()
    changed["stacks"]["rocm7"]["engines"]["eager"]["stacks"] = ["rocm7", "zen"]
    with pytest.raises(ValidationError, match=r"stacks\.rocm7\.engines\.eager\.stacks must be"):
        VendorManifest.model_validate(changed)
    changed["stacks"]["rocm7"]["engines"]["eager"]["stacks"] = []
    with pytest.raises(ValidationError, match=r"stacks\.rocm7\.engines\.eager\.stacks must be"):
        VendorManifest.model_validate(changed)


@pytest.mark.parametrize("name", ["zen", "rocm7", "rocm7-vllm0.29"])
def test_a_stack_runs_on_one_kind_of_hardware(name: str) -> None:
    changed = document()
    changed["stacks"]["rocm7"]["also"] += [name]
    with pytest.raises(ValidationError, match=f"'{name}' runs on two kinds of hardware"):
        VendorManifest.model_validate(changed)


def test_its_precisions_grant_no_devices_either() -> None:
    changed = document()
    eager = changed["stacks"]["rocm7"]["engines"]["eager"]
    eager["precisions"]["fp32"]["env"] = {"ROCR_VISIBLE_DEVICES": "0,1"}
    with pytest.raises(ValidationError, match="ROCR_VISIBLE_DEVICES is set by the driver"):
        VendorManifest.model_validate(changed)
