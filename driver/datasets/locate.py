"""Locates a case's dataset: given by DATA, bundled, set on this host, or prepared by `make data`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from driver.datasets.missing import Lack, MissingFault, raise_all
from driver.datasets.prepared import is_indexed
from driver.datasets.weights import find_weights, read_weights
from driver.errors import DataFault

if TYPE_CHECKING:
    from driver.catalog.catalog import Case
    from driver.datasets.weights import FoundWeights, WeightsSource
    from driver.models.case import DataSpec
    from driver.plan.request import Request
    from driver.system.settings import Settings


FORMS = {
    "imagefolder": "folder with val/<synset>/*.JPEG",
    "picture": "a JPEG or PNG file",
    "prompts": "a text file with one prompt per line, or VizWiz's val.json",
}
"""What DATA names, by layout; for a case's own layout, case.toml says it."""

PREPARED = {"imagefolder": "<folder or tar>", "own": ""}
"""The layouts that `make data` prepares, and what SRC names; "" for what DATA names."""


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """The origin of the items; ``folder`` is None for a synthetic dataset."""

    kind: Literal["real", "synthetic"]
    folder: Path | None


def locate_inputs(
    case: Case, request: Request, settings: Settings
) -> tuple[WeightsSource, DatasetSource]:
    """Find weights and dataset of a request; nothing is read unless both are there.

    Raises DataFault, one for both if both are missing.
    """
    faults: list[DataFault] = []
    found: FoundWeights | None = None
    source: DatasetSource | None = None
    try:
        found = find_weights(case, request.weights, settings)
    except DataFault as fault:
        faults.append(fault)
    try:
        source = locate_dataset(case, request.data, settings.datasets, settings.datasets_home)
    except DataFault as fault:
        faults.append(fault)
    raise_all(faults)
    assert source is not None
    return read_weights(found, settings), source


def locate_dataset(
    case: Case,
    asked: str | None,
    settings_datasets: dict[str, Path],
    prepared: Path | None = None,
) -> DatasetSource:
    """Find the dataset: ``DATA``, the case's bundled one, this host's setting, or a prepared one.

    Raises MissingFault, listing the options, when there is none (synthetic is never chosen silently),
    and DataFault for a path that does not exist.
    """
    spec = case.manifest.data
    if asked == "synthetic":
        return DatasetSource(kind="synthetic", folder=None)
    if asked:
        return DatasetSource(kind="real", folder=_existing(Path(asked).expanduser(), "DATA"))
    if spec.bundled:
        return DatasetSource(kind="real", folder=case.folder / spec.bundled)
    if spec.dataset in settings_datasets:
        folder = settings_datasets[spec.dataset]
        return DatasetSource(kind="real", folder=_existing(folder, f"datasets.{spec.dataset}"))
    if prepared is not None and is_indexed(prepared / spec.dataset):
        return DatasetSource(kind="real", folder=prepared / spec.dataset)
    raise MissingFault(case.name, [_lack(case.name, spec)])


def _lack(case: str, spec: DataSpec) -> Lack:
    form = f"<{spec.form or FORMS[spec.layout]}>"
    src = PREPARED.get(spec.layout)
    return Lack(
        what=f"the dataset {spec.dataset}",
        source=spec.source or "see the README of the case",
        pair=f"DATA={form}",
        setting=f'[datasets] "{spec.dataset}" = "<path>"',
        synthetic="generated items",
        prepare="" if src is None else f"make data CASE={case} SRC={src or form}",
    )


def _existing(folder: Path, setting: str) -> Path:
    if not folder.exists():
        raise DataFault(
            f"{setting}: {folder} does not exist", "fix the path, or use DATA=synthetic"
        )
    return folder
