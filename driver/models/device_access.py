"""Host access that vendor.toml can grant to a vendor's containers, and what it must not grant."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from driver.models.base import Frozen

JOB_ROOT = PurePosixPath("/job")
ENGINE_SOCKETS = frozenset({"docker.sock", "podman.sock", "containerd.sock", "crio.sock"})
WHOLE_HOST = frozenset(
    {"/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/sys", "/var"}
)
OWN_VARIABLES = frozenset(
    {
        "HF_HUB_OFFLINE",
        "HOME",
        "LC_ALL",
        "NVIDIA_VISIBLE_DEVICES",
        "OMP_NUM_THREADS",
        "PYTHONDONTWRITEBYTECODE",
        "TMPDIR",
        "TRANSFORMERS_OFFLINE",
    }
)
"""Variables that the driver sets itself, or that would grant more devices than DEVICE selects."""


class MountSpec(Frozen):
    """A host path mounted in containers: part of the vendor's driver, not of the host system."""

    source: str = Field(description="path on the host, part of the vendor's driver")
    target: str = Field(description="path in the container, not below /job")
    read_only: bool = Field(
        default=True, description="false: containers may write to it; results show that"
    )
    optional: bool = Field(default=False, description="true: it may be absent")

    @field_validator("source")
    @classmethod
    def _is_a_part_of_the_host(cls, source: str) -> str:
        path = _absolute(source)
        if str(path) in WHOLE_HOST or path.name in ENGINE_SOCKETS:
            raise ValueError(f"{source} would expose the host, not just a part of a driver")
        return source

    @field_validator("target")
    @classmethod
    def _leaves_the_job_alone(cls, target: str) -> str:
        path = _absolute(target)
        if path in (PurePosixPath("/"), JOB_ROOT) or JOB_ROOT in path.parents:
            raise ValueError(f"{target} would hide what the driver mounts there")
        return target


class DeviceSpec(Frozen):
    """Device access of the vendor's containers, which get nothing else."""

    nodes: tuple[str, ...] = Field(
        default=(), description="device nodes; {index} is the selected one"
    )
    gpus: Literal["none", "nvidia", "cdi"] = Field(
        default="none",
        description="`nvidia`: through the engine's NVIDIA runtime; `cdi`: nodes are CDI names",
    )
    mounts: tuple[MountSpec, ...] = Field(default=(), description="host paths to mount")
    groups: tuple[str, ...] = Field(default=(), description="groups that own the nodes")
    env: dict[str, str] = Field(default={}, description="variables for the vendor's stages")
    select: str | None = Field(default=None, description="variable that selects devices")
    capabilities: tuple[str, ...] = Field(
        default=(), description="Linux capabilities, none by default; results show them"
    )
    privileged: Literal[False] = Field(
        default=False, description="always false: no container runs privileged"
    )

    @field_validator("privileged", mode="before")
    @classmethod
    def _is_never_privileged(cls, asked: object) -> object:
        if asked is True:
            raise ValueError(
                "containers never run privileged; list nodes, mounts, groups and capabilities instead"
            )
        return asked

    @field_validator("nodes")
    @classmethod
    def _are_below_dev(cls, nodes: tuple[str, ...]) -> tuple[str, ...]:
        for node in nodes:
            # A name without a leading slash is a CDI name.
            if node.startswith("/") and PurePosixPath("/dev") not in _absolute(node).parents:
                raise ValueError(f"{node} is not a device node below /dev")
        return nodes

    @model_validator(mode="after")
    def _leaves_the_selection_to_the_driver(self) -> Self:
        check_variables(self.env, self)
        return self


def check_variables(env: dict[str, str], devices: DeviceSpec) -> None:
    """Raise ValueError for a variable that only the driver may set: DEVICE alone selects devices."""
    for name in env:
        if name == devices.select or name in OWN_VARIABLES:
            raise ValueError(f"{name} is set by the driver (DEVICE= selects devices)")


def _absolute(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text} is not an absolute path without '..'")
    return path
