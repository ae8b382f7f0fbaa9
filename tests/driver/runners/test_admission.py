"""Checks of this host before a container starts; every problem is named."""

from __future__ import annotations

import grp
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault
from driver.models.base import FailureKind
from driver.runners import admission
from driver.runners.admission import admit, device_files, lent
from driver.runners.devices import Devices, HostMount
from driver.runners.spec import ContainerSpec, Mount
from tests.driver.runners.hooks import make_spec

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Pretend that the caller is root, and record privileged calls instead of making them."""
    umask = os.umask(0o022)  # the one that the driver's entry gives root
    owned: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        os, "chown", lambda path, uid, gid, **_: owned.append((Path(path).name, uid))
    )
    yield owned
    os.umask(umask)


def with_devices(tmp_path: Path, devices: Devices) -> ContainerSpec:
    tmp_path.chmod(0o755)
    return make_spec(tmp_path, "exit 0", devices=devices)


def test_a_missing_device_is_named_and_attributed_to_the_host(tmp_path: Path) -> None:
    spec = with_devices(tmp_path, Devices(nodes=("/dev/null", "/dev/davinci7")))
    with pytest.raises(EnvironmentFault, match="device node /dev/davinci7 does not exist") as error:
        admit(spec)
    assert error.value.kind is FailureKind.HOST
    assert "DEVICE=" in error.value.remedy


def test_a_folder_must_contain_device_nodes_and_no_disk(tmp_path: Path) -> None:
    folder = tmp_path / "dri"
    folder.mkdir()
    (folder / "note").write_text("no node")
    with pytest.raises(EnvironmentFault, match="contains no device node") as error:
        admit(with_devices(tmp_path, Devices(nodes=(str(folder),))))
    assert "kernel driver" in error.value.remedy
    try:
        os.mknod(folder / "renderD128", 0o660 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(folder / "sda", 0o600 | stat.S_IFBLK, os.makedev(7, 250))
    except PermissionError:
        pytest.skip("only root makes device nodes")
    assert [path.name for path in device_files(str(folder))] == ["renderD128", "sda"]
    with pytest.raises(EnvironmentFault, match=r"sda is a block device"):
        admit(with_devices(tmp_path, Devices(nodes=(str(folder),))))
    (folder / "sda").unlink()
    admit(with_devices(tmp_path, Devices(nodes=(str(folder),))))


def test_a_missing_part_of_the_vendors_driver_is_named_unless_optional(
    tmp_path: Path,
) -> None:
    there = HostMount(source="/usr", target="/usr/local/there")
    absent = HostMount(source="/no/lib64", target="/usr/lib64", optional=True)
    spec = with_devices(tmp_path, Devices(host_mounts=(there, absent)))
    assert admit(spec).host_mounts == (there,)
    needed = with_devices(tmp_path, Devices(host_mounts=(replace(absent, optional=False),)))
    with pytest.raises(EnvironmentFault, match="/no/lib64, part of the vendor's driver"):
        admit(needed)


def test_groups_are_passed_by_number_and_unknown_ones_dropped(tmp_path: Path) -> None:
    known = grp.getgrall()[-1]
    spec = with_devices(tmp_path, Devices(groups=(known.gr_name, "no-such-group")))
    assert admit(spec).group_ids == (known.gr_gid,)


def test_a_folder_of_links_is_mounted_file_by_file(tmp_path: Path) -> None:
    """Regression: weights in the hub's cache are links to ../../blobs."""
    spec = make_spec(tmp_path, "exit 0")
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "rev"
    blobs.mkdir(mode=0o755)
    snapshot.mkdir(parents=True)
    (blobs / "abc").write_text("weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (snapshot / "config.json").write_text("{}")
    weights = Mount(source=snapshot, target="weights")
    mounts = admit(replace(spec, mounts=(*spec.mounts, weights))).mounts
    assert Mount(source=blobs / "abc", target="weights/model.safetensors") in mounts
    assert Mount(source=snapshot / "config.json", target="weights/config.json") in mounts
    assert "weights" not in {mount.target for mount in mounts}


def test_a_folder_with_links_inside_itself_is_mounted_whole(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "a").write_text("x")
    (folder / "b").symlink_to("a")
    weights = Mount(source=folder, target="weights")
    assert weights in admit(replace(spec, mounts=(*spec.mounts, weights))).mounts


def test_only_existing_folders_are_masked(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0", masks=("case/data", "case/absent"))
    (Path(str(spec.source("case"))) / "data").mkdir()
    assert admit(spec).masks == ("case/data",)


def test_roots_guest_must_be_able_to_read(tmp_path: Path, as_root: list[tuple[str, int]]) -> None:
    spec = make_spec(tmp_path, "exit 0", uid=10001, gid=10001)
    secret = Path(str(spec.source("data"))) / "items.bin"
    secret.write_text("x")
    admit(spec)
    secret.chmod(0o600)
    with pytest.raises(
        EnvironmentFault, match=r"items\.bin is not readable by user 10001"
    ) as error:
        admit(spec)
    assert "chmod -R o+rX" in error.value.remedy


def test_code_that_only_root_can_read_is_mounted_as_a_copy(
    tmp_path: Path, as_root: list[tuple[str, int]]
) -> None:
    """A tree cloned under umask 077."""
    spec = make_spec(tmp_path, "exit 0", uid=10001, gid=10001)
    folder = Path(str(spec.source("hook")))
    (folder / "engines").mkdir()
    (folder / "engines" / "acme.py").write_text("ENGINE = 1\n")
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    (mounted,) = (mount.source for mount in admit(spec).mounts if mount.target == "hook")
    assert mounted.is_relative_to(spec.folder)
    assert (mounted / "engines" / "acme.py").read_text() == "ENGINE = 1\n"
    modes = {path.name: path.stat().st_mode & 0o007 for path in (mounted, *mounted.rglob("*"))}
    assert modes == {"hook": 0o005, "engines": 0o005, "acme.py": 0o004}
    assert admit(spec).mounts  # a second time in the same folder


def test_roots_guest_owns_out_and_cache_and_returns_out(
    tmp_path: Path, as_root: list[tuple[str, int]]
) -> None:
    spec = make_spec(tmp_path, "exit 0", uid=10001, gid=10001)
    with lent(spec):
        assert set(as_root) == {("out", 10001), ("cache", 10001)}
        (Path(str(spec.source("out"))) / "report.json").write_text("{}")
        as_root.clear()
    assert set(as_root) == {("out", 0), ("report.json", 0)}


def test_a_normal_callers_files_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(admission, "give", lambda *_: pytest.fail("ownership was changed"))
    with lent(make_spec(tmp_path, "exit 0")):
        pass
