"""A spec as an Engine API request: everything that isolates a stage is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driver.runners.devices import Devices, HostMount
from driver.runners.engine.traits import EngineTraits
from driver.runners.host_config import Admitted, container_config
from driver.runners.spec import InstalledStack, Mount
from tests.driver.runners.hooks import make_spec


def config_of(
    home: Path, engine: EngineTraits | None = None, **changes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    admitted = Admitted(
        mounts=changes.pop("mounts", ()),
        host_mounts=changes.pop("host_mounts", ()),
        masks=changes.pop("masks", ()),
        group_ids=changes.pop("group_ids", ()),
    )
    stack = InstalledStack(image="assay/acme:v1")
    spec = replace(make_spec(home, "exit 0"), stack=stack, uid=1234, gid=99, **changes)
    config = container_config(spec, admitted, engine or EngineTraits())
    return config, config["HostConfig"]


def test_a_container_has_no_network_and_cannot_gain_privileges(tmp_path: Path) -> None:
    config, host = config_of(tmp_path)
    assert host["Init"] is True
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], [])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert config["User"] == "1234:99"


def test_memory_without_swap_and_processes_are_limited(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    _, host = config_of(tmp_path, limits=replace(spec.limits, memory_bytes=1 << 30, processes=77))
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["PidsLimit"] == 77


def test_the_images_entry_point_and_health_check_are_disabled(tmp_path: Path) -> None:
    config, _ = config_of(tmp_path)
    assert config["Entrypoint"] == ["/job/hook/hook"]
    assert config["Cmd"] == ["infer", "/job"]
    assert config["Healthcheck"] == {"Test": ["NONE"]}


def test_mounts_are_under_job_and_keep_their_mode(tmp_path: Path) -> None:
    read = Mount(source=Path("/h/data"), target="data")
    write = Mount(source=Path("/h/out"), target="out", read_only=False)
    driver = HostMount(source="/usr/lib/acme", target="/usr/lib/acme")
    _, host = config_of(tmp_path, mounts=(read, write), host_mounts=(driver,), masks=("case/val",))
    assert [(m["Source"], m["Target"], m["ReadOnly"]) for m in host["Mounts"]] == [
        ("/h/data", "/job/data", True),
        ("/h/out", "/job/out", False),
        ("/usr/lib/acme", "/usr/lib/acme", True),
    ]
    assert host["Tmpfs"]["/job/case/val"].startswith("ro,")


def test_compilers_may_load_what_they_built_under_tmp(tmp_path: Path) -> None:
    config, host = config_of(tmp_path)
    assert "exec" in host["Tmpfs"]["/tmp"].split(",")
    assert "TMPDIR=/tmp" in config["Env"]


@pytest.mark.parametrize(
    ("devices", "requests"),
    [
        (Devices(), []),
        (Devices(gpus="nvidia", gpu_ids=("1",)), [{"DeviceIDs": ["1"], "Capabilities": [["gpu"]]}]),
        (Devices(gpus="cdi", gpu_ids=("a/b=0",)), [{"Driver": "cdi", "DeviceIDs": ["a/b=0"]}]),
    ],
)
def test_gpus_are_requested_by_id(
    tmp_path: Path, devices: Devices, requests: list[dict[str, Any]]
) -> None:
    assert config_of(tmp_path, devices=devices)[1]["DeviceRequests"] == requests


def test_nodes_groups_and_capabilities_are_what_the_manifest_asked(tmp_path: Path) -> None:
    devices = Devices(nodes=("/dev/acme0",), capabilities=("SYS_NICE",))
    _, host = config_of(tmp_path, devices=devices, group_ids=(44,))
    assert host["Devices"][0]["PathOnHost"] == "/dev/acme0"
    assert host["CapAdd"] == ["SYS_NICE"]
    assert host["GroupAdd"] == ["44"]


def test_in_a_rootless_engine_the_caller_is_user_0(tmp_path: Path) -> None:
    rootless = EngineTraits.of(
        {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}
    )
    assert config_of(tmp_path, rootless)[0]["User"] == "0:0"


def test_an_engines_additions_are_handled(tmp_path: Path) -> None:
    _, host = config_of(
        tmp_path, EngineTraits.of({"SecurityOptions": ["name=userns", "name=selinux"]})
    )
    assert host["UsernsMode"] == "host"
    assert "label=disable" in host["SecurityOpt"]


PODMAN = EngineTraits(
    kind="Podman",
    version="4.3.1",
    rootless=True,
    limits_memory=False,
    limits_processes=False,
)


def test_podman_does_not_copy_into_a_mask_what_it_hides(tmp_path: Path) -> None:
    """Without the option, Podman fills the tmpfs with the folder below it: the labels."""
    _, host = config_of(tmp_path, PODMAN, masks=("case/val",))
    assert "notmpcopyup" in host["Tmpfs"]["/job/case/val"].split(",")
    _, docker = config_of(tmp_path, masks=("case/val",))
    assert "notmpcopyup" not in docker["Tmpfs"]["/job/case/val"], "which Docker refuses"


def test_podmans_writable_folders_on_a_read_only_root_are_small(tmp_path: Path) -> None:
    _, host = config_of(tmp_path, PODMAN)
    assert all("size=1m" in host["Tmpfs"][folder] for folder in ("/run", "/var/tmp"))


def test_what_no_cgroup_limits_is_not_asked_of_a_cgroup(tmp_path: Path) -> None:
    _, host = config_of(tmp_path, PODMAN)
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (0, 0, 0)
    assert {limit["Name"] for limit in host["Ulimits"]} == {"core", "nproc"}


def test_podman_is_asked_for_nvidias_gpus_in_the_only_way_that_it_heeds(tmp_path: Path) -> None:
    devices = Devices(gpus="nvidia", gpu_ids=("0", "1"))
    _, host = config_of(tmp_path, PODMAN, devices=devices)
    [request] = host["DeviceRequests"]
    assert request == {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}
