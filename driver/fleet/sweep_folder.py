"""The folder of a sweep below the results: its plan, its tasks, their output."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from driver.errors import EnvironmentFault, UsageFault, disk_faults, nearest
from driver.fleet.ledger import Ledger
from driver.models.base import problems
from driver.models.sweep import SweepPlan, SweepTask
from driver.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SWEEPS = "sweeps"
PLAN = "plan.json"
TASKS = "tasks.jsonl"


@dataclass(frozen=True, kw_only=True)
class SweepFolder:
    """A sweep below ``results``, the folder of results that its submitter named."""

    results: Path
    id: str

    @property
    def path(self) -> Path:
        """Return the sweep's own folder."""
        return self.results / SWEEPS / self.id

    @property
    def ledger(self) -> Ledger:
        """Return the ledger, which all sweeps into these results share, with nothing read yet."""
        return Ledger(self.results / SWEEPS / "ledger")

    def log_pattern(self, array: int) -> str:
        """Create the folder of an array's output; return its files' name for sbatch."""
        folder = self.path / "logs" / str(array)
        folder.mkdir(parents=True, exist_ok=True)
        # A % in the folder's name would be a pattern of Slurm's.
        return f"{str(folder).replace('%', '%%')}/%A_%a.log"

    def plan(self) -> SweepPlan:
        """Return the plan. Raises UsageFault where there is none, EnvironmentFault for a damaged one."""
        path = self.path / PLAN
        try:
            return SweepPlan.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise self._unknown() from None
        except ValidationError as error:
            raise EnvironmentFault(
                f"{path} is damaged, or another version of Assay wrote it: {problems(error)[0]}",
                "use that version, or plan the sweep again: the same `make sweep` as then",
            ) from error

    def tasks(self, plan: SweepPlan) -> list[SweepTask]:
        """Return every task of the plan. Raises EnvironmentFault if they are not what was planned."""
        content = (self.path / TASKS).read_bytes()
        if hashlib.sha256(content).hexdigest() != plan.tasks_sha256:
            raise EnvironmentFault(
                f"{self.path / TASKS} is not what was planned: it was changed or cut short",
                "restore it, or remove the folder and type the same `make sweep` as then: what was "
                "measured stays measured",
            )
        return [SweepTask.model_validate_json(line) for line in content.splitlines()]

    def task(self, plan: SweepPlan, index: int) -> SweepTask:
        """Return one task, reading its line alone. Raises UsageFault for an index that the sweep has not."""
        if not 0 <= index < plan.tasks:
            raise UsageFault(
                f"sweep {self.id} has no task {index}: it has {plan.tasks}",
                "leave this to Slurm: `make sweep` submits tasks by itself",
            )
        with (self.path / TASKS).open("rb") as stream:
            stream.seek(index * plan.line_bytes)
            return SweepTask.model_validate_json(stream.read(plan.line_bytes))

    @disk_faults()
    def write(self, plan: SweepPlan, lines: str) -> None:
        """Write the plan and its tasks, the plan last; an equal one may be there already."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / PLAN).is_file():
            return
        write_atomically(self.path / TASKS, lines)
        write_atomically(self.path / PLAN, plan.model_dump_json(by_alias=True, indent=1) + "\n")

    def _unknown(self) -> UsageFault:
        known = [path.parent.name for path in sorted((self.results / SWEEPS).glob(f"*/{PLAN}"))]
        listed = ", ".join(known) or "none"
        return UsageFault(
            f"no sweep {self.id} was planned into {self.results}{nearest(self.id, known)}",
            f"the sweeps there are: {listed}; another folder of results: OUT=<folder>",
        )


def sweep_named(results: Path, text: str) -> SweepFolder:
    """Return the folder of the sweep that ATTACH or CANCEL names; UsageFault for what is no id."""
    folder = SweepFolder(results=results, id=text)
    if re.fullmatch("[0-9a-f]{8}", text) is None:
        raise folder._unknown()
    return folder


def lines_of(tasks: Sequence[SweepTask]) -> tuple[str, int]:
    """Return the text of tasks.jsonl, and the length of each of its lines in bytes."""
    lines = [
        json.dumps(task.model_dump(mode="json", exclude_defaults=True), separators=(",", ":"))
        for task in tasks
    ]
    width = max(map(len, lines)) + 1
    return "".join(f"{line:<{width - 1}}\n" for line in lines), width


def indices_by_array(plan: SweepPlan, missing: Iterable[int]) -> dict[int, list[int]]:
    """Return the missing tasks by the array that has them, each list sorted."""
    found: dict[int, list[int]] = {}
    bounds = [(one.first, one.first + one.count) for one in plan.arrays]
    place = 0
    for index in sorted(missing):
        while index >= bounds[place][1]:
            place += 1
        found.setdefault(place, []).append(index)
    return found
