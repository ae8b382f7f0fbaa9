"""A stage's device access, resolved from vendor.toml. Pure: admission checks that nodes exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from driver.models.base import RunnerName

if TYPE_CHECKING:
    from driver.models.device_access import DeviceSpec


@dataclass(frozen=True, kw_only=True)
class HostMount:
    """A part of the vendor's host driver, mounted in the container at an absolute path."""

    source: str
    target: str
    read_only: bool = True
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Device access with the selected indices filled in; empty for reference stages."""

    nodes: tuple[str, ...] = ()
    gpus: Literal["none", "nvidia", "cdi"] = "none"
    gpu_ids: tuple[str, ...] = ()
    host_mounts: tuple[HostMount, ...] = ()
    groups: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()


def renumbered(devices: DeviceSpec, runner: RunnerName) -> bool:
    """Whether the guest numbers its devices from 0, because it gets only the selected ones."""
    per_device = any("{index}" in node for node in devices.nodes)
    if runner is RunnerName.APPTAINER:
        # Its --nv gives every GPU of the host.
        return per_device
    return runner is RunnerName.DOCKER and (devices.gpus != "none" or per_device)


def select_devices(devices: DeviceSpec, selected: str) -> Devices:
    """Return vendor.toml's device access for the selected indices (``"0"``, ``"1,3"``)."""
    indices = tuple(part.strip() for part in selected.split(",") if part.strip())
    nodes = [
        name
        for node in devices.nodes
        for name in ([node.replace("{index}", i) for i in indices] if "{index}" in node else [node])
    ]
    cdi = tuple(name for name in nodes if not name.startswith("/"))
    gpu_ids = {"none": (), "nvidia": indices, "cdi": cdi or nvidia_cdi(indices)}[devices.gpus]
    return Devices(
        nodes=tuple(name for name in nodes if name.startswith("/")),
        gpus=devices.gpus,
        gpu_ids=gpu_ids,
        host_mounts=tuple(HostMount(**mount.model_dump()) for mount in devices.mounts),
        groups=devices.groups,
        capabilities=devices.capabilities,
    )


def nvidia_cdi(indices: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of NVIDIA's GPUs in the Container Device Interface."""
    return tuple(f"nvidia.com/gpu={index}" for index in indices)
