"""Datasets that the reference image makes: synthetic items, a case's own layout, tensors for INPUT=tensor."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from driver.datasets.own import source_digest
from driver.datasets.prepared import INDEX, damaged_files, read_indexed
from driver.errors import DataFault
from driver.models.base import StageName
from driver.plan.job import Material, plan_job
from driver.runners.spec import StageInputs
from driver.session.stage import StageRun, run_stage
from driver.system.file_lock import locked
from driver.system.hashing import code_digest, key_of
from driver.system.plain_text import counted
from driver.system.untrusted.opener import take
from driver.system.untrusted.record import is_complete, write_record
from driver.system.workspace import Workspace, require_free

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets.prepared import IndexedDataset
    from driver.datasets.weights import WeightsSource
    from driver.models.case import CaseManifest
    from driver.plan.choice import Choice
    from driver.runners.spec import Stacks
    from driver.session.site import Site

ITEM_BYTES = {"float16": 2, "bfloat16": 2, "int64": 8, "uint8": 1, "bool": 1}
"""Bytes per element; every other DType has 4."""

NO_CODE = ("case", "hook", "harness", "reference", "stack", "reference_stack")


@dataclass(frozen=True, kw_only=True)
class Making:
    """A dataset to be made: the reference hook's verb, its inputs, and the target folder.

    ``note`` is for people, when it is made; ``bytes`` is the room that it needs, 0 for little.
    """

    verb: str
    what: str
    note: str
    folder: Path
    inputs: StageInputs
    count: int
    options: dict[str, Any]
    parts: tuple[str, ...] = ("data", "labels")
    bytes: int = 0


def made_before(folder: Path) -> IndexedDataset | None:
    """Return the dataset that an earlier run made in ``folder``, None if there is none."""
    there = (folder / INDEX).is_file()
    return read_indexed(folder, cached=True) if there else None


def synthetic_folder(site: Site, choice: Choice, weights: WeightsSource) -> Path:
    """Return the cache folder of a job's synthetic dataset, by its content key."""
    spec = choice.case.manifest.data
    key = key_of(
        {
            "spec": spec.model_dump(),
            "count": _synthetic_count(choice),
            "reference": code_digest(site.catalog.reference_hook),
            "case": code_digest(choice.case.folder),
        }
        | _read_by_case(site, choice, weights)
    )
    return site.settings.cache / "datasets" / f"{spec.dataset}-synthetic-{key[:16]}"


def _synthetic_count(choice: Choice) -> int:
    return _own_count(choice) or choice.case.manifest.data.synthetic.count


def _read_by_case(site: Site, choice: Choice, weights: WeightsSource) -> dict[str, object]:
    """Return what else determines the items that a case's dataset.py makes: it may use a vocabulary."""
    if choice.case.manifest.data.layout != "own":
        return {}
    return {
        "weights": weights.digest,
        "options": choice.guest_options,
        "preprocess": dict(choice.preprocess),
        "harness": code_digest(site.catalog.harness),
    }


def synthetic_dataset(
    site: Site, choice: Choice, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Return the synthetic dataset; the reference image draws it once per count and seed."""
    spec, count = choice.case.manifest.data, _synthetic_count(choice)
    synthetic = {**spec.synthetic.model_dump(), "layout": spec.layout, "count": count}
    making = Making(
        verb="data",
        what="the synthetic dataset",
        note=f"generating {count} synthetic items for {choice.case.name}",
        folder=synthetic_folder(site, choice, weights),
        inputs=StageInputs(weights=weights.folder if spec.layout == "own" else None),
        count=count,
        options={"synthetic": synthetic},
    )
    return _made(site, choice, stacks, weights, making)


def own_folder(site: Site, choice: Choice, source: Path, weights: WeightsSource) -> Path:
    """Return the cache folder of the items that the case's dataset.py makes of ``source``, by content.

    Raises DataFault when ``source`` has no files, or one cannot be read.
    """
    spec = choice.case.manifest.data
    key = key_of(
        {
            "source": source_digest(source, site.settings.cache / "sha256"),
            "count": _own_count(choice),
            "case": code_digest(choice.case.folder),
            "reference": code_digest(site.catalog.reference_hook),
        }
        | _read_by_case(site, choice, weights)
    )
    return site.settings.cache / "datasets" / f"{spec.dataset}-{key[:16]}"


def _own_count(choice: Choice) -> int | None:
    """Return how many items are asked for, None for all."""
    counts = [one for one in (choice.item_count, choice.measure.limit) if one]
    return min(counts, default=None)


def own_dataset(
    site: Site, choice: Choice, source: Path, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Return the items that the case's dataset.py makes of ``source``, in the reference image, once."""
    count = _own_count(choice)
    making = Making(
        verb="data",
        what="the dataset",
        note=f"reading {source.name} for {choice.case.name}",
        folder=own_folder(site, choice, source, weights),
        inputs=StageInputs(source=source, weights=weights.folder),
        count=count or choice.case.manifest.data.count,
        options={"source": {"name": source.name, "count": count}},
    )
    return _made(site, choice, stacks, weights, making)


def tensor_folder(site: Site, choice: Choice, dataset: IndexedDataset) -> Path:
    """Return the cache folder of a dataset's tensors, by its content key.

    The key covers everything that affects the tensors: items, constants, and the code of the task and
    the harness.
    """
    manifest = choice.case.manifest
    key = key_of(
        {
            "data": dataset.sha256,
            "count": dataset.count,
            "preprocess": dict(choice.preprocess),
            "options": choice.guest_options,
            "case": code_digest(choice.case.folder),
            "harness": code_digest(site.catalog.harness),
            "reference": code_digest(site.catalog.reference_hook),
        }
    )
    return site.settings.cache / "datasets" / f"{manifest.data.dataset}-tensors-{key[:16]}"


def tensor_dataset(
    site: Site, choice: Choice, dataset: IndexedDataset, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Return the dataset preprocessed once by the reference image; the guest maps the arrays.

    Labels stay those of ``dataset``.
    """
    making = Making(
        verb="tensors",
        what="the preprocessed tensors",
        note=f"preprocessing {counted(dataset.count, 'item')} once for INPUT=tensor",
        folder=tensor_folder(site, choice, dataset),
        parts=("data",),
        inputs=StageInputs(data=dataset.data),
        count=dataset.count,
        options={},
        bytes=tensor_bytes(choice.case.manifest, dataset.count),
    )
    found = _made(site, choice, stacks, weights, making)
    return replace(found, labels=dataset.labels, damaged=(*dataset.damaged, *found.damaged))


def tensor_bytes(case: CaseManifest, count: int) -> int:
    """Return roughly how many bytes the preprocessed items take: the model's batched inputs."""
    return count * sum(
        prod(spec.shape) * spec.rows_per_item * ITEM_BYTES.get(spec.dtype, 4)
        for spec in case.model.inputs
        if spec.batched
    )


def _damaged(site: Site, folder: Path) -> tuple[str, ...] | None:
    """Return the damaged files of a made dataset, none if it is to be made, None if it is whole."""
    if not is_complete(folder, INDEX):
        return ()
    return tuple(damaged_files(folder, site.settings.cache / "sha256")) or None


def _made(
    site: Site, choice: Choice, stacks: Stacks, weights: WeightsSource, making: Making
) -> IndexedDataset:
    """Return a dataset from the cache, made there first if it is missing or damaged."""
    with locked(making.folder.with_suffix(".lock")):
        damaged = _damaged(site, making.folder)
        if damaged is None:
            return read_indexed(making.folder, cached=True)
        if making.bytes:
            require_free(making.folder, making.bytes, what="INPUT=tensor")
        site.listener.note(making.note)
        _make(site, choice, stacks, weights, making)
    return replace(read_indexed(making.folder, cached=False), damaged=damaged)


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
    write_record(making.folder, site.settings.cache / "sha256")


def _keep(out: Path, making: Making) -> None:
    """Move the finished dataset to its final name atomically; 30 GB of tensors are not copied."""
    folder = making.folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        partial.mkdir(parents=True)
        for part in making.parts:
            take(out, part, partial / part)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
