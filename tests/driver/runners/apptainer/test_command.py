"""Apptainer's command line for a stage, against its documentation (1.2 to 1.4)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.runners.apptainer.command import (
    Asked,
    Folders,
    build_command,
    exec_command,
    guest_variables,
    mount_option,
)
from driver.runners.apptainer.program import Program
from driver.runners.devices import Devices, HostMount
from driver.runners.host_config import Admitted
from driver.runners.spec import InstalledStack
from tests.driver.runners.hooks import make_spec

if TYPE_CHECKING:
    from typing import Any

    from driver.runners.spec import ContainerSpec

PROGRAM = Program(path="/usr/bin/apptainer", flavour="apptainer", version="1.3.4")
CE = Program(path="/usr/bin/singularity", flavour="singularity-ce", version="4.1.0")
ALL = Asked()
FOLDERS = Folders(job=Path("/w/job"), empty=Path("/w/empty"), scratch=Path("/w/scratch"))


def spec_with(home: Path, **changes: Any) -> ContainerSpec:
    stack = InstalledStack(image="sha256:1", sif=Path("/h/sif/1.sif"))
    return make_spec(home, "exit 0", **{"stack": stack, **changes})


def command(spec: ContainerSpec, *, asked: Asked = ALL, as_root: bool = False) -> list[str]:
    admitted = Admitted(
        mounts=spec.mounts, host_mounts=spec.devices.host_mounts, masks=spec.masks, group_ids=()
    )
    return exec_command(spec, admitted, FOLDERS, PROGRAM, asked=asked, as_root=as_root)


def after(words: list[str], option: str) -> list[str]:
    """Return the values of an option, in their order."""
    return [words[place + 1] for place, word in enumerate(words) if word == option]


def test_a_stage_sees_nothing_of_the_host_but_its_job_folder(tmp_path: Path) -> None:
    words = command(spec_with(tmp_path))
    assert words[:3] == ["/usr/bin/apptainer", "--quiet", "exec"]
    flags = {"--containall", "--cleanenv", "--no-home", "--no-eval", "--no-privs", "--net"}
    assert flags <= set(words)
    assert after(words, "--network") == ["none"]
    assert after(words, "--no-mount") == ["home,cwd,hostfs,bind-paths"]
    assert after(words, "--workdir") == ["/w/scratch"]
    assert after(words, "--pwd") == ["/tmp"]
    assert not {"--writable", "--writable-tmpfs", "--fakeroot", "--bind", "--nv"} & set(words)
    assert words[-3:] == ["/job/hook/hook", "infer", "/job"]
    assert words[words.index("/h/sif/1.sif") + 1 :][:2] == ["/bin/sh", "-c"]


def test_the_job_folder_is_read_only_and_each_part_as_the_spec_says(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, masks=("case/images",))
    mounts = after(command(spec), "--mount")
    assert mounts[0] == "type=bind,source=/w/job,destination=/job,ro"
    targets = {mount.split("destination=/job/")[1] for mount in mounts[1:]}
    read_only = {"job.json", "harness", "case", "hook", "data", "case/images"}
    assert targets == {f"{name},ro" for name in read_only} | {"out", "cache"}
    # What is inside of another mount comes after it.
    masked = mounts.index("type=bind,source=/w/empty,destination=/job/case/images,ro")
    assert masked > next(place for place, one in enumerate(mounts) if one.endswith("/job/case,ro"))


def test_limits_are_asked_for_where_cgroups_are_to_be_had(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, memory_bytes=3 << 30, processes=99)
    words = command(spec)
    memory = str(3 << 30)
    assert (after(words, "--memory"), after(words, "--memory-swap")) == ([memory], [memory])
    assert after(words, "--pids-limit") == ["99"]
    plain = command(spec, asked=Asked(limits=False, network=False))
    assert not {"--memory", "--memory-swap", "--pids-limit", "--net", "--network"} & set(plain)


def test_the_guest_of_root_is_another_user(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, uid=65534, gid=65533)
    assert {"--security=uid:65534", "--security=gid:65533"} <= set(command(spec, as_root=True))
    assert not any(word.startswith("--security") for word in command(spec))


def test_devices_are_given_by_node_and_host_mounts_as_vendor_toml_says(tmp_path: Path) -> None:
    devices = Devices(
        nodes=("/dev/davinci1",),
        host_mounts=(HostMount(source="/usr/local/Ascend/driver", target="/driver"),),
        capabilities=("CAP_SYS_NICE",),
    )
    words = command(spec_with(tmp_path, devices=devices))
    assert after(words, "--mount")[-2:] == [
        "type=bind,source=/usr/local/Ascend/driver,destination=/driver,ro",
        "type=bind,source=/dev/davinci1,destination=/dev/davinci1",
    ]
    assert after(words, "--add-caps") == ["CAP_SYS_NICE"]


@pytest.mark.parametrize(("gpus", "flag", "off"), [("nvidia", True, False), ("none", False, True)])
def test_gpus_are_given_only_where_the_vendor_needs_them(
    tmp_path: Path, gpus: str, flag: bool, off: bool
) -> None:
    spec = spec_with(tmp_path, devices=Devices(gpus=gpus, gpu_ids=("0",)))  # type: ignore[arg-type]
    assert ("--nv" in command(spec)) is flag
    variables = guest_variables(spec, PROGRAM)
    assert (variables.get("APPTAINER_NO_NV") == "1") is off
    assert variables["APPTAINER_NO_ROCM"] == "1"


@pytest.mark.parametrize("path", ["/plain", "/with,comma", '/with "quotes"', "/with:colon = x"])
def test_any_path_can_be_mounted(path: str) -> None:
    (fields,) = csv.reader([mount_option(path, "/job/data", read_only=True)], strict=True)
    assert fields == ["type=bind", f"source={path}", "destination=/job/data", "ro"]


@pytest.mark.parametrize(("program", "prefix"), [(PROGRAM, "APPTAINER"), (CE, "SINGULARITY")])
def test_the_guests_variables_go_by_apptainers_own(
    tmp_path: Path, program: Program, prefix: str
) -> None:
    spec = spec_with(tmp_path, env={"HOME": "/x", "LIST": "a,b $c"})
    found = guest_variables(spec, program)
    assert found[f"{prefix}ENV_LIST"] == "a,b $c"
    assert found[f"{prefix}ENV_TMPDIR"] == "/tmp"
    assert f"{prefix}ENV_HOME" not in found


def test_the_callers_options_for_apptainer_reach_no_stage(tmp_path: Path) -> None:
    caller = {
        "PATH": "/bin",
        "APPTAINER_BIND": "/home",
        "APPTAINERENV_X": "1",
        "HF_TOKEN": "secret",
    }
    found = PROGRAM.environment(tmp_path, caller)
    assert found["PATH"] == "/bin"
    assert not {"APPTAINER_BIND", "APPTAINERENV_X", "HF_TOKEN"} & found.keys()
    assert found["APPTAINER_TMPDIR"] == str(tmp_path)


def test_a_sif_is_made_of_a_layout_without_a_reference() -> None:
    # Apptainer 1.4 reads what is behind the folder as a digest, older ones as a name.
    words = build_command(PROGRAM, Path("/w/layout"), Path("/w/x.sif"))
    assert words[-2:] == ["/w/x.sif", "oci:/w/layout"]
