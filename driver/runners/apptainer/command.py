"""Translates a container spec into Apptainer's command line and environment. Pure.

Written after the documentation and sources of Apptainer 1.2 to 1.4 and SingularityCE 4.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.runners.spec import JOB_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from driver.runners.apptainer.program import Program
    from driver.runners.host_config import Admitted
    from driver.runners.spec import ContainerSpec

STARTED = ".assay-started"
"""The file in the guest's /tmp that says that Apptainer itself did not fail."""

START = f': > /tmp/{STARTED}; HOME=/tmp; export HOME; exec "$@"'
"""HOME cannot be set from outside: Apptainer derives it from the user's home, which the guest has not."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for that an installation may refuse a plain user: a network namespace, cgroups."""

    network: bool = True
    limits: bool = True


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The host's folders of one stage: the job folder's mount points, an empty one, and /tmp's.

    ``scratch`` holds ``tmp`` and ``var_tmp``.
    """

    job: Path
    empty: Path
    scratch: Path

    @property
    def tmp(self) -> Path:
        """The guest's /tmp."""
        return self.scratch / "tmp"


def exec_command(
    spec: ContainerSpec,
    admitted: Admitted,
    folders: Folders,
    program: Program,
    *,
    asked: Asked,
    as_root: bool = False,
) -> list[str]:
    """Return the command that runs a stage. ``as_root``: the caller is root, and the guest must not be."""
    return [
        program.path,
        "--quiet",
        "exec",
        # Own PID and IPC namespaces, a /dev of the usual nodes alone, nothing of the caller's home or
        # of the current folder, an empty environment. The image itself is read-only by default.
        "--containall",
        "--cleanenv",
        "--no-home",
        "--no-mount",
        "home,cwd,hostfs,bind-paths",
        # Otherwise `$` in values and arguments is evaluated by a shell.
        "--no-eval",
        *_privileges(spec, as_root=as_root),
        *(["--net", "--network", "none"] if asked.network else []),
        *(_limits(spec) if asked.limits else []),
        *(["--nv"] if spec.devices.gpus == "nvidia" else []),
        # Otherwise /tmp is in memory, of a size that the administrator has set for all (64 MiB).
        "--workdir",
        str(folders.scratch),
        "--pwd",
        "/tmp",
        *_mounts(spec, admitted, folders),
        str(spec.stack.sif),
        "/bin/sh",
        "-c",
        START,
        "assay",
        *spec.argv,
    ]


def build_command(program: Program, layout: Path, sif: Path) -> list[str]:
    """Return the command that makes a SIF of an OCI layout with one image.

    Without a reference behind the folder: Apptainer 1.4 takes a digest there, older ones a name.
    """
    return [program.path, "--quiet", "build", "--force", str(sif), f"oci:{layout}"]


def guest_variables(spec: ContainerSpec, program: Program) -> dict[str, str]:
    """Return the variables with which Apptainer gives the guest its own."""
    own = {"TMPDIR": "/tmp", **spec.env}
    given = {f"{program.prefix}ENV_{name}": value for name, value in own.items() if name != "HOME"}
    # A site may give every container its GPUs (`always use nv`).
    refused = {f"{program.prefix}_NO_ROCM": "1"}
    if spec.devices.gpus != "nvidia":
        refused[f"{program.prefix}_NO_NV"] = "1"
    return given | refused


def mount_option(source: str, target: str, *, read_only: bool) -> str:
    """Return the value of --mount: fields are quoted as in CSV, so that a path may have any character."""
    fields = ["type=bind", f"source={source}", f"destination={target}"]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields + (["ro"] if read_only else []))
    return line.getvalue()


def _privileges(spec: ContainerSpec, *, as_root: bool) -> list[str]:
    user = [f"--security=uid:{spec.uid}", f"--security=gid:{spec.gid}"] if as_root else []
    wanted = ",".join(spec.devices.capabilities)
    return ["--no-privs", *(["--add-caps", wanted] if wanted else []), *user]


def _limits(spec: ContainerSpec) -> list[str]:
    memory = str(spec.limits.memory_bytes)
    # The same number twice: no swap on top.
    swapless = ["--memory", memory, "--memory-swap", memory]
    return [*swapless, "--pids-limit", str(spec.limits.processes)]


def _mounts(spec: ContainerSpec, admitted: Admitted, folders: Folders) -> list[str]:
    """Return the mounts in their order: those inside another one after it."""
    values = [mount_option(str(folders.job), JOB_ROOT, read_only=True)]
    values += [
        mount_option(str(mount.source), f"{JOB_ROOT}/{mount.target}", read_only=mount.read_only)
        for mount in admitted.mounts
    ]
    values += [
        mount_option(str(folders.empty), f"{JOB_ROOT}/{mask}", read_only=True)
        for mask in admitted.masks
    ]
    values += [
        mount_option(mount.source, mount.target, read_only=mount.read_only)
        for mount in admitted.host_mounts
    ]
    values += [mount_option(node, node, read_only=False) for node in spec.devices.nodes]
    return [word for value in values for word in ("--mount", value)]
