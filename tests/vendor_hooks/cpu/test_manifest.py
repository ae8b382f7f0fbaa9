"""vendor.toml of the host's CPU: valid, and what it promises is there."""

from __future__ import annotations

import os
import tomllib

import pytest

from driver.models.vendor import VendorManifest
from tests.harness.job_folder import ROOT

FOLDER = ROOT / "vendor_hooks" / "cpu"


@pytest.fixture
def manifest() -> VendorManifest:
    return VendorManifest.model_validate(tomllib.loads((FOLDER / "vendor.toml").read_text()))


def test_every_engine_has_its_file(manifest: VendorManifest) -> None:
    assert {path.stem for path in (FOLDER / "engines").glob("*.py")} == set(manifest.engines)


def test_every_stack_of_an_engine_has_an_image(manifest: VendorManifest) -> None:
    for engine in manifest.engines.values():
        for stack in engine.stacks:
            assert (ROOT / "images" / "cpu" / stack / "stack.toml").is_file()


def test_a_host_has_no_peak_and_so_no_mfu(manifest: VendorManifest) -> None:
    assert manifest.chips[manifest.default_chip].peaks == {}


def test_eager_validates_every_engine_of_its_stack(manifest: VendorManifest) -> None:
    for engine in manifest.engines.values():
        beside = set(engine.stacks) <= set(manifest.engines["eager"].stacks)
        assert engine.validate_engine == ("eager" if beside else None)
    assert manifest.engines["eager"].default_precision == "fp32"
    assert set(manifest.engines["eager"].precisions) == {"fp32", "bf16"}


def test_it_asks_for_no_device_and_no_privilege(manifest: VendorManifest) -> None:
    devices = manifest.devices
    assert (devices.nodes, devices.mounts, devices.capabilities) == ((), (), ())


def test_the_hook_can_be_executed() -> None:
    assert os.access(FOLDER / "hook", os.X_OK)
