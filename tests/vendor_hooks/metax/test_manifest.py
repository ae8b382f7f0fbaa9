"""vendor.toml of MetaX against the published figures: no peak of its own, the published one by printed precision."""

from __future__ import annotations

import os
import tomllib

import pytest

from driver.models.vendor import VendorManifest
from driver.stacks.host_driver import ask
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.vendor_job import manifest


def vendor() -> VendorManifest:
    return manifest("metax")


def test_c500_has_no_public_peak_and_so_no_mfu_of_ours() -> None:
    text = (ROOT / "cases" / "stable_diffusion_v1_4" / "published.toml").read_text(encoding="utf-8")
    published, ours = tomllib.loads(text)["chips"]["C500"], vendor().chips["C500"]
    assert ours.peaks == published.get("peaks", {}) == {}
    assert ours.published_peaks == published["published_peaks"]


def test_eager_validates_both_engines_and_itself_in_fp32() -> None:
    engines = vendor().engines
    assert {engine.validate_engine for engine in engines.values()} == {"eager"}
    assert engines["eager"].default_precision == "fp32"


def test_macas_nodes_and_group_are_passed_and_one_variable_selects() -> None:
    devices = vendor().devices
    assert devices.nodes == ("/dev/dri", "/dev/mxcd")
    assert devices.groups == ("video", "render")
    assert devices.select == "MACA_VISIBLE_DEVICES"


def test_the_drivers_version_is_what_mx_smi_heads_its_table_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = ROOT / "tests" / "standins" / "metax" / "bin"
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ASSAY_STANDIN_DRIVER", "2.5.014")
    assert ask(vendor().drivers["maca2.19"]).version == "2.5.014"
