"""Translates a container spec into Docker's Engine API. Pure: no SDK, no engine, no disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.runners.base import LOG_LIMIT_BYTES
from driver.runners.devices import nvidia_cdi
from driver.runners.spec import JOB_ROOT

if TYPE_CHECKING:
    from driver.runners.devices import Devices, HostMount
    from driver.runners.engine.traits import EngineTraits
    from driver.runners.spec import ContainerSpec, Limits, Mount


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The parts of a spec that depend on this host's disk; see ``driver.runners.admission``."""

    mounts: tuple[Mount, ...]
    host_mounts: tuple[HostMount, ...]
    masks: tuple[str, ...]
    group_ids: tuple[int, ...]


def container_config(
    spec: ContainerSpec, admitted: Admitted, engine: EngineTraits
) -> dict[str, Any]:
    """Return the body of POST /containers/create."""
    return {
        "Image": spec.stack.image,
        # Bypass the image's own entry point (NVIDIA's prints a banner).
        "Entrypoint": [spec.argv[0]],
        "Cmd": list(spec.argv[1:]),
        "User": guest_user(spec, engine),
        "WorkingDir": "/tmp",
        "Env": [f"{name}={value}" for name, value in (_OWN_ENV | dict(spec.env)).items()],
        "Labels": dict(spec.labels),
        "Hostname": "assay",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, admitted, engine),
    }


PODMANS_OWN = ("/run", "/var/tmp")
_OWN_ENV = {"HOME": "/tmp", "TMPDIR": "/tmp"}


def guest_user(spec: ContainerSpec, engine: EngineTraits) -> str:
    """Return uid:gid for the engine. In rootless engines 0 is the caller, anything else is nobody."""
    return "0:0" if engine.rootless else f"{spec.uid}:{spec.gid}"


def _host_config(spec: ContainerSpec, admitted: Admitted, engine: EngineTraits) -> dict[str, Any]:
    limits = spec.limits
    return {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        # Process 1 has no default signal handlers: an SDK's abort() would show up as signal 11.
        "Init": engine.init,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.devices.capabilities),
        # SELinux would block reads of the user's folders, and we must not relabel their dataset.
        "SecurityOpt": ["no-new-privileges", *(["label=disable"] if engine.selinux else [])],
        "UsernsMode": "host" if engine.remapped else "",
        "GroupAdd": [str(group) for group in admitted.group_ids],
        **_cgroup_limits(limits, engine),
        "ShmSize": limits.shared_memory_bytes,
        "Ulimits": _ulimits(limits, engine),
        "Tmpfs": _tmpfs(spec, admitted, engine),
        "Mounts": [_bind(mount) for mount in admitted.mounts]
        + [_host_bind(mount) for mount in admitted.host_mounts],
        "Devices": [_device(node) for node in spec.devices.nodes],
        "DeviceRequests": _device_requests(spec.devices, engine),
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": f"{LOG_LIMIT_BYTES}b", "max-file": "1"},
        },
    }


def _cgroup_limits(limits: Limits, engine: EngineTraits) -> dict[str, int]:
    # Only what the engine can enforce: crun fails on the rest, and Podman's runc ignores it silently.
    memory = limits.memory_bytes if engine.limits_memory else 0
    return {
        "Memory": memory,
        "MemorySwap": memory,  # the same number: no swap on top
        "PidsLimit": limits.processes if engine.limits_processes else 0,
    }


def _ulimits(limits: Limits, engine: EngineTraits) -> list[dict[str, Any]]:
    found = [{"Name": "core", "Soft": 0, "Hard": 0}]
    if not engine.limits_processes:
        # Counts what the engine's user runs in all of its containers; the next best to a cgroup.
        found.append({"Name": "nproc", "Soft": limits.processes, "Hard": limits.processes})
    return found


def _tmpfs(spec: ContainerSpec, admitted: Admitted, engine: EngineTraits) -> dict[str, str]:
    # Podman copies into a tmpfs what it covers, which for a mask is exactly what must not be seen.
    only = ",notmpcopyup" if engine.podman else ""
    # exec: inductor and vendors' JIT compilers load libraries that they build under TMPDIR.
    tmp = {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={spec.limits.tmp_bytes}{only}"}
    empty = f"ro,noexec,nosuid,nodev,mode=0555,size=4096{only}"
    if engine.podman:
        # A read-only root of Podman's has these two as writable memory, of any size.
        tmp |= dict.fromkeys(PODMANS_OWN, f"rw,noexec,nosuid,nodev,size=1m{only}")
    return tmp | {f"{JOB_ROOT}/{mask}": empty for mask in admitted.masks}


def _bind(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(mount.source),
        "Target": f"{JOB_ROOT}/{mount.target}",
        "ReadOnly": mount.read_only,
    }


def _host_bind(mount: HostMount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def _device(node: str) -> dict[str, str]:
    return {"PathOnHost": node, "PathInContainer": node, "CgroupPermissions": "rwm"}


def _device_requests(devices: Devices, engine: EngineTraits) -> list[dict[str, Any]]:
    if devices.gpus == "none":
        return []
    if devices.gpus == "cdi":
        return [{"Driver": "cdi", "DeviceIDs": list(devices.gpu_ids)}]
    if engine.podman:
        # Podman ignores a request without this driver, and would run without the GPU.
        return [{"Driver": "cdi", "DeviceIDs": list(nvidia_cdi(devices.gpu_ids))}]
    return [{"DeviceIDs": list(devices.gpu_ids), "Capabilities": [["gpu"]]}]
