"""Submits the tasks of a sweep that have no result: one array of Slurm's for each array of the plan."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from driver.fleet.slurm import Array, submit
from driver.fleet.sweep_folder import PLAN, indices_by_array
from driver.system.settings import SEARCH_PATHS, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.fleet.slurm import QueuedTask
    from driver.fleet.sweep_folder import SweepFolder
    from driver.models.sweep import SweepPlan, SweepTask
    from driver.system.settings import Settings

PASSED = (*VARIABLES, *SEARCH_PATHS, "ASSAY_HOST_NAME", "ASSAY_PYTHON", "ASSAY_CALLERS_PYTHONPATH")
"""Variables of the submitter's that say where things are; what else it has (tokens) stays behind."""
SYSTEM = ("PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ")


def arrays_of(
    folder: SweepFolder,
    plan: SweepPlan,
    tasks: Sequence[SweepTask],
    missing: Iterable[int],
    settings: Settings,
) -> list[Array]:
    """Return the arrays that run the missing tasks, and the exports that those need, which come first."""
    lacking = set(missing)
    jobs = {index for index in lacking if tasks[index].does == "job"}
    needed = {tasks[index].export for index in jobs}
    wanted = jobs | {index for index in lacking - jobs if index in needed}
    command = shlex.join(
        [str(settings.root / "driver" / "assay"), "task", "--plan", str(folder.path / PLAN)]
    )
    return [
        Array(
            sweep=plan.id,
            number=number,
            command=f"exec {command} --first {plan.arrays[number].first}",
            indices=[index - plan.arrays[number].first for index in indices],
            ask=plan.arrays[number].ask,
            output=folder.log_pattern(number),
            at_once=settings.slurm.at_once,
        )
        for number, indices in indices_by_array(plan, wanted).items()
    ]


def submit_arrays(
    plan: SweepPlan,
    arrays: Sequence[Array],
    queued: Sequence[QueuedTask],
    settings: Settings,
) -> list[int]:
    """Submit arrays in order; return their ids. Jobs wait for the exports, those in the queue included.

    Raises UsageFault and EnvironmentFault as ``slurm.submit`` does: what was submitted before stays so.
    """
    exporting = {number for number, array in enumerate(plan.arrays) if array.exports}
    exports = [task.job for task in queued if task.sweep == plan.id and task.array in exporting]
    found: list[int] = []
    environment = task_environment(settings)
    for array in arrays:
        is_export = array.number in exporting
        after = () if is_export else tuple(dict.fromkeys(exports))
        job = submit(replace(array, after=after), environment)
        found.append(job)
        if is_export:
            exports.append(job)
    return found


def task_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of tasks."""
    passed = {name: os.environ[name] for name in (*SYSTEM, *PASSED) if name in os.environ}
    return passed | {"ASSAY_HOME": str(settings.home), "OUT": str(settings.results)}
