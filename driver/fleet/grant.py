"""What Slurm granted to the task that runs here: its place in the queue, its node, its devices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.fleet import slurm
from driver.models.base import RunnerName
from driver.models.sweep import Holder
from driver.results.store import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.device_access import DeviceSpec

GRANTED = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
"""Variables with the indices of granted GPUs as the whole node numbers them."""
VISIBLE = ("CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Variables with the indices as the task itself sees its devices: from 0 where Slurm hides the others."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A task as Slurm started it."""

    job: int
    task: int | None
    restart: int
    node: str
    job_id: str
    """The id of this task alone, which `scontrol` takes for a running one."""

    def holder(self, sweep: str, index: int) -> Holder:
        """Return who claims a task of a sweep."""
        return Holder(
            sweep=sweep,
            index=index,
            job=self.job,
            task=self.task,
            restart=self.restart,
            node=self.node,
            since_utc=utc_now(),
        )

    def provenance(self, sweep: str, environ: Mapping[str, str]) -> dict[str, Any]:
        """Return what a result says of where the scheduler ran it."""
        name = f"{self.job}" if self.task is None else f"{self.job}_{self.task}"
        found = {
            "sweep": sweep,
            "job": name,
            "node": self.node,
            "restart": self.restart,
            "partition": environ.get("SLURM_JOB_PARTITION"),
            "cluster": environ.get("SLURM_CLUSTER_NAME"),
            "cpus": environ.get("SLURM_CPUS_ON_NODE"),
        }
        return {key: value for key, value in found.items() if value is not None}


def grant_here(environ: Mapping[str, str]) -> Grant | None:
    """Return what Slurm's variables say of this process, None outside a job of Slurm's."""
    job_id = environ.get("SLURM_JOB_ID", "")
    if not job_id.isdecimal():
        return None
    task = environ.get("SLURM_ARRAY_TASK_ID", "")
    return Grant(
        job=int(environ.get("SLURM_ARRAY_JOB_ID") or job_id),
        task=int(task) if task.isdecimal() else None,
        restart=int(environ.get("SLURM_RESTART_COUNT") or 0),
        node=environ.get("SLURMD_NODENAME", ""),
        job_id=job_id,
    )


def granted_devices(
    environ: Mapping[str, str], job_id: str, gres: str, *, by_node: bool
) -> str | None:
    """Return the granted devices for DEVICE, None if the task was granted none.

    ``by_node``: as the node numbers them, else as the task sees them (see ``numbered_by_node``). ``gres``
    is what was asked for: a resource that is no GPU has no variable, and Slurm itself is asked for its
    indices.
    """
    if not gres:
        return None
    own = (*GRANTED, *VISIBLE) if by_node else (*VISIBLE, *GRANTED)
    for name in own:
        if re.fullmatch(r"[0-9]+(,[0-9]+)*", environ.get(name, "")):
            return environ[name]
    return _indices(slurm.details(job_id), gres.partition(":")[0])


def numbered_by_node(devices: DeviceSpec, runner: RunnerName) -> bool:
    """Whether a stage's devices are chosen by the node's numbers rather than by those that the task sees.

    A container engine's daemon is outside of the task. Apptainer runs within it: it opens nodes by the
    names that the node has for them, but a GPU by its number among those that the task sees.
    """
    if runner is RunnerName.APPTAINER:
        return any("{index}" in node for node in devices.nodes)
    return runner is RunnerName.DOCKER


def _indices(shown: str, resource: str) -> str | None:
    """Return the indices in ``GRES=npu:ascend310p:2(IDX:0-1)`` of `scontrol show job -d`."""
    found = re.search(rf"\bGRES=(?:\S+,)?{re.escape(resource)}:[^\s(]*\(IDX:([0-9,-]+)\)", shown)
    if found is None:
        return None
    numbers: list[int] = []
    for part in found[1].split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return ",".join(map(str, numbers))
