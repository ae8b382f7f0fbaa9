"""`task`: runs one task of a sweep, in a job that `sweep` has submitted; nobody types it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.fleet.sweep_folder import SWEEPS, SweepFolder
from driver.fleet.task import run_task
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog_here

if TYPE_CHECKING:
    from driver.console import Console


def task(plan: str, first: int, index: int | None, console: Console) -> int:
    """Run the task ``first`` + ``index`` of a plan; Slurm's own index where none is given."""
    path = Path(plan).absolute()
    if path.parent.parent.name != SWEEPS:
        raise UsageFault(
            f"--plan {plan} is not the plan of a sweep", "name <results>/sweeps/<id>/plan.json"
        )
    number = index if index is not None else int(os.environ.get("SLURM_ARRAY_TASK_ID") or 0)
    settings = load_settings()
    folder = SweepFolder(results=path.parent.parent.parent, id=path.parent.name)
    catalog = read_catalog_here(settings, console)
    with console:
        return run_task(folder, first + number, settings, catalog, console)
