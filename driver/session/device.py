"""Locks the devices of a job against other jobs on this host."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from driver.models.base import RunnerName
from driver.system.device_lock import devices_locked, this_process

if TYPE_CHECKING:
    from driver.plan.choice import Choice
    from driver.session.site import Site


def device_lock(
    site: Site, choice: Choice, *, stand_in: bool = False
) -> AbstractContextManager[None]:
    """Return a context manager that locks the job's devices, waiting for them as WAIT says.

    Nothing where there is none of this host's to hold: a cluster hands out its own, and a stand-in
    (``stand_in``) has its device in itself. Raises EnvironmentFault when a device stays in use.
    """
    if stand_in or site.settings.stand_ins or choice.runner is RunnerName.SLURM:
        return nullcontext()
    job = (
        f"{choice.case.name} {choice.vendor.name} {choice.engine_name} {choice.precision_name} "
        f"bs{choice.batch_size} {choice.tier}"
    )
    return devices_locked(
        site.settings.locks,
        # Of another host: this lab's users who share the folder of locks see each other, others do not.
        tuple(
            f"{choice.request.host}-{one}" if choice.request.host else one for one in choice.devices
        ),
        this_process(job),
        wait_s=choice.request.wait_s,
        on_wait=site.listener.note,
    )
