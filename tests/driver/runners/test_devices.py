"""vendor.toml may grant devices and parts of a driver, never the host, the job or the selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.catalog.manifests import read_manifest
from driver.errors import DataFault, EnvironmentFault, UsageFault
from driver.models.base import StageName
from driver.models.device_access import OWN_VARIABLES
from driver.models.vendor import VendorManifest
from driver.results import warnings as warn
from tests.driver.jobs import make_job, make_vendor
from tests.driver.miniature import VENDOR
from tests.driver.runners.test_spec import spec_of
from tests.driver.session.test_monitor import lab_with_monitor
from tests.driver.session.test_run import Lab

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
        ("privileged = true", "containers never run privileged"),
        (mount("/"), "/ would expose the host"),
        (mount("/dev"), "/dev would expose the host"),
        (mount("/var/run/docker.sock"), "docker.sock would expose the host"),
        (mount("usr/local/acme"), "not an absolute path"),
        (mount("/usr/local/../../etc"), "not an absolute path without '..'"),
        (mount("/opt/acme", "/job/harness"), "would hide what the driver mounts there"),
        (mount("/opt/acme", "/"), "would hide what the driver mounts there"),
        ('nodes = ["/etc/shadow"]', "not a device node below /dev"),
        ('nodes = ["/dev"]', "not a device node below /dev"),
        ('nodes = ["/dev/../etc/shadow"]', "without '..'"),
        ('select = "ACME_DEVICES"\nenv = { ACME_DEVICES = "all" }', "DEVICE= selects"),
        ('env = { NVIDIA_VISIBLE_DEVICES = "all" }', "DEVICE= selects"),
        ('env = { OMP_NUM_THREADS = "512" }', "OMP_NUM_THREADS is set by the driver"),
        ('devices = "all"', "Extra inputs are not permitted"),
    ],
)
def test_excessive_access_is_refused_with_its_key(tmp_path: Path, devices: str, said: str) -> None:
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


def test_parts_of_a_driver_are_granted(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        'nodes = ["/dev/acme{index}", "/dev/dri", "acme.example/npu=0"]\n'
        'select = "ACME_DEVICES"\nenv = { ACME_MODE = "fast" }\ngroups = ["video"]\n'
        + mount("/usr/local/acme/lib64"),
    ).devices
    assert len(found.nodes) == 3
    assert found.mounts[0].read_only


def test_vendors_cannot_set_the_drivers_variables() -> None:
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


def test_a_run_without_its_gpu_ends_before_engine_weights_and_stacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path)
    (lab.root / "vendor_hooks/acme/vendor.toml").write_text(VENDOR + '[devices]\ngpus = "nvidia"\n')
    monkeypatch.setattr(lab.installer, "install", lambda _stack: pytest.fail("installed"))
    monkeypatch.setattr("driver.runners.admission.GPU_NODES", ("/dev/acme-not-here*",))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(EnvironmentFault, match="this machine has no GPU"):
        lab.run(weights="/nowhere")
    monkeypatch.setattr("driver.runners.admission.GPU_NODES", ("/dev/nul*",))
    with pytest.raises(DataFault, match="/nowhere does not exist"):
        lab.run(weights="/nowhere")


def test_a_lost_gpu_beside_one_at_work_is_named_with_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nvidia-smi reports only GPU 1 then; the message was that the monitor reports none."""
    rows = tmp_path / "rows.csv"
    lost = "Unable to determine the device handle for GPU0000:0B:00.0: Unknown Error"
    row = (
        "GPU-00000000-0000-4000-8000-000000000001, Tesla T4, 535.129.03, 3, 15360, 9.1, 0, 31, 300"
    )
    rows.write_text(f"{lost}\n{row}\n")
    lab = lab_with_monitor(tmp_path, f"cat {rows}", parser="nvidia-smi")
    path = lab.root / "vendor_hooks/acme/vendor.toml"
    path.write_text(path.read_text() + '\n[devices]\ngpus = "nvidia"\n')
    monkeypatch.setattr("driver.runners.admission.GPU_NODES", ("/dev/acme-not-here*",))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(EnvironmentFault, match=r"DEVICE=0 does not exist .* devices are 1"):
        lab.run()


def test_a_stand_in_simulates_its_devices(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    path = lab.root / "vendor_hooks/acme/vendor.toml"
    path.write_text(VENDOR + '[devices]\nnodes = ["/dev/acme-not-here{index}"]\n')
    lab.settings = lab.settings.model_copy(update={"stand_ins": True})
    assert lab.run().result.status == "ok"
