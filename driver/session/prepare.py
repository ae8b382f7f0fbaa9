"""Prepares a job: locates weights and dataset, installs its stacks, and takes every digest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from driver.datasets.hidden import hidden_note
from driver.datasets.image_folder import index_image_folder
from driver.datasets.pictures import index_picture
from driver.datasets.prepared import is_indexed, read_prepared
from driver.datasets.prompts import index_prompts
from driver.errors import disk_faults
from driver.plan.job import Material, plan_job
from driver.plan.memory import require_memory
from driver.runners.spec import Stacks
from driver.session.inputs.artifact_cache import made_again
from driver.session.inputs.locate import locate
from driver.session.inputs.made_datasets import (
    synthetic_dataset,
    synthetic_folder,
    tensor_dataset,
    tensor_folder,
)
from driver.session.inputs.making import made_before
from driver.session.inputs.own_items import is_own, own_before, own_count, own_dataset
from driver.stacks.bill import kept_bill
from driver.stacks.recipes import stack_digest
from driver.system.hashing import code_digest

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.datasets.prepared import IndexedDataset
    from driver.datasets.weights import WeightsSource
    from driver.plan.choice import Choice
    from driver.plan.job import PlannedJob
    from driver.session.inputs.locate import Located
    from driver.session.site import Site
    from driver.stacks.installer import Installation
    from driver.system.stopwatch import Stopwatch


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A planned job, and what its stages need on disk."""

    planned: PlannedJob
    stacks: Stacks
    weights: WeightsSource
    dataset: IndexedDataset
    provenance: dict[str, Any]


@disk_faults()
def prepare(site: Site, choice: Choice, stopwatch: Stopwatch) -> Prepared:
    """Prepare a job. Raises DataFault, ImageFault or EnvironmentFault, each with its remedy."""
    require_memory(choice, site.host)
    located = locate(site, choice)
    weights = located.weights
    wanted = (site.catalog.reference, choice.stack)
    with stopwatch.timing("environments"), site.installer.ahead(wanted):
        reference, vendor = (_installed(site, stack) for stack in wanted)
    stacks = Stacks(reference=reference.stack, vendor=vendor.stack)
    with stopwatch.timing("dataset"):
        if located.source.folder is None:
            dataset = synthetic_dataset(site, choice, weights, stacks)
        elif is_own(choice, located.source.folder):
            dataset = own_dataset(site, choice, located.source.folder, weights, stacks)
        else:
            dataset = _indexed(site, choice, located.source.folder)
        if choice.request.input_kind == "tensor":
            dataset = tensor_dataset(site, choice, dataset, weights, stacks)
    if dataset.damaged:
        site.listener.note(made_again(dataset.data.parent, dataset.damaged))
    material = _material(site, choice, located, dataset)
    return Prepared(
        planned=plan_job(choice, material, site.host),
        stacks=stacks,
        weights=weights,
        dataset=dataset,
        provenance=_provenance(
            material,
            weights,
            dataset,
            input_kind=choice.request.input_kind,
            reference=reference,
            vendor=vendor,
        )
        | located.host_driver,
    )


@disk_faults()
def plan_only(site: Site, choice: Choice) -> PlannedJob | None:
    """Plan a job without fetching, installing or running anything; None if its data is still to be made.

    Raises what ``prepare`` raises before it installs.
    """
    require_memory(choice, site.host)
    located = locate(site, choice)
    if located.source.folder is None:
        dataset = made_before(synthetic_folder(site, choice, located.weights))
    elif is_own(choice, located.source.folder):
        dataset = own_before(site, choice, located.source.folder, located.weights)
    else:
        dataset = _indexed(site, choice, located.source.folder)
    if dataset is not None and choice.request.input_kind == "tensor":
        tensors = made_before(tensor_folder(site, choice, dataset))
        dataset = None if tensors is None else replace(tensors, labels=dataset.labels)
    if dataset is None:
        return None
    return plan_job(choice, _material(site, choice, located, dataset), site.host)


def _installed(site: Site, stack: Stack) -> Installation:
    """Install a stack; its provenance names the bill of materials that is kept of it."""
    found = site.installer.install(stack)
    digest = kept_bill(stack, found, site.settings.home)
    return replace(found, provenance={**found.provenance, "bill_sha256": digest})


def _material(site: Site, choice: Choice, located: Located, dataset: IndexedDataset) -> Material:
    catalog, weights = site.catalog, located.weights
    return Material(
        weights_kind=weights.kind,
        weights_format=weights.format,
        weights_digest=weights.digest,
        data_kind=located.source.kind,
        data_digest=dataset.sha256,
        data_count=dataset.count,
        code={
            "case": code_digest(choice.case.folder),
            "hook": code_digest(choice.vendor.folder),
            "harness": code_digest(catalog.harness),
            "reference": code_digest(catalog.reference_hook),
            "stack": stack_digest(choice.stack),
            "reference_stack": stack_digest(catalog.reference),
        },
    )


def _indexed(site: Site, choice: Choice, folder: Path) -> IndexedDataset:
    case = choice.case
    if is_indexed(folder):
        memory = site.settings.cache / "sha256"
        return read_prepared(folder, case=case, memory=memory, limit=own_count(choice))
    found = _index(site, choice, folder)
    note = None if found.cached else hidden_note(folder, case.manifest.data.suffixes)
    if note is not None:
        site.listener.note(note)
    return found


def _index(site: Site, choice: Choice, folder: Path) -> IndexedDataset:
    case, cache, limit = choice.case, site.settings.cache, choice.measure.limit
    match case.manifest.data.layout:
        case "picture":
            return index_picture(folder, case=case, cache=cache, limit=limit)
        case "prompts":
            wanted = choice.item_count
            return index_prompts(folder, case=case, cache=cache, wanted=wanted, limit=limit)
        case "own":
            raise AssertionError("the reference image reads it: own_items")
        case "imagefolder":
            return index_image_folder(folder, case=case, cache=cache, limit=limit)


def _provenance(
    material: Material,
    weights: WeightsSource,
    dataset: IndexedDataset,
    *,
    input_kind: str,
    reference: Installation,
    vendor: Installation,
) -> dict[str, Any]:
    return {
        "code": dict(material.code),
        "reference_stack": dict(reference.provenance),
        "vendor_stack": dict(vendor.provenance),
        "weights": {
            "kind": weights.kind,
            "format": weights.format,
            "digest": weights.digest,
            "files": list(weights.files),
            "hub_id": weights.hub_id,
        },
        "dataset": {
            "kind": material.data_kind,
            "sha256": dataset.sha256,
            "count": dataset.count,
            "input": input_kind,
        },
    } | _made_again(dataset)


def _made_again(dataset: IndexedDataset) -> dict[str, Any]:
    if not dataset.damaged:
        return {}
    return {"made_again": {f"datasets/{dataset.data.parent.name}": list(dataset.damaged)}}
