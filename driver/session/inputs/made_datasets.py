"""Datasets that the reference image makes of no file of the user's: synthetic items, tensors for INPUT=tensor."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from driver.datasets.weights import SYNTHETIC
from driver.runners.spec import StageInputs
from driver.session.inputs.making import Making, made
from driver.session.inputs.own_items import own_count, read_by_case, reads_options, seen_weights
from driver.system.hashing import code_digest, key_of
from driver.system.plain_text import counted

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
        | read_by_case(site, choice, weights)
    )
    return site.settings.cache / "datasets" / f"{spec.dataset}-synthetic-{key[:16]}"


def _synthetic_count(choice: Choice) -> int:
    return own_count(choice) or choice.case.manifest.data.synthetic.count


def synthetic_dataset(
    site: Site, choice: Choice, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Return the synthetic dataset; the reference image draws it once per count and seed."""
    spec, count = choice.case.manifest.data, _synthetic_count(choice)
    synthetic = {**spec.synthetic.model_dump(), "layout": spec.layout, "count": count}
    seen = seen_weights(choice, weights) if spec.layout == "own" else SYNTHETIC
    making = Making(
        verb="data",
        what="the synthetic dataset",
        note=f"generating {count} synthetic items for {choice.case.name}",
        folder=synthetic_folder(site, choice, weights),
        inputs=StageInputs(weights=seen.folder),
        weights=seen,
        count=count,
        options={"synthetic": synthetic},
        reads_options=reads_options(choice),
    )
    return made(site, choice, stacks, making)


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
        weights=weights,
        count=dataset.count,
        options={},
        bytes=tensor_bytes(choice.case.manifest, dataset.count),
    )
    found = made(site, choice, stacks, making)
    return replace(found, labels=dataset.labels, damaged=(*dataset.damaged, *found.damaged))


def tensor_bytes(case: CaseManifest, count: int) -> int:
    """Return roughly how many bytes the preprocessed items take: the model's batched inputs."""
    return count * sum(
        prod(spec.shape) * spec.rows_per_item * ITEM_BYTES.get(spec.dtype, 4)
        for spec in case.model.inputs
        if spec.batched
    )
