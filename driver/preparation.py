"""Before a job's first stage: stacks installed, weights and dataset found, everything named by digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.containers import Stacks
from driver.content import code_digest, file_sha256, key_of
from driver.datasets import (
    index_image_folder,
    is_indexed,
    locate_dataset,
    read_prepared,
)
from driver.derived_data import synthetic_dataset, tensor_dataset
from driver.devices import select_devices
from driver.host_driver import require
from driver.models.base import RunnerName
from driver.pictures import index_picture
from driver.plan import Material, plan_job
from driver.prompts import index_prompts
from driver.runners.admission import require_devices
from driver.weights import locate_weights

if TYPE_CHECKING:
    from driver.catalog import Stack
    from driver.datasets import DatasetSource, IndexedDataset
    from driver.plan import Choice, PlannedJob
    from driver.site import Installation, Site
    from driver.stopwatch import Stopwatch
    from driver.weights import WeightsSource

LOCK_FILES = ("requirements.lock", "Dockerfile", "stack.toml")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A planned job and everything on disk that its stages need."""

    planned: PlannedJob
    stacks: Stacks
    weights: WeightsSource
    dataset: IndexedDataset
    provenance: dict[str, Any]


def prepare(site: Site, choice: Choice, stopwatch: Stopwatch) -> Prepared:
    """Make everything ready; raises DataFault, ImageFault or EnvironmentFault with what to type next."""
    site.runner.availability()
    host_driver = _host_of_the_device(site, choice)
    weights = locate_weights(choice.case, choice.request.weights, site.settings)
    source = locate_dataset(
        choice.case, choice.request.data, site.settings.datasets, site.settings.datasets_home
    )
    with stopwatch.timing("environments"):
        reference = site.installer.install(site.catalog.reference)
        vendor = site.installer.install(choice.stack)
    stacks = Stacks(reference=reference.stack, vendor=vendor.stack)
    with stopwatch.timing("dataset"):
        dataset = _dataset(site, choice, source, weights, stacks)
        if choice.request.input_kind == "tensor":
            dataset = tensor_dataset(site, choice, dataset, weights, stacks)
    material = _material(site, choice, source, weights, dataset)
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
        | host_driver,
    )


def _host_of_the_device(site: Site, choice: Choice) -> dict[str, Any]:
    """Return the vendor's driver as this host has it, before an hour of downloads and compilations.

    Raises EnvironmentFault for a device that is not there and a driver that is too old.
    """
    # Slurm runs the stages on another host than this one; a stand-in brings its devices along.
    if choice.runner is RunnerName.SLURM or site.settings.stand_ins:
        return {}
    require_devices(select_devices(choice.vendor.manifest.devices, choice.request.device))
    requirement = choice.vendor.manifest.drivers.get(choice.stack.name)
    if requirement is None:
        return {}
    return {"host_driver": require(requirement, choice.stack.name).provenance()}


def stack_digest(stack: Stack) -> str:
    """Return the digest of what a stack is built from: lock file, Dockerfile, manifest.

    Of an interpreter of this host, which nobody built, of what it holds.
    """
    if stack.found is not None:
        return stack.found.digest
    files = {name: stack.folder / name for name in LOCK_FILES}
    return key_of({name: file_sha256(path) for name, path in files.items() if path.is_file()})


def _material(
    site: Site,
    choice: Choice,
    source: DatasetSource,
    weights: WeightsSource,
    dataset: IndexedDataset,
) -> Material:
    catalog = site.catalog
    return Material(
        weights_kind=weights.kind,
        weights_format=weights.format,
        weights_digest=weights.digest,
        data_kind=source.kind,
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


def _dataset(
    site: Site, choice: Choice, source: DatasetSource, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    if source.folder is None:
        return synthetic_dataset(site, choice, weights, stacks, _prompts(choice))
    case, cache, limit = choice.case, site.settings.cache, choice.measure.limit
    if is_indexed(source.folder):
        return read_prepared(source.folder, case=case, limit=limit)
    match case.manifest.data.layout:
        case "picture":
            return index_picture(source.folder, case=case, cache=cache, limit=limit)
        case "prompts":
            wanted = _prompts(choice)
            return index_prompts(source.folder, case=case, cache=cache, wanted=wanted, limit=limit)
        case "imagefolder":
            return index_image_folder(source.folder, case=case, cache=cache, limit=limit)


def _prompts(choice: Choice) -> int | None:
    return dict(choice.request.options).get("prompts")


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
    }
