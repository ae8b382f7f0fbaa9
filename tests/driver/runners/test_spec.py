"""A stage's mounts, limits and user: computed without an engine, and tested without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.models.base import REFERENCE_STAGES, VENDOR_STAGES, RunnerName, StageName
from driver.models.case import CaseManifest
from driver.models.job import JobFile
from driver.models.vendor import VendorManifest
from driver.runners.devices import Devices
from driver.runners.spec import (
    Caller,
    ContainerSpec,
    InstalledStack,
    Mount,
    Places,
    Stacks,
    container_spec,
)
from driver.system.untrusted.opener import ROOT_STAND_IN
from tests.driver.jobs import THIS_DRIVER, make_caller, make_case, make_job, make_vendor

STACKS = Stacks(
    reference=InstalledStack(image="assay/reference"), vendor=InstalledStack(image="assay/acme")
)
ALL_PLACES = Places(
    folder=Path("/home/u/.assay/work/0123456789abcdef-4711-0/infer-0"),
    job_json=Path("/w/job.json"),
    out=Path("/w/out"),
    harness=Path("/tree/vendor_hooks/harness"),
    case=Path("/tree/cases/tiny"),
    hook=Path("/tree/vendor_hooks/acme"),
    reference_hook=Path("/tree/vendor_hooks/reference"),
    data=Path("/c/data"),
    model=Path("/c/model"),
    weights=Path("/c/weights"),
    golden=Path("/c/golden"),
    labels=Path("/c/labels"),
    infer=Path("/w/infer/out"),
    validate=Path("/w/validate/out"),
    cache=Path("/c/compile"),
)
NOT_LABELS = {"labels", "golden", "infer", "validate"}

stages = st.sampled_from(list(StageName))
runners = st.sampled_from(list(RunnerName))


def spec_of(
    job: JobFile,
    places: Places = ALL_PLACES,
    vendor: VendorManifest | None = None,
    case: CaseManifest | None = None,
    caller: Caller | None = None,
) -> ContainerSpec:
    return container_spec(
        job,
        places,
        vendor=vendor or make_vendor(),
        case=case or make_case(),
        stacks=STACKS,
        caller=caller or make_caller(),
    )


def targets(spec: ContainerSpec, *, read_only: bool) -> set[str]:
    return {mount.target for mount in spec.mounts if mount.read_only is read_only}


@st.composite
def jobs(draw: st.DrawFn) -> JobFile:
    return make_job(
        draw(stages),
        draw(runners),
        engine_needs=draw(st.sampled_from(["onnx", "weights"])),
        validate_engine=draw(st.sampled_from([None, "eager", "turbo"])),
        threads=draw(st.integers(1, 512)),
        device=draw(st.sampled_from(["0", "1,3", "", "7"])),
        data=draw(st.sampled_from(["real", "synthetic"])),
        repeat=draw(st.integers(0, 5)),
    )


@given(job=jobs())
def test_only_the_score_stage_gets_labels(job: JobFile) -> None:
    spec = spec_of(job)
    seen = {mount.source for mount in spec.mounts}
    assert (ALL_PLACES.labels in seen) is (job.stage is StageName.SCORE)
    assert not any("labels" in mount.target for mount in spec.mounts if job.stage != "score")


@given(job=jobs(), bundled=st.sampled_from(["data", "data/val", "images"]))
def test_a_bundled_dataset_is_masked_in_every_stage_as_its_paths_are_labels(
    job: JobFile, bundled: str
) -> None:
    assert spec_of(job, case=make_case(bundled)).masks == (f"case/{bundled}",)


@given(job=jobs())
def test_a_vendors_stage_sees_neither_golden_outputs_nor_other_stages(job: JobFile) -> None:
    seen = targets(spec_of(job), read_only=True)
    if job.stage in VENDOR_STAGES:
        assert not seen & NOT_LABELS


@given(job=jobs())
def test_only_out_and_cache_are_writable(job: JobFile) -> None:
    expected = {"out", "cache"} if job.stage in VENDOR_STAGES else {"out"}
    assert targets(spec_of(job), read_only=False) == expected


def test_a_stand_in_gets_no_device_and_a_real_stack_every_one() -> None:
    devices = {"nodes": ["/dev/acme{index}", "/dev/acmectl"], "gpus": "nvidia", "groups": ["acme"]}
    vendor, job = make_vendor(devices), make_job(StageName.INFER, device="3")
    assert spec_of(job, vendor=vendor).devices.nodes == ("/dev/acme3", "/dev/acmectl")
    imitated = replace(STACKS, vendor=replace(STACKS.vendor, stand_in=True))
    spec = container_spec(
        job, ALL_PLACES, vendor=vendor, case=make_case(), stacks=imitated, caller=make_caller()
    )
    assert spec.devices == Devices()


@given(job=jobs())
def test_mounts_do_not_overlap(job: JobFile) -> None:
    paths = [PurePosixPath(mount.target) for mount in spec_of(job).mounts]
    assert len(paths) == len(set(paths))
    assert not any(a != b and a.is_relative_to(b) for a in paths for b in paths)


@given(job=jobs(), uid=st.integers(0, 70000), gid=st.integers(0, 70000))
def test_the_guest_is_never_root_and_otherwise_the_caller(job: JobFile, uid: int, gid: int) -> None:
    spec = spec_of(job, caller=make_caller(uid=uid, gid=gid))
    assert spec.uid != 0
    assert (spec.uid, spec.gid) == ((uid, gid) if uid else (ROOT_STAND_IN, ROOT_STAND_IN))


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (StageName.EXPORT, {"data", "model", "golden", "weights"}),
        (StageName.COMPILE, {"model"}),
        (StageName.VALIDATE, {"data", "model", "weights"}),
        (StageName.INFER, {"data", "model"}),
        (StageName.SCORE, {"data", "model", "labels", "golden", "infer", "validate"}),
    ],
)
def test_each_stage_sees_what_it_needs(stage: StageName, expected: set[str]) -> None:
    spec = spec_of(make_job(stage, validate_engine="eager"))
    always = {"job.json", "harness", "case", "hook"}
    assert targets(spec, read_only=True) == always | expected


@pytest.mark.parametrize("stage", [StageName.COMPILE, StageName.VALIDATE, StageName.INFER])
def test_an_engine_that_runs_the_framework_gets_the_weights(stage: StageName) -> None:
    spec = spec_of(make_job(stage, engine_needs="weights", validate_engine="eager"))
    assert spec.source("weights") == ALL_PLACES.weights


def test_missing_inputs_are_not_mounted() -> None:
    places = Places(
        folder=ALL_PLACES.folder,
        job_json=ALL_PLACES.job_json,
        out=ALL_PLACES.out,
        harness=ALL_PLACES.harness,
        case=ALL_PLACES.case,
        hook=ALL_PLACES.hook,
        reference_hook=ALL_PLACES.reference_hook,
        data=ALL_PLACES.data,
    )
    spec = spec_of(make_job(StageName.EXPORT), places)
    assert targets(spec, read_only=True) == {"job.json", "harness", "case", "hook", "data"}


@given(job=jobs())
def test_the_reference_stages_run_the_reference_hook_without_the_vendors_devices(
    job: JobFile,
) -> None:
    vendor = make_vendor({"nodes": ["/dev/x{index}"], "env": {"X": "1"}, "capabilities": ["CAP_X"]})
    spec = spec_of(job, vendor=vendor)
    reference = job.stage in REFERENCE_STAGES
    assert (spec.devices == Devices()) is reference
    assert ("X" in spec.env) is not reference
    hook = ALL_PLACES.reference_hook if reference else ALL_PLACES.hook
    assert spec.source("hook") == hook
    assert spec.stack == (STACKS.reference if reference else STACKS.vendor)


@given(job=jobs(), asked=st.floats(0.1, 4096))
def test_a_memory_limit_never_exceeds_the_machine(job: JobFile, asked: float) -> None:
    caller = make_caller()
    limits = spec_of(job, case=make_case(memory_gib={job.stage: asked}), caller=caller).limits
    assert 0 < limits.memory_bytes < caller.memory_bytes
    assert limits.memory_bytes == min(int(asked * (1 << 30)), int(caller.memory_bytes * 0.95))


def test_a_stage_is_given_the_cases_time_limit() -> None:
    case = make_case(timeout_s={"infer": 7.5})
    assert spec_of(make_job(StageName.INFER), case=case).limits.timeout_s == 7.5
    assert spec_of(make_job(StageName.SCORE), case=case).limits.timeout_s == 3600


def test_the_stage_is_called_as_the_contract_says() -> None:
    assert spec_of(make_job(StageName.INFER)).argv == ("/job/hook/hook", "infer", "/job")


def test_the_precisions_environment_reaches_the_engine() -> None:
    assert spec_of(make_job()).env["TURBO_MATH"] == "strict"


@pytest.mark.parametrize(
    ("devices", "runner", "selected"),
    [
        # The container sees every device: the variable selects.
        ({"nodes": ["/dev/all"]}, RunnerName.DOCKER, "1"),
        # The container sees only the selected devices, numbered from 0.
        ({"nodes": ["/dev/x{index}"]}, RunnerName.DOCKER, None),
        ({"gpus": "nvidia"}, RunnerName.DOCKER, None),
        ({"gpus": "nvidia"}, RunnerName.PROCESS, "1"),
        ({"nodes": ["/dev/x{index}"]}, RunnerName.SLURM, "1"),
        # Apptainer's --nv gives every GPU, and a node only where it is named.
        ({"gpus": "nvidia"}, RunnerName.APPTAINER, "1"),
        ({"nodes": ["/dev/x{index}"]}, RunnerName.APPTAINER, None),
    ],
)
def test_devices_are_selected_once(
    devices: dict[str, Any], runner: RunnerName, selected: str | None
) -> None:
    job = make_job(StageName.INFER, runner, device="1")
    spec = spec_of(job, vendor=make_vendor(devices | {"select": "ACME_VISIBLE"}))
    assert spec.env.get("ACME_VISIBLE") == selected


def test_selected_devices_become_nodes_and_ids() -> None:
    ascend = make_vendor({"nodes": ["/dev/davinci{index}", "/dev/hisi_hdc"]})
    nodes = spec_of(make_job(device="0, 2"), vendor=ascend).devices.nodes
    assert nodes == ("/dev/davinci0", "/dev/davinci2", "/dev/hisi_hdc")

    nvidia = make_vendor({"gpus": "nvidia"})
    assert spec_of(make_job(device="3"), vendor=nvidia).devices.gpu_ids == ("3",)
    cdi = make_vendor({"gpus": "cdi"})
    assert spec_of(make_job(device="3"), vendor=cdi).devices.gpu_ids == ("nvidia.com/gpu=3",)
    named = make_vendor({"gpus": "cdi", "nodes": ["acme.com/npu={index}", "/dev/ctl"]})
    found = spec_of(make_job(device="3"), vendor=named).devices
    assert (found.gpu_ids, found.nodes) == (("acme.com/npu=3",), ("/dev/ctl",))


def test_privileges_come_from_the_manifest_and_appear_in_the_spec() -> None:
    assert spec_of(make_job()).devices.capabilities == ()
    asked = make_vendor({"capabilities": ["SYS_PTRACE"]})
    assert spec_of(make_job(), vendor=asked).devices.capabilities == ("SYS_PTRACE",)


def test_labels_identify_a_containers_owner() -> None:
    labels = spec_of(make_job()).labels
    assert labels["assay.home"] == "/home/u/.assay"
    assert labels["assay.job"] == "0123456789abcdef"
    assert labels["assay.driver-pid"] == str(THIS_DRIVER.pid)
    assert labels["assay.driver-start"] == str(THIS_DRIVER.start)


def test_container_names_differ_between_homes() -> None:
    here = spec_of(make_job())
    there_folder = Path("/other/.assay/work") / ALL_PLACES.folder.relative_to("/home/u/.assay/work")
    there = spec_of(make_job(), Places(**{**vars(ALL_PLACES), "folder": there_folder}))
    assert here.name != there.name
    assert here.name.startswith("assay-0123456789abcdef-4711-0-infer-0-")


def test_source_of_an_absent_target_is_none() -> None:
    spec = spec_of(make_job())
    assert spec.source("labels") is None
    assert Mount(source=Path("/w/out"), target="out", read_only=False) in spec.mounts
