"""vendor.toml of Kunlunxin against the published figures and the monitor's output."""

from __future__ import annotations

import os
import tomllib

import pytest

from driver.models.vendor import VendorManifest
from driver.stacks.host_driver import ask
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.vendor_job import manifest


@pytest.fixture
def vendor() -> VendorManifest:
    return manifest("kunlunxin")


@pytest.mark.parametrize("case", ["vit_l_16", "sam_h", "stable_diffusion_v1_4"])
def test_r200_has_the_peaks_that_the_published_tables_use(
    vendor: VendorManifest, case: str
) -> None:
    text = (ROOT / "cases" / case / "published.toml").read_text(encoding="utf-8")
    published, ours = tomllib.loads(text)["chips"]["R200"], vendor.chips["R200"]
    assert ours.peaks == published["peaks"]
    theirs = {name.lower(): peak for name, peak in published["published_peaks"].items()}
    assert ours.published_peaks == theirs


def test_w32a16_is_set_against_the_peak_of_fp16(vendor: VendorManifest) -> None:
    spec, chip = vendor.engines["xtcl"].precisions["w32a16"], vendor.chips["R200"]
    assert chip.peaks[spec.arithmetic] == 128e12
    assert chip.published_peaks["w32a16"] == 32e12


def test_the_chips_own_node_and_the_control_node_are_passed(vendor: VendorManifest) -> None:
    assert vendor.devices.nodes == ("/dev/xpu{index}", "/dev/xpuctrl")
    assert vendor.devices.select == "XPU_VISIBLE_DEVICES"
    assert vendor.devices.groups == ()


def test_the_drivers_version_is_what_xpu_smi_heads_its_table_with(
    vendor: VendorManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = ROOT / "tests" / "standins" / "kunlunxin" / "bin"
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert ask(vendor.drivers["xtcl2.0"]).version == "4.0.18"
