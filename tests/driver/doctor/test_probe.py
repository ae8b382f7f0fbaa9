"""The probes, which gather facts about this machine, and the `doctor` command."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.doctor.probe import monitor_facts, node_facts
from driver.doctor.probe_stacks import engine_fact
from driver.models.vendor import MonitorSpec
from tests.driver.miniature import STACK, VENDOR, write_executable
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    from pathlib import Path


def test_a_device_node_a_file_and_a_missing_path_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (null,) = node_facts("/dev/null")
    assert (null.exists, null.is_device, null.mode) == (True, True, 0o666)
    (file,) = node_facts(str(tmp_path / "file"))
    assert (file.exists, file.is_device) == (True, False)
    (nothing,) = node_facts(str(tmp_path / "none"))
    assert not nothing.exists


def test_a_folder_gives_its_nodes_with_their_modes(tmp_path: Path) -> None:
    (tmp_path / "by-path").symlink_to("/dev/null")
    (empty,) = node_facts(str(tmp_path))
    assert (empty.path, empty.is_folder, empty.is_device) == (str(tmp_path), True, False)
    inside = {node.path: node for node in node_facts("/dev")}
    assert inside["/dev/null"].mode == 0o666
    assert all(node.is_device and not node.is_folder for node in inside.values())
    assert "/dev/stdin" not in inside, "a link"


def test_a_missing_or_broken_monitor_is_a_problem_not_an_error() -> None:
    absent = MonitorSpec(parser="npu-smi", command=("npu-smi-that-is-not-here",))
    assert "is missing" in monitor_facts(absent).problem
    assert monitor_facts(MonitorSpec(parser="nvidia-smi", command=("echo", "hello"))).problem


def test_the_kernel_monitor_works_everywhere() -> None:
    assert len(monitor_facts(MonitorSpec(parser="proc")).devices) == 1


class Engine:
    """A client of Docker that answers only info()."""

    def __init__(self, **info: Any) -> None:
        self._info = info
        self.api = SimpleNamespace(base_url="", get=lambda _url: SimpleNamespace(headers={}))

    def info(self) -> dict[str, Any]:
        return self._info


def test_the_facts_of_an_engine_have_its_disk_and_kind(tmp_path: Path) -> None:
    rootless = ["name=seccomp,profile=default", "name=rootless"]
    here = engine_fact(Engine(DockerRootDir=str(tmp_path), Driver="vfs", SecurityOptions=rootless))
    assert (here.root, here.storage_driver, here.rootless) == (str(tmp_path), "vfs", True)
    assert here.free_bytes == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    elsewhere = engine_fact(Engine(DockerRootDir=str(tmp_path / "none"), Driver="overlay2"))
    assert (elsewhere.free_bytes, elsewhere.rootless) == (None, False)


def private_vendor(folder: Path, devices: str = "") -> Path:
    """Write a vendor outside the tree."""
    folder.mkdir()
    (folder / "vendor.toml").write_text(VENDOR + devices)
    write_executable(folder / "hook", "#!/bin/sh\n")
    for name, alone in (("v1", "true"), ("image-only", "false")):
        stack = folder / "images" / name / "stack.toml"
        stack.parent.mkdir(parents=True)
        stack.write_text(STACK.format(vendor="acme", name=name, alone=alone))
        (stack.parent / "requirements.lock").touch()
    return folder


def environment(tmp_path: Path, vendor: Path) -> dict[str, str]:
    return {
        "VENDOR_PATH": str(vendor),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "HF_HOME": str(tmp_path),
    }


def test_a_missing_device_node_gives_exit_code_3_and_a_remedy(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme", '[devices]\nnodes = ["/dev/assay-none{index}"]\n')
    done = assay(
        "doctor", "--vendor", "acme", home=tmp_path / "home", **environment(tmp_path, vendor)
    )
    assert done.returncode == 3
    assert "✗ device /dev/assay-none0: there is no such device node" in done.stderr
    assert "load the vendor's kernel driver" in done.stderr
    made = {path.name for path in (tmp_path / "home").iterdir()}
    assert made <= {"cache"}, "doctor remembers digests of weights and makes nothing else"


def test_json_names_every_check(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    done = assay(
        *("doctor", "--vendor", "acme", "--format", "json"),
        home=tmp_path / "home",
        **environment(tmp_path, vendor),
    )
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["schema"]) == (0, True, "assay/doctor/1")
    assert {"processor", "memory", "disk", "monitor", "container engine"} <= {
        check["what"] for check in document["checks"]
    }


def test_a_stack_that_runs_only_in_its_image_needs_an_engine(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    done = assay(
        *("doctor", "--vendor", "acme", "--stack", "image-only"),
        home=tmp_path / "home",
        **environment(tmp_path, vendor),
    )
    assert done.returncode == 3
    assert "no Docker engine answers" in done.stderr


def test_a_case_says_first_what_stops_its_run(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme", '[devices]\nnodes = ["/dev/assay-none{index}"]\n')
    done = assay(
        *("doctor", "--case", "sam", "--vendor", "acme", "--device", "2"),
        home=tmp_path / "home",
        **environment(tmp_path, vendor),
    )
    assert done.returncode == 3
    first, _, table = done.stdout.partition("\n")
    assert re.fullmatch(
        r"`make run CASE=sam VENDOR=acme DEVICE=2`: \d problems of this machine stop it", first
    )
    assert "| check" in table
    said = done.stderr
    for cause in ("device /dev/assay-none2", "weights of sam_h", "dataset"):
        assert f"✗ {cause}" in said
    assert said.index("✗ device") < said.index("✗ weights") < said.index("worth knowing")
    assert "vit_l_16" not in said, "other cases do not stop this run"


def test_a_case_whose_run_can_start_names_it(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    done = assay(
        *("doctor", "--case", "vit_digits", "--vendor", "acme"),
        home=tmp_path / "home",
        **environment(tmp_path, vendor),
    )
    assert done.returncode == 0
    assert done.stdout.startswith("`make run CASE=vit_digits VENDOR=acme`: nothing here stops it")
    assert re.search(r"next: make run .*CASE=vit_digits VENDOR=acme", done.stderr)


def test_without_a_case_missing_weights_stop_nothing(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    done = assay(
        "doctor", "--vendor", "acme", home=tmp_path / "home", **environment(tmp_path, vendor)
    )
    assert done.returncode == 0
    assert "· weights of sam_h" in done.stderr


def test_an_unknown_case_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    done = assay("doctor", "--case", "vit_digts", home=tmp_path)
    assert done.returncode == 2
    assert "did you mean vit_digits?" in done.stderr


def test_a_home_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = assay("doctor", home=tmp_path / "file" / "home")
    assert done.returncode == 3
    assert "this user cannot write to" in done.stderr
