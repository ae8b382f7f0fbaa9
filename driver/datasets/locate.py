"""Locates a case's dataset: given by DATA, bundled, set on this host, or prepared by `make data`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from driver.datasets.prepared import is_indexed
from driver.errors import DataFault

if TYPE_CHECKING:
    from driver.catalog.catalog import Case


FORMS = {
    "imagefolder": "folder with val/<synset>/*.JPEG",
    "picture": "a JPEG or PNG file",
    "prompts": "a text file with one prompt per line, or VizWiz's val.json",
}
"""What DATA names, by layout; for a case's own layout, case.toml says it."""


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """The origin of the items; ``folder`` is None for a synthetic dataset."""

    kind: Literal["real", "synthetic"]
    folder: Path | None


def locate_dataset(
    case: Case,
    asked: str | None,
    settings_datasets: dict[str, Path],
    prepared: Path | None = None,
) -> DatasetSource:
    """Find the dataset: ``DATA``, the case's bundled one, this host's setting, or a prepared one.

    Raises DataFault, listing the options, when there is none; synthetic is never chosen silently.
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
    raise DataFault(
        f"case {case.name} needs the dataset {spec.dataset}, for which this host has no setting",
        f"type DATA=<{spec.form or FORMS[spec.layout]}> ({spec.source or 'see the case README'}), "
        f'or set [datasets] "{spec.dataset}" = "<path>" in assay.local.toml, or type '
        "DATA=synthetic (generated items; the result is marked)",
    )


def _existing(folder: Path, setting: str) -> Path:
    if not folder.exists():
        raise DataFault(
            f"{setting}: {folder} does not exist", "fix the path, or use DATA=synthetic"
        )
    return folder
