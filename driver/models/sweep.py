"""plan.json of a sweep on a scheduler, and the lines beside it: what is run, and with which tree."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from driver.models.base import Frozen, RunnerName
from driver.models.job import JobKey

SweepId = str


class TreeVersion(Frozen):
    """Which tree planned a sweep: tasks on nodes with another one are refused."""

    commit: str | None = Field(description="the commit, with +changes if files differ; null: none")
    code: dict[str, str] = Field(
        description="sha256 of each folder of code that a task runs, by its name: driver, case/<name>, …"
    )


class SweepArray(Frozen):
    """Tasks that differ in nothing that the scheduler needs to know: one job array."""

    title: str = Field(description="kind of device, or exports; for people")
    first: int = Field(ge=0, description="index of the array's first task in the sweep")
    count: int = Field(ge=1, description="number of its tasks, at most the scheduler's limit")
    ask: tuple[str, ...] = Field(default=(), description="options of sbatch: what to allocate")
    exports: bool = Field(default=False, description="its tasks export, and the others wait for it")


class SweepTask(Frozen):
    """One line of tasks.jsonl: a job, or an export that several jobs share."""

    key: str = Field(pattern=r"^[0-9a-f]{32}$", description="hash of everything that it is made of")
    does: Literal["job", "export"] = "job"
    request: dict[str, Any] = Field(description="variables of the run that are not their default")
    export: int | None = Field(
        default=None, description="index of the task that makes the job's exported model"
    )
    chip: str = Field(description="chip as planned; the node's own device decides")
    name: str = Field(description="the job for people")


class SweepPlan(Frozen):
    """plan.json (schema ``assay/sweep/1``): written once, never changed."""

    schema_: Literal["assay/sweep/1"] = Field(default="assay/sweep/1", alias="schema")
    id: SweepId = Field(
        pattern=r"^[0-9a-f]{8}$", description="hash of its tasks; ATTACH and CANCEL"
    )
    assay: str = Field(description="version of Assay")
    tree: TreeVersion
    inside: RunnerName | None = Field(
        default=None, description="what runs a stage on its node; null: found out there"
    )
    arrays: tuple[SweepArray, ...]
    tasks: int = Field(ge=1, description="number of lines of tasks.jsonl")
    line_bytes: int = Field(
        ge=1, description="length of each line, padded: a task reads its own alone"
    )
    tasks_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Holder(Frozen):
    """Who runs a task: first line of its entry in the ledger."""

    sweep: SweepId
    index: int
    job: int = Field(description="id of the array, or of the job where it is none")
    task: int | None = Field(default=None, description="index in the array as the scheduler counts")
    restart: int = Field(default=0, description="how often the scheduler had queued it again")
    node: str = ""
    since_utc: str = ""

    @property
    def name(self) -> str:
        """Return the scheduler's name of the task: ``123_4``."""
        return f"{self.job}" if self.task is None else f"{self.job}_{self.task}"


class Outcome(Frozen):
    """A later line of a task's entry in the ledger: which job it is, and how it ended."""

    job: JobKey | None = Field(default=None, description="the job as its node planned it")
    result: str | None = Field(
        default=None, description="its result, relative to the results folder"
    )
    message: str = ""
    remedy: str = ""
