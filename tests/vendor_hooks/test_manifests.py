"""Every vendor.toml and stack.toml of the tree: valid, and what it promises is there."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.check.dockerfile import PIP_INSTALL, parse_dockerfile
from driver.stacks.locks import is_current, parse_lock
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from driver.catalog.vendor import Stack, Vendor

CATALOG = load_catalog(ROOT)
VENDORS = [one for vendor in CATALOG.vendors.values() for one in vendor.hardware]
"""Every vendor, and as each of its stacks with tables of its own sees it."""
STACKS = [stack for vendor in CATALOG.vendors.values() for stack in vendor.stacks.values()]


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.label)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture(params=STACKS, ids=lambda stack: f"{stack.vendor}-{stack.name}")
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.param
    return found


@pytest.mark.parametrize("name", CATALOG.vendors)
def test_every_engine_has_its_file_and_every_file_its_engine(name: str) -> None:
    vendor = CATALOG.vendors[name]
    files = {path.stem for path in (vendor.folder / "engines").glob("*.py")}
    engines = [pair for one in vendor.hardware for pair in one.manifest.engines.items()]
    own = {name for name, engine in engines if engine.harness_engine is None}
    assert {name.replace("-", "_") for name in own} == files


def test_every_stack_of_an_engine_is_there_and_has_an_engine(vendor: Vendor) -> None:
    named = {name for engine in vendor.manifest.engines.values() for name in engine.stacks}
    assert named == set(vendor.stacks_here)


def test_the_defaults_exist(vendor: Vendor) -> None:
    manifest = vendor.manifest
    engine = manifest.engines[manifest.default_engine]
    assert manifest.default_stack in engine.stacks
    assert manifest.default_chip in manifest.chips
    for spec in manifest.engines.values():
        assert spec.default_precision in spec.precisions


def test_what_validates_an_engine_is_in_all_of_its_stacks(vendor: Vendor) -> None:
    for engine in vendor.manifest.engines.values():
        if engine.validate_engine is not None:
            framework = vendor.manifest.engines[engine.validate_engine]
            assert set(engine.stacks) <= set(framework.stacks)


def test_every_peak_has_a_source(vendor: Vendor) -> None:
    for chip in vendor.manifest.chips.values():
        assert bool(chip.peaks) == bool(chip.peaks_source), chip.title


def test_it_asks_for_no_capability_and_says_its_licence(vendor: Vendor) -> None:
    assert vendor.manifest.devices.capabilities == ()
    assert vendor.manifest.licence


def test_the_hook_can_be_executed(vendor: Vendor) -> None:
    assert os.access(vendor.folder / "hook", os.X_OK)


def test_a_driver_that_a_stack_needs_names_a_stack_and_a_source(vendor: Vendor) -> None:
    for name, driver in vendor.manifest.drivers.items():
        assert name in CATALOG.vendors[vendor.name].stacks
        assert driver.source
        assert driver.command


def test_a_stack_is_named_as_its_folder(stack: Stack) -> None:
    assert (stack.vendor, stack.name) == (stack.folder.parent.name, stack.folder.name)
    assert stack.manifest.versions["python"] == stack.manifest.python


def test_a_stack_has_a_dockerfile_on_its_base(stack: Stack) -> None:
    text = (stack.folder / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG BASE={stack.manifest.base.image}\n" in text
    for installer in stack.manifest.installers:
        stem = installer.file.rpartition(".")[2]
        assert installer.file in text or f"installers/*.{stem}" in text


def test_pip_heeds_no_variable_of_a_vendors_base(stack: Stack) -> None:
    if stack.manifest.process_runner:
        pytest.skip("its base is Debian's Python, which sets none")
    text = (stack.folder / "Dockerfile").read_text(encoding="utf-8")
    steps = [one.text for one in parse_dockerfile(text) if one.word == "RUN"]
    installs = [found for step in steps for found in PIP_INSTALL.findall(step)]
    assert installs
    assert all("--isolated" in found for found in installs)


def test_a_stacks_lock_is_current_and_all_hashed(stack: Stack) -> None:
    assert is_current(stack.folder / "requirements.in")
    assert parse_lock(stack.folder / "requirements.lock")


def test_an_installer_says_where_a_licensee_gets_it(stack: Stack) -> None:
    for installer in stack.manifest.installers:
        assert installer.source
        assert installer.licence


def test_the_published_vendors_are_there_with_their_engines() -> None:
    promised = tomllib.loads(PROMISED)
    for name, engines in promised.items():
        vendor = CATALOG.vendors[name.partition("/")[0]]
        found = vendor.manifest.of_stack(name.partition("/")[2])
        assert set(engines) <= set(found.engines)


PROMISED = """
nvidia = [
    "tensorrt", "torch_tensorrt", "inductor", "eager", "ort_cuda", "ort_tensorrt", "trtexec", "vllm", "tensorrt_llm",
]
ascend = ["cann", "ais_bench", "benchmark", "vllm"]
intel = ["openvino"]
amd = ["zentorch", "inductor", "eager"]
"amd/rocm7" = ["migraphx", "onnxruntime", "inductor", "eager", "vllm"]
iluvatar = ["ixrt", "eager"]
cpu = ["onnxruntime", "eager"]
onnxruntime = ["openvino"]
kunlunxin = ["xtcl"]
metax = ["eager", "macart"]
"""
