"""Plans a sweep for a scheduler: digests of what the tasks are made of, then the pure plan."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from driver import __version__
from driver.datasets.locate import locate_inputs
from driver.fleet.sweep_folder import SweepFolder, lines_of
from driver.models.sweep import SweepPlan, TreeVersion
from driver.plan.sweep import Wanted, plan_tasks
from driver.stacks.recipes import stack_digest
from driver.system.hashing import code_digest, key_of
from driver.system.host.machine import tree_commit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog.catalog import Case, Catalog
    from driver.catalog.vendor import Stack, Vendor
    from driver.models.base import RunnerName
    from driver.models.sweep import SweepTask
    from driver.plan.choice import Choice
    from driver.system.settings import Settings

ID_CHARACTERS = 8


class MadeOf:
    """Digests of what jobs are made of, each taken once for all jobs that share it."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._inputs: dict[tuple[str, str | None, str | None], dict[str, str]] = {}
        self.code = {
            "driver": code_digest(settings.root / "driver"),
            "harness": code_digest(catalog.harness),
            "reference": code_digest(catalog.reference_hook),
            "reference_stack": stack_digest(catalog.reference),
        }
        """sha256 (hex) by name; ``case/<name>``, ``hook/<vendor>`` and ``stack/<vendor>/<name>`` as jobs
        need them."""

    def of(self, choice: Choice) -> dict[str, str]:
        """Return the digests of one job. Raises DataFault for weights or data that are missing here."""
        own = self.add(choice.case, choice.vendor, choice.stack)
        shared = {name: self.code[name] for name in ("harness", "reference", "reference_stack")}
        return {**own, **shared, **self._found(choice)}

    def add(self, case: Case, vendor: Vendor, stack: Stack) -> dict[str, str]:
        """Take the digests of a job's own folders, unless they were taken; return them."""
        names = {
            "case": f"case/{case.name}",
            "hook": f"hook/{vendor.name}",
            "stack": f"stack/{vendor.name}/{stack.name}",
        }
        if names["case"] not in self.code:
            self.code[names["case"]] = code_digest(case.folder)
        if names["hook"] not in self.code:
            self.code[names["hook"]] = code_digest(vendor.folder)
        if names["stack"] not in self.code:
            self.code[names["stack"]] = stack_digest(stack)
        return {part: self.code[name] for part, name in names.items()}

    def _found(self, choice: Choice) -> dict[str, str]:
        """Return the weights' digest, and where the data are: a node indexes them."""
        request = choice.request
        asked = (choice.case.name, request.weights, request.data)
        if asked not in self._inputs:
            weights, data = locate_inputs(choice.case, request, self._settings)
            where = data.kind if data.folder is None else str(data.folder.absolute())
            self._inputs[asked] = {"weights": weights.digest, "data": where}
        return self._inputs[asked]


def plan_sweep(
    choices: Sequence[Choice],
    settings: Settings,
    catalog: Catalog,
    *,
    inside: RunnerName | None,
    largest_array: int,
    again: str = "",
) -> tuple[SweepPlan, list[SweepTask], str]:
    """Return the plan, its tasks, and the text of tasks.jsonl; nothing is written.

    The same choices of the same tree give the same plan. Raises DataFault for missing weights or data.
    """
    made_of = MadeOf(settings, catalog)
    wanted = [
        Wanted(choice=choice, made_of=made_of.of(choice), inside=inside or "") for choice in choices
    ]
    planned = plan_tasks(wanted, settings.slurm, largest_array=largest_array, again=again)
    text, width = lines_of(planned.tasks)
    arrays = [array.model_dump(mode="json") for array in planned.arrays]
    digest = hashlib.sha256(text.encode()).hexdigest()
    plan = SweepPlan(
        id=key_of({"tasks": digest, "arrays": arrays, "code": made_of.code})[:ID_CHARACTERS],
        assay=__version__,
        tree=TreeVersion(commit=tree_commit(settings.root), code=made_of.code),
        inside=inside,
        arrays=planned.arrays,
        tasks=len(planned.tasks),
        line_bytes=width,
        tasks_sha256=digest,
    )
    return plan, list(planned.tasks), text


def folder_of(plan: SweepPlan, settings: Settings) -> SweepFolder:
    """Return the folder of a plan below this host's results."""
    return SweepFolder(results=settings.results, id=plan.id)
