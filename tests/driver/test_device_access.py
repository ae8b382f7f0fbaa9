"""What a vendor.toml may ask for: devices and parts of a driver, never the host, the job or the selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver import warnings as warn
from driver.catalog import read_manifest
from driver.errors import EnvironmentFault, UsageFault
from driver.models.base import StageName
from driver.models.device_access import OWN_VARIABLES
from driver.models.manifest import VendorManifest
from tests.driver.jobs import make_job, make_vendor
from tests.driver.miniature import VENDOR
from tests.driver.test_containers import spec_of
from tests.driver.test_session import Lab

if TYPE_CHECKING:
    from pathlib import Path


def manifest(tmp_path: Path, devices: str, *, text: str = VENDOR) -> VendorManifest:
    path = tmp_path / "vendor.toml"
    path.write_text(f"{text}\n[devices]\n{devices}\n")
    return read_manifest(path, VendorManifest)


def mount(source: str, target: str = "/usr/local/acme") -> str:
    return f'mounts = [{{ source = "{source}", target = "{target}" }}]'


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ("privileged = true", "no container runs privileged"),
        (mount("/"), "/ hands the host over"),
        (mount("/dev"), "/dev hands the host over"),
        (mount("/var/run/docker.sock"), "docker.sock hands the host over"),
        (mount("usr/local/acme"), "no absolute path"),
        (mount("/usr/local/../../etc"), "no absolute path without '..'"),
        (mount("/opt/acme", "/job/harness"), "would lie over what the driver puts there"),
        (mount("/opt/acme", "/"), "would lie over what the driver puts there"),
        ('nodes = ["/etc/shadow"]', "no device node below /dev"),
        ('nodes = ["/dev"]', "no device node below /dev"),
        ('nodes = ["/dev/../etc/shadow"]', "without '..'"),
        ('select = "ACME_DEVICES"\nenv = { ACME_DEVICES = "all" }', "DEVICE= selects"),
        ('env = { NVIDIA_VISIBLE_DEVICES = "all" }', "DEVICE= selects"),
        ('env = { OMP_NUM_THREADS = "512" }', "OMP_NUM_THREADS is set by the driver"),
        ('devices = "all"', "Extra inputs are not permitted"),
    ],
)
def test_more_than_a_vendor_may_be_granted_is_refused_with_its_key(
    tmp_path: Path, devices: str, said: str
) -> None:
    with pytest.raises(UsageFault) as caught:
        manifest(tmp_path, devices)
    assert "vendor.toml: devices" in caught.value.message
    assert said in caught.value.message


def test_a_precision_may_not_select_devices_either(tmp_path: Path) -> None:
    text = VENDOR.replace(
        'fp16 = { arithmetic = "fp16" } }',
        'fp16 = { arithmetic = "fp16", env = { ACME_DEVICES = "all" } } }',
        1,
    )
    with pytest.raises(UsageFault, match="ACME_DEVICES is set by the driver"):
        manifest(tmp_path, 'select = "ACME_DEVICES"', text=text)


def test_what_a_driver_consists_of_is_granted(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        'nodes = ["/dev/acme{index}", "/dev/dri", "acme.example/npu=0"]\n'
        'select = "ACME_DEVICES"\nenv = { ACME_MODE = "fast" }\ngroups = ["video"]\n'
        + mount("/usr/local/acme/lib64"),
    ).devices
    assert len(found.nodes) == 3
    assert found.mounts[0].read_only


def test_every_variable_that_the_driver_sets_is_its_own() -> None:
    plain = make_vendor({"env": {}})
    job = make_job(StageName.EXPORT)
    assert set(spec_of(job, vendor=plain).env) <= OWN_VARIABLES


def test_more_than_a_device_is_shown_in_every_result() -> None:
    found = warn.extra_privileges("acme", ("SYS_ADMIN",), ("/var/acme",))
    assert found is not None
    assert found.message == (
        "containers of acme have the capability SYS_ADMIN, write access to /var/acme of the host"
    )
    assert warn.extra_privileges("acme", ()) is None


def test_a_run_without_its_device_ends_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path)
    path = lab.root / "vendor_hooks/acme/vendor.toml"
    path.write_text(VENDOR + '[devices]\nnodes = ["/dev/acme-not-here{index}"]\n')
    monkeypatch.setattr(lab.installer, "install", lambda _stack: pytest.fail("installed"))
    with pytest.raises(EnvironmentFault, match="/dev/acme-not-here3 does not exist"):
        lab.run(device="3")


def test_a_stand_in_brings_its_devices_along(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    path = lab.root / "vendor_hooks/acme/vendor.toml"
    path.write_text(VENDOR + '[devices]\nnodes = ["/dev/acme-not-here{index}"]\n')
    lab.settings = lab.settings.model_copy(update={"stand_ins": True})
    assert lab.run().result.status == "ok"
