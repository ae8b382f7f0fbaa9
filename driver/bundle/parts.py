"""The parts of a bundle that are files of this host: tree, wheels, weights, data, models, results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.bundle.contents import Content, file_content, folder_contents
from driver.bundle.loader.layout import MANIFEST
from driver.bundle.loader.manifest import KEPT
from driver.errors import EnvironmentFault
from driver.models.bundle import BundleElsewhere, BundleLicence
from driver.stacks.locks import parse_lock, pins_for, target_of
from driver.stacks.wheel_licence import stated_licence
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.host.git import git, is_own_checkout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from driver.catalog.catalog import Case
    from driver.catalog.vendor import Stack, Vendor
    from driver.datasets.prepared import IndexedDataset
    from driver.datasets.weights import WeightsSource
    from driver.models.result import Result
    from driver.system.settings import Settings

OLDEST_PYTHON = "3.11"
LEFT_OUT = ("tests/",)
"""The lab measures; who develops has a clone."""


@dataclass(frozen=True, kw_only=True)
class JobParts:
    """What the jobs of one case on one vendor are made of on this host; None where it is not here."""

    case: Case
    model: Path | None = None
    golden: Path | None = None
    engine: Path | None = None
    weights: WeightsSource | None = None
    dataset: IndexedDataset | None = None
    synthetic_data: bool = False
    bills: tuple[Path, ...] = ()
    """Bills of materials of its stacks."""


def bill_contents(parts: JobParts) -> list[Content]:
    """Return the bills of materials of a job's stacks, by the digest that results name them with."""
    return [file_content(path, f"documents/{path.name}", "document") for path in parts.bills]


def tree_contents(root: Path) -> list[Content]:
    """Return the files of the tree, without its tests: those that git tracks, or that a bundle brought.

    Raises EnvironmentFault where neither says which files are the tree's.
    """
    names = [name for name in _tracked(root) if not name.startswith(LEFT_OUT)]
    return [
        file_content(root / name, f"tree/{name}", "tree")
        for name in names
        if (root / name).is_file()
    ]


def _tracked(root: Path) -> list[str]:
    loaded = root / KEPT / MANIFEST
    if loaded.is_file():
        paths = [one["path"] for one in json.loads(loaded.read_text(encoding="ascii"))["files"]]
        return [path.removeprefix("tree/") for path in paths if path.startswith("tree/")]
    listed = git(root, "ls-files", "-z", timeout_s=60) if is_own_checkout(root) else None
    if listed is None:
        raise EnvironmentFault(
            f"{root} is neither a git checkout nor a loaded bundle, so nothing says which files are Assay's",
            "bundle from a checkout, with git installed",
        )
    return [name for name in listed.split("\0") if name]


def private_contents(kind: str, one: Vendor | Case, root: Path) -> list[Content]:
    """Return the folder of a vendor or case that is not in the tree; nothing for one that is.

    ``kind`` is the folder below the home into which it goes: ``vendors`` or ``cases``.
    """
    if one.folder.absolute().is_relative_to(root.absolute()):
        return []
    return folder_contents(
        one.folder, f"home/{kind}/{one.name}", "tree", leave_out=("__pycache__", ".git")
    )


def wheels_of(
    lock: Path, python: str, settings: Settings, on_progress: Callable[[str], None]
) -> dict[str, Path]:
    """Return the wheels of a lock by package, fetched where they are missing; ImageFault without one."""
    target = target_of(python)
    return Wheelhouse(settings.home).fill(
        pins_for(parse_lock(lock), target),
        target,
        torch_index=settings.torch_index,
        on_progress=on_progress,
    )


def wheel_contents(wheels: Iterable[Path]) -> list[Content]:
    """Return wheels where a loaded wheelhouse has them."""
    return [file_content(path, f"home/wheelhouse/{path.name}", "wheel") for path in wheels]


def wheel_licences(wheels: Iterable[Path]) -> list[BundleLicence]:
    """Return what each wheel says of its licence, in its own words."""
    return [
        BundleLicence(
            what=path.name.split("-")[0] + " " + path.name.split("-")[1],
            licence=stated_licence(path) or "not stated",
        )
        for path in sorted(wheels, key=lambda path: path.name)
    ]


def model_contents(parts: JobParts, *, engines: bool) -> list[Content]:
    """Return what was exported and computed for a job, where the next run looks for it by its key."""
    found = []
    kinds = (("models", parts.model, "model"), ("golden", parts.golden, "golden"))
    for name, folder, role in kinds:
        if folder is not None and folder.is_dir():
            found += folder_contents(folder, f"home/cache/{name}/{folder.name}", role)  # type: ignore[arg-type]
    if engines and parts.engine is not None and parts.engine.is_dir():
        found += folder_contents(parts.engine, f"home/cache/engines/{parts.engine.name}", "engine")
    return found


def weights_contents(parts: JobParts) -> list[Content]:
    """Return the weights of a case, unless they are synthetic or the case's own."""
    weights = parts.weights
    if weights is None or weights.folder is None or weights.kind != "published":
        return []
    return [
        file_content(
            (weights.folder / name).resolve(), f"home/weights/{parts.case.name}/{name}", "weights"
        )
        for name in weights.files
    ]


def data_contents(parts: JobParts, settings: Settings) -> list[Content]:
    """Return a case's dataset in the guest's layout, unless it is the case's own."""
    dataset, spec = parts.dataset, parts.case.manifest.data
    if dataset is None or (spec.bundled and not parts.synthetic_data):
        return []
    folder = dataset.data.parent
    if folder.is_relative_to(settings.cache) and parts.synthetic_data:
        target = f"home/cache/datasets/{folder.name}"
    else:
        target = f"home/datasets/{spec.dataset}"
    return [
        *folder_contents(dataset.data, f"{target}/data", "data"),
        *folder_contents(dataset.labels, f"{target}/labels", "data"),
    ]


def result_contents(folder: Path, result: Result) -> list[Content]:
    """Return a result's files, where results of that job go."""
    return folder_contents(folder, f"results/{result_path(folder, result)}", "result")


def result_path(folder: Path, result: Result) -> str:
    """Return where a result goes below results/."""
    job = result.job
    what = f"{job.stack}-{job.engine}-{job.precision}-bs{job.batch_size}"
    return f"{job.case}/{job.vendor}/{what}/{folder.name}"


def missing_weights(parts: JobParts, held: bool) -> list[BundleElsewhere]:
    """Return what the lab must bring of weights and data, because the bundle does not hold them."""
    case, spec = parts.case, parts.case.manifest.weights
    synthetic = parts.weights is not None and parts.weights.kind == "synthetic"
    if held or spec.bundled or synthetic:
        return []
    digest = None if parts.weights is None else f"sha256:{parts.weights.digest}"
    return [
        BundleElsewhere(
            what=f"the weights of {case.name}",
            kind="weights",
            reference=spec.formats[0].hub_id,
            digest=digest,
            how=f"{spec.formats[0].source}; then WEIGHTS=<folder>",
        )
    ]


def missing_data(parts: JobParts, held: bool) -> list[BundleElsewhere]:
    """Return what the lab must bring of data."""
    spec = parts.case.manifest.data
    if held or spec.bundled or parts.synthetic_data:
        return []
    digest = None if parts.dataset is None else f"sha256:{parts.dataset.sha256}"
    return [
        BundleElsewhere(
            what=f"the dataset {spec.dataset}",
            kind="data",
            reference=spec.dataset,
            digest=digest,
            how=f"{spec.source or 'see the README of the case'}; then make data CASE={parts.case.name} SRC=<it>",
        )
    ]


def missing_image(
    stack: Stack, labels: Mapping[str, str], image_id: str | None
) -> list[BundleElsewhere]:
    """Return how the lab gets an image that may not be passed on: its base, its installers, its build."""
    manifest = stack.manifest
    base = manifest.base.image
    digest = labels.get("assay.base-digest") or manifest.base.digest
    name = f"{stack.vendor} {stack.name}"
    how = (
        f"its base {base}{f'@{digest}' if digest else ''} ({manifest.base.source or 'see its vendor'}); "
        f"then make images VENDOR={stack.vendor} STACK={stack.name}, with the network off"
    )
    found = [
        BundleElsewhere(
            what=f"the image of {name}",
            kind="image",
            reference=labels.get("assay.base") or base,
            digest=image_id,
            how=how,
        )
    ]
    return found + [
        BundleElsewhere(
            what=f"the installer {one.file} of {name}",
            kind="installer",
            reference=one.file,
            digest=f"sha256:{one.sha256}" if one.sha256 else None,
            how=f"{one.source}; then INSTALLERS=<folder that holds it>",
        )
        for one in manifest.installers
    ]
