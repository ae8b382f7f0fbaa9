"""A dataset that the reference image makes: once, under a lock, kept by its content key."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from driver.datasets.own import SOURCE, prepared_source
from driver.datasets.prepared import INDEX, damaged_files, read_indexed
from driver.errors import DataFault
from driver.models.base import StageName
from driver.plan.job import Material, plan_job
from driver.session.stage import StageRun, run_stage
from driver.system.file_lock import locked
from driver.system.untrusted.opener import take
from driver.system.untrusted.record import is_complete, write_record
from driver.system.workspace import Workspace, require_free

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets.prepared import IndexedDataset
    from driver.datasets.weights import WeightsSource
    from driver.models.job import JobFile
    from driver.plan.choice import Choice
    from driver.runners.spec import Stacks, StageInputs
    from driver.session.site import Site

NO_CODE = ("case", "hook", "harness", "reference", "stack", "reference_stack")


@dataclass(frozen=True, kw_only=True)
class Making:
    """A dataset to be made: the reference hook's verb, its inputs, and the target folder.

    ``note`` is for people, when it is made; ``bytes`` is the room that it needs, 0 for little. ``source``
    is kept as source.json beside a dataset that `make data` prepares: one of another key is replaced.
    """

    verb: str
    what: str
    note: str
    folder: Path
    inputs: StageInputs
    weights: WeightsSource
    count: int
    options: dict[str, Any]
    reads_options: bool = True
    """Whether the guest gets the case's options."""
    parts: tuple[str, ...] = ("data", "labels")
    bytes: int = 0
    source: dict[str, str] | None = None


def made_before(folder: Path) -> IndexedDataset | None:
    """Return the dataset that an earlier run made in ``folder``, None if there is none."""
    there = (folder / INDEX).is_file()
    return read_indexed(folder, cached=True) if there else None


def _damaged(site: Site, making: Making) -> tuple[str, ...] | None:
    """Return the damaged files of a made dataset, none if it is to be made, None if it is whole."""
    folder = making.folder
    if not is_complete(folder, INDEX) or not _is_of(folder, making.source):
        return ()
    return tuple(damaged_files(folder, site.settings.cache / "sha256")) or None


def _is_of(folder: Path, source: dict[str, str] | None) -> bool:
    """Whether the items in a folder are those of ``source``; None where the folder's name says it."""
    if source is None:
        return True
    prepared = prepared_source(folder)
    return prepared is not None and prepared.key == source["key"]


def made(site: Site, choice: Choice, stacks: Stacks, making: Making) -> IndexedDataset:
    """Return a dataset from its folder, made there first if it is missing, damaged or another one.

    Raises DataFault if it cannot be made.
    """
    with locked(making.folder.with_name(f"{making.folder.name}.lock")):
        damaged = _damaged(site, making)
        if damaged is None:
            return read_indexed(making.folder, cached=True)
        if making.bytes:
            require_free(making.folder, making.bytes, what="INPUT=tensor")
        site.listener.note(making.note)
        _make(site, choice, stacks, making)
    return replace(read_indexed(making.folder, cached=False), damaged=damaged)


def _make(site: Site, choice: Choice, stacks: Stacks, making: Making) -> None:
    job = _job(site, choice, making)
    with Workspace(site.settings.home, job.job.id) as workspace:
        stage = workspace.stage(StageName.EXPORT)
        run = StageRun(
            choice=choice,
            stacks=stacks,
            job=job,
            folder=stage,
            inputs=making.inputs,
            count=making.count,
            verb=making.verb,
        )
        site.listener.task_started(making.verb)
        try:
            ended = run_stage(site, run)
        finally:
            site.listener.task_ended()
        if ended.failure is not None:
            raise DataFault(
                f"{making.what} could not be made: {ended.failure.message}", ended.failure.remedy
            )
        _keep(stage.out, making)
    write_record(making.folder, site.settings.cache / "sha256")


def _job(site: Site, choice: Choice, making: Making) -> JobFile:
    """Return the job of the making: without options that dataset.py does not read."""
    weights = making.weights
    nothing_yet = Material(
        weights_kind=weights.kind,
        weights_format=weights.format,
        weights_digest=weights.digest,
        data_kind="synthetic",
        data_digest="",
        data_count=making.count,
        code=dict.fromkeys(NO_CODE, ""),
    )
    job = plan_job(choice, nothing_yet, site.host).stage_file(StageName.EXPORT)
    own = {} if making.reads_options else {"generation": None}
    options = job.case_options if making.reads_options else choice.case.manifest.constants
    return job.model_copy(update={**own, "case_options": {**options, **making.options}})


def _keep(out: Path, making: Making) -> None:
    """Move the finished dataset to its final name atomically; 30 GB of tensors are not copied."""
    folder = making.folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        partial.mkdir(parents=True)
        for part in making.parts:
            take(out, part, partial / part)
        if making.source is not None:
            (partial / SOURCE).write_text(json.dumps(making.source, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
