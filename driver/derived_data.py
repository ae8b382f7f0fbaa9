"""Datasets that the reference image makes: synthetic items, and items that are preprocessed once."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from driver.content import code_digest, key_of
from driver.datasets import read_indexed
from driver.errors import DataFault
from driver.locking import locked
from driver.models.base import StageName
from driver.plan import Material, plan_job
from driver.stage_run import StageInputs, StageRun, run_stage
from driver.workspace import Workspace, require_free

if TYPE_CHECKING:
    from pathlib import Path

    from driver.containers import Stacks
    from driver.datasets import IndexedDataset
    from driver.models.manifest import CaseManifest
    from driver.plan import Choice
    from driver.site import Site
    from driver.weights import WeightsSource

ITEM_BYTES = {"float16": 2, "bfloat16": 2, "int64": 8, "uint8": 1, "bool": 1}
"""Of the rest of DType: 4."""

NO_CODE = ("case", "hook", "harness", "reference", "stack", "reference_stack")


@dataclass(frozen=True, kw_only=True)
class Making:
    """A dataset about to be made: by which verb of the reference hook, from what, where."""

    verb: str
    what: str
    folder: Path
    parts: tuple[str, ...]
    inputs: StageInputs
    count: int
    options: dict[str, Any]


def synthetic_dataset(
    site: Site, choice: Choice, weights: WeightsSource, stacks: Stacks, prompts: int | None = None
) -> IndexedDataset:
    """Have the reference image draw the items, once for each count and seed."""
    spec = choice.case.manifest.data
    limit = choice.measure.limit
    count = limit or spec.synthetic.count
    if prompts is not None:
        count = min(prompts, limit or prompts)
    key = key_of(
        {
            "spec": spec.model_dump(),
            "count": count,
            "reference": code_digest(site.catalog.reference_hook),
            "case": code_digest(choice.case.folder),
        }
    )
    folder = site.settings.cache / "datasets" / f"{spec.dataset}-synthetic-{key[:16]}"
    with locked(folder.with_suffix(".lock")):
        if (folder / "data" / "index.json").is_file():
            return read_indexed(folder, cached=True)
        site.listener.note(f"making {count} synthetic items for {choice.case.name}")
        making = Making(
            verb="data",
            what="the synthetic dataset",
            folder=folder,
            parts=("data", "labels"),
            inputs=StageInputs(),
            count=count,
            options={"synthetic": {**spec.synthetic.model_dump(), "count": count}},
        )
        _make(site, choice, stacks, weights, making)
    return read_indexed(folder, cached=False)


def tensor_dataset(
    site: Site, choice: Choice, dataset: IndexedDataset, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Have the reference image preprocess every item once; the guest then maps the arrays.

    The key holds everything that decides what comes out: items, constants, the code of task and
    harness. Labels stay those of ``dataset``.
    """
    manifest = choice.case.manifest
    key = key_of(
        {
            "data": dataset.sha256,
            "count": dataset.count,
            "preprocess": dict(choice.preprocess),
            "options": {**manifest.options, **dict(choice.request.options)},
            "case": code_digest(choice.case.folder),
            "harness": code_digest(site.catalog.harness),
            "reference": code_digest(site.catalog.reference_hook),
        }
    )
    folder = site.settings.cache / "datasets" / f"{manifest.data.dataset}-tensors-{key[:16]}"
    with locked(folder.with_suffix(".lock")):
        cached = (folder / "data" / "index.json").is_file()
        if not cached:
            require_free(folder, tensor_bytes(manifest, dataset.count), what="INPUT=tensor")
            site.listener.note(f"preprocessing {dataset.count} items once for INPUT=tensor")
            making = Making(
                verb="tensors",
                what="the preprocessed tensors",
                folder=folder,
                parts=("data",),
                inputs=StageInputs(data=dataset.data),
                count=dataset.count,
                options={},
            )
            _make(site, choice, stacks, weights, making)
    return replace(read_indexed(folder, cached=cached), labels=dataset.labels)


def tensor_bytes(case: CaseManifest, count: int) -> int:
    """Return about how many bytes the preprocessed items take: the model's batched inputs."""
    return count * sum(
        prod(spec.shape) * spec.rows_per_item * ITEM_BYTES.get(spec.dtype, 4)
        for spec in case.model.inputs
        if spec.batched
    )


def _make(
    site: Site, choice: Choice, stacks: Stacks, weights: WeightsSource, making: Making
) -> None:
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
    job = job.model_copy(update={"case_options": {**job.case_options, **making.options}})
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


def _keep(out: Path, making: Making) -> None:
    """Move what was made under its name, at once and whole; 30 GB of tensors are not copied."""
    folder = making.folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        partial.mkdir(parents=True)
        for part in making.parts:
            shutil.move(out / part, partial / part)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
