"""Every check of `doctor`, on facts: findings have the value and the line to type."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from driver.doctor.diagnosis import diagnose
from driver.doctor.facts import (
    ApptainerFact,
    CaseFact,
    ContainerEngine,
    HostMountFact,
    Machine,
    MonitorFact,
    Node,
    StackFact,
    Unavailable,
    User,
)
from driver.doctor.finding import failures
from driver.models.vendor import DriverRequirement, ProcessorSpec
from driver.stacks.host_driver import DriverFact
from driver.system.host.processor import Identity
from tests.driver.doctor.machines import GIB, make_facts, make_node, make_stack, make_user

if TYPE_CHECKING:
    from driver.doctor.facts import Facts
    from driver.doctor.finding import Finding

NO_ENGINE = ContainerEngine(problem=Unavailable(message="no engine answers", remedy="start it"))


def find(facts: Facts, what: str) -> Finding:
    found = [one for one in diagnose(facts) if one.what == what]
    assert len(found) == 1, [one.what for one in diagnose(facts)]
    return found[0]


def test_what_stops_a_run_first_comes_first() -> None:
    """Without a GPU there is no driver, no runtime and no monitor either: those are consequences."""
    requirement = DriverRequirement(minimum="530.30.02", command=("smi",), source="notes")
    driver = DriverFact(requirement=requirement, version=None, said="smi is not there")
    stacks = (
        StackFact(stack=make_stack("older"), wanted=False, driver=driver),
        StackFact(stack=make_stack("v1"), wanted=True, driver=driver),
    )
    nothing = Unavailable(message="none here", remedy="WEIGHTS=synthetic")
    case = CaseFact(name="tiny", weights=nothing, dataset_name="d", dataset="x", memory_gib=1.0)
    facts = make_facts(
        {"gpus": "nvidia"},
        stacks=stacks,
        engine=NO_ENGINE,
        gpu_problem="this machine has no GPU",
        cases=(case,),
        case_named=True,
        machine=Machine(threads=1, memory_bytes=GIB, home="/h", free_bytes=0),
    )
    wrong = [one.what for one in failures(diagnose(facts))]
    assert wrong[:2] == ["GPU", "host driver for v1"]
    later = ["container engine", "weights of tiny", "memory", "disk"]
    assert [what for what in wrong if what in later] == later


def test_a_reference_stack_that_is_invalid_stops_every_run() -> None:
    problem = Unavailable(message="stack.toml: name: missing", remedy="fix it")
    found = find(make_facts(reference_problem=problem), "stack of reference")
    assert (found.status, found.found) == ("failed", "stack.toml: name: missing")


def test_a_complete_machine_has_no_failed_findings() -> None:
    assert failures(diagnose(make_facts())) == []


def test_every_finding_that_is_not_ok_has_a_remedy() -> None:
    facts = make_facts(
        {"gpus": "nvidia"},
        nodes=(Node(path="/dev/acme0", exists=False),),
        engine=NO_ENGINE,
        machine=Machine(threads=1, memory_bytes=GIB, home="/h", free_bytes=GIB),
    )
    found = diagnose(facts)
    assert len(failures(found)) >= 4
    assert all(one.remedy for one in found if one.status != "ok")


@pytest.mark.parametrize(
    ("node", "user", "groups", "in_container", "as_process"),
    [
        (make_node(), make_user(), (), "failed", "failed"),
        # A guest has none of the caller's other groups, and the caller none that only guests get.
        (make_node(), make_user(1000, 44), (), "failed", "ok"),
        (make_node(), make_user(), ("acme",), "ok", "failed"),
        # Root's guest is not root.
        (make_node(), make_user(0), (), "failed", "ok"),
        (make_node(), make_user(0), ("acme",), "ok", "ok"),
        (make_node(mode=0o600), make_user(0), ("acme",), "failed", "ok"),
        (make_node(uid=1000, mode=0o600), make_user(), (), "ok", "ok"),
        (make_node(mode=0o666), make_user(), (), "ok", "ok"),
        (make_node(mode=0o640), make_user(1000, 44), ("acme",), "failed", "failed"),
        (make_node(is_device=False), make_user(0), (), "failed", "failed"),
        (make_node(is_device=False, is_folder=True), make_user(0), (), "failed", "failed"),
        (Node(path="/dev/acme0", exists=False), make_user(0), (), "failed", "failed"),
    ],
)
def test_a_device_node_must_exist_and_be_accessible_to_the_user_that_opens_it(
    node: Node, user: User, groups: tuple[str, ...], in_container: str, as_process: str
) -> None:
    for alone, status in ((False, in_container), (True, as_process)):
        stack = make_stack(alone=alone)
        facts = make_facts(
            {"nodes": ["/dev/acme{index}"], "groups": groups},
            nodes=(node,),
            user=user,
            group_ids={"acme": 44},
            stacks=(StackFact(stack=stack, wanted=True, image="i", environment=True),),
        )
        assert find(facts, "device /dev/acme0").status == status


def forbidden(
    node: Node, *, alone: bool = False, user: User | None = None, rootless: bool = False
) -> Finding:
    stack = StackFact(stack=make_stack(alone=alone), wanted=True, image="i", environment=True)
    facts = make_facts(
        {"nodes": ["/dev/acme0"]},
        nodes=(node,),
        stacks=(stack,),
        user=user or make_user(),
        engine=ContainerEngine(rootless=rootless),
    )
    found = find(facts, "device /dev/acme0")
    assert found.status == "failed"
    return found


def test_an_inaccessible_node_names_the_group_and_who_needs_it() -> None:
    assert "usermod -aG acme" in forbidden(make_node(), alone=True).remedy
    contained = forbidden(make_node(), user=make_user(0))
    assert "the container's user 10001" in contained.found
    assert 'add "acme" to `groups`' in contained.remedy


def test_no_remedy_is_to_join_the_group_root() -> None:
    for alone in (True, False):
        remedy = forbidden(make_node(gid=0, group="root"), alone=alone).remedy
        assert "usermod" not in remedy
        assert '"root"' not in remedy
        assert "udev" in remedy


def test_the_guest_of_a_rootless_engine_is_the_caller_without_other_groups() -> None:
    user = make_user(1000, 44)
    assert "rootless" in forbidden(make_node(), user=user, rootless=True).remedy


def test_an_image_on_a_stand_in_is_marked_and_needs_no_device() -> None:
    requirement = DriverRequirement(minimum="530.30.02", command=("smi",))
    driver = DriverFact(requirement=requirement, version=None, said="smi is not there")
    stack = StackFact(stack=make_stack(), wanted=True, image="i", stand_in=True, driver=driver)
    facts = make_facts(
        {"nodes": ["/dev/acme0"], "gpus": "nvidia"},
        nodes=(Node(path="/dev/acme0", exists=False),),
        stacks=(stack,),
    )
    assert failures(diagnose(facts)) == []
    assert find(facts, "image of acme/v1").found == "i (stand-in: simulated)"
    assert "simulated" in find(facts, "devices").found


def selected(device: str, **spec: Any) -> list[str]:
    monitor = MonitorFact(
        devices=("0 A100", "1 A100"), indices=("0", "1"), uuids=("GPU-a", "GPU-b")
    )
    facts = make_facts(spec, monitor=monitor, monitor_spec={"parser": "nvidia-smi"}, device=device)
    return [one.status for one in diagnose(facts) if one.what.startswith("DEVICE=")]


@pytest.mark.parametrize(
    ("device", "statuses"),
    [
        ("1", ["ok"]),
        ("GPU-b", ["ok"]),
        ("9", ["failed"]),
        ("0, 9", ["ok", "failed"]),
        ("MIG-1", ["not_checked"]),
    ],
)
def test_a_device_without_its_own_node_must_be_reported_by_the_monitor(
    device: str, statuses: list[str]
) -> None:
    assert selected(device, gpus="nvidia") == statuses
    assert selected(device, nodes=["/dev/dri"]) == statuses


def test_a_device_with_its_own_node_is_not_checked_against_the_monitor() -> None:
    assert selected("9", nodes=["/dev/acme{index}"]) == []
    assert selected("9") == []


@pytest.mark.parametrize(("optional", "status"), [(True, "note"), (False, "failed")])
def test_a_missing_part_of_the_driver_fails_unless_it_is_optional(
    optional: bool, status: str
) -> None:
    mount = HostMountFact(source="/usr/local/acme", optional=optional, exists=False)
    assert find(make_facts(host_mounts=(mount,)), "mount /usr/local/acme").status == status


def with_driver(version: str | None, *, wanted: bool = True, **more: Any) -> Facts:
    requirement = DriverRequirement(
        minimum="530.30.02", command=("smi",), source="release notes", **more
    )
    driver = DriverFact(requirement=requirement, version=version, said="smi is not there")
    stack = StackFact(stack=make_stack(), wanted=wanted, image="i", driver=driver)
    return make_facts(stacks=(stack,))


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("530.30.02", "ok"),
        ("535.104.05", "ok"),
        ("530.30.01", "failed"),
        ("99.1", "failed"),
        (None, "failed"),
        ("abc", "not_checked"),
    ],
)
def test_the_host_driver_must_be_new_enough(version: str | None, status: str) -> None:
    assert find(with_driver(version), "host driver for v1").status == status


def test_an_old_driver_is_reported_with_both_versions_and_the_source() -> None:
    found = find(with_driver("470.1"), "host driver for v1")
    assert "470.1 is too old; needed: 530.30.02" in found.found
    assert "release notes" in found.remedy


def test_an_old_driver_of_another_stack_is_only_a_note() -> None:
    assert find(with_driver("470.1", wanted=False), "host driver for v1").status == "note"


def test_an_undocumented_minimum_is_only_a_note() -> None:
    for version in ("470.1", None):
        facts = with_driver(version, documented=False)
        assert find(facts, "host driver for v1").status == "note"


def test_a_late_release_of_an_older_branch_is_ok() -> None:
    found = find(with_driver("470.129", older_branches=("470.57",)), "host driver for v1")
    assert (found.status, "470.57 or later of 470" in found.found) == ("ok", True)


def asking_for_zen(seen: Identity) -> Facts:
    facts = make_facts(processor=seen)
    wanted = ProcessorSpec(vendor_id="AuthenticAMD", flags={"bf16": ("avx512_bf16",)})
    manifest = facts.vendor.manifest.model_copy(update={"processor": wanted})
    return replace(facts, vendor=replace(facts.vendor, manifest=manifest))


def test_a_processor_must_be_the_makers_and_without_instructions_it_runs_the_rest() -> None:
    old = Identity(model="EPYC 7B13", vendor_id="AuthenticAMD", flags=frozenset({"avx2"}))
    assert find(asking_for_zen(old), "processor for acme").status == "ok"
    assert find(asking_for_zen(old), "processor for acme: bf16").status == "note"
    other = asking_for_zen(Identity(model="Xeon", vendor_id="GenuineIntel"))
    assert find(other, "processor for acme").status == "failed"
    new = old.model_copy(update={"flags": frozenset({"avx512_bf16"})})
    named = [one.what for one in diagnose(asking_for_zen(new))]
    assert "processor for acme" in named
    assert "processor for acme: bf16" not in named
    assert "processor for acme" not in [one.what for one in diagnose(make_facts())]


def test_a_stack_that_needs_its_image_needs_an_engine() -> None:
    assert find(make_facts(engine=NO_ENGINE), "container engine").status == "failed"


def test_another_host_needs_its_engine_and_its_devices_are_not_those_of_this_machine() -> None:
    stack = StackFact(stack=make_stack(alone=True), wanted=True, environment=True)
    facts = make_facts(
        {"gpus": "nvidia"},
        engine=NO_ENGINE,
        stacks=(stack,),
        gpu_problem="this machine has no GPU",
        host="lab3",
    )
    assert find(facts, "container engine").status == "failed"
    assert find(facts, "devices and monitor").status == "not_checked"
    assert "this machine has no GPU" not in [one.found for one in diagnose(facts)]


def test_a_stack_that_runs_without_an_image_needs_no_engine() -> None:
    stack = StackFact(stack=make_stack(alone=True), wanted=True, environment=True)
    found = diagnose(make_facts(engine=NO_ENGINE, stacks=(stack,)))
    assert failures(found) == []
    assert any("RUNNER=process" in one.found for one in found)


@pytest.mark.parametrize(
    ("engine", "status"),
    [
        (ContainerEngine(), "failed"),
        (ContainerEngine(runtimes=frozenset({"runc", "nvidia"})), "ok"),
        (ContainerEngine(cdi_kinds=frozenset({"nvidia.com/gpu"})), "ok"),
    ],
)
def test_the_engine_must_be_able_to_give_a_gpu_to_a_container(
    engine: ContainerEngine, status: str
) -> None:
    assert find(make_facts({"gpus": "nvidia"}, engine=engine), "GPU runtime").status == status


def test_the_engine_must_have_the_cdi_kind() -> None:
    devices = {"gpus": "cdi", "nodes": ["acme.com/npu={index}"]}
    assert find(make_facts(devices), "CDI").status == "failed"
    engine = ContainerEngine(cdi_kinds=frozenset({"acme.com/npu"}))
    assert find(make_facts(devices, engine=engine), "CDI").status == "ok"


def image(**changes: Any) -> Finding:
    stack = StackFact(stack=make_stack(), wanted=changes.pop("wanted", True), **changes)
    return find(make_facts(stacks=(stack,)), "image of acme/v1")


def test_an_image_that_can_be_built_is_a_note() -> None:
    found = image(base_here=True)
    assert (found.status, found.remedy) == ("note", "make images VENDOR=acme STACK=v1")


def test_an_image_on_a_different_base_names_it() -> None:
    found = image(image="assay/acme:v1-0", base_named="lab/own:1")
    assert (found.status, "lab/own:1, in place of" in found.found) == ("ok", True)


def test_a_missing_installer_fails_only_if_no_image_was_built() -> None:
    problem = Unavailable(message="needs acme.run", remedy="INSTALLERS=<folder>")
    assert image(installers=problem).status == "failed"
    assert image(installers=problem, wanted=False).status == "note"
    assert image(installers=problem, image="assay/acme:v1-0").status == "ok"


@pytest.mark.parametrize(
    ("free_gib", "storage", "image", "alone", "status"),
    [
        (19.0, "overlay2", None, False, "failed"),
        (19.0, "vfs", None, False, "failed"),
        (19.0, "overlay2", None, True, "note"),
        (19.0, "overlay2", "assay/acme:v1-0", False, "ok"),
        (21.0, "overlay2", None, False, "ok"),
        (21.0, "vfs", "assay/acme:v1-0", False, "note"),
        (None, "overlay2", None, False, "not_checked"),
    ],
)
def test_the_disk_of_the_engine_must_have_room_for_images_to_build(
    free_gib: float | None, storage: str, image: str | None, alone: bool, status: str
) -> None:
    engine = ContainerEngine(
        root="/var/lib/engine",
        storage_driver=storage,
        free_bytes=None if free_gib is None else int(free_gib * GIB),
    )
    stack = StackFact(stack=make_stack(alone=alone), wanted=True, image=image)
    found = find(make_facts(engine=engine, stacks=(stack,)), "engine's disk")
    assert (found.status, "/var/lib/engine" in found.found) == (status, True)


@pytest.mark.parametrize(("free_gib", "status"), [(1, "failed"), (10, "note"), (99, "ok")])
def test_disk_space_is_reported_with_its_value(free_gib: int, status: str) -> None:
    machine = Machine(threads=8, memory_bytes=64 * GIB, home="/h", free_bytes=free_gib * GIB)
    found = find(make_facts(machine=machine), "disk")
    assert found.status == status
    assert f"{free_gib}.0 GiB" in found.found


def test_cases_that_need_more_memory_than_available_are_named() -> None:
    case = CaseFact(name="sam_h", weights="x", dataset_name="d", dataset="x", memory_gib=100.0)
    found = find(make_facts(cases=(case,)), "memory")
    assert (found.status, "sam_h (100 GiB)" in found.found) == ("note", True)


def test_a_missing_dataset_of_several_cases_is_one_note() -> None:
    nothing = Unavailable(message="none here", remedy="DATA=synthetic")
    cases = tuple(
        CaseFact(name=name, weights="x", dataset_name="imagenet", dataset=nothing, memory_gib=1.0)
        for name in ("a", "b")
    )
    assert find(make_facts(cases=cases), "dataset imagenet (a, b)").status == "note"


@pytest.mark.parametrize(
    ("spec", "fact", "status"),
    [
        ({}, MonitorFact(), "note"),
        ({"parser": "proc"}, MonitorFact(devices=("0 CPU",)), "ok"),
        ({"parser": "npu-smi"}, MonitorFact(problem="npu-smi is not there"), "note"),
    ],
)
def test_a_missing_monitor_is_only_a_note(
    spec: dict[str, Any], fact: MonitorFact, status: str
) -> None:
    assert find(make_facts(monitor_spec=spec, monitor=fact), "monitor").status == status


def test_a_hanging_monitor_is_not_reported_as_missing() -> None:
    fact = MonitorFact(problem="npu-smi did not answer in 5 s", hung=True)
    remedy = find(make_facts(monitor_spec={"parser": "npu-smi"}, monitor=fact), "monitor").remedy
    assert "PATH" not in remedy
    assert "run `npu-smi info" in remedy


def test_a_monitor_of_a_stand_in_is_reported_as_simulated() -> None:
    fact = MonitorFact(devices=("0 A100",), simulated=True)
    facts = make_facts(monitor_spec={"parser": "nvidia-smi"}, monitor=fact)
    assert "simulated" in find(facts, "monitor").found


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ([], "put nvidia-smi on PATH"),
        (["acme-smi", "-q"], "put acme-smi on PATH"),
        (["/opt/chips/acme-smi"], "run /opt/chips/acme-smi by hand"),
    ],
)
def test_a_missing_monitor_is_named(command: list[str], remedy: str) -> None:
    spec = {"parser": "nvidia-smi", "command": command}
    facts = make_facts(monitor_spec=spec, monitor=MonitorFact(problem="it is missing"))
    assert find(facts, "monitor").remedy.startswith(remedy)


def test_apptainer_is_named_where_it_is_installed_with_what_it_lacks() -> None:
    assert all(one.what != "Apptainer" for one in diagnose(make_facts()))
    ready = find(make_facts(apptainer=ApptainerFact(title="Apptainer 1.3.4")), "Apptainer")
    assert (ready.status, "Apptainer 1.3.4" in ready.found) == ("ok", True)
    lacking = ApptainerFact(title="Apptainer 1.3.4", lacking=("acme/v1",), images="/h/images/*.tar")
    found = find(make_facts(apptainer=lacking), "Apptainer")
    assert (found.status, "acme/v1" in found.found) == ("note", True)
    assert "/h/images/*.tar" in found.remedy
    old = ApptainerFact(problem=Unavailable(message="it is 1.1", remedy="load a newer module"))
    assert find(make_facts(apptainer=old), "Apptainer").remedy == "load a newer module"
