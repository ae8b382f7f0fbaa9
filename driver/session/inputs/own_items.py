"""Items of a case's own layout: what its dataset.py reads, in the reference image, of the user's files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from driver.datasets.own import (
    OwnSource,
    open_own,
    prepared_source,
    require_unchanged,
    source_digest,
)
from driver.datasets.prepared import is_indexed, read_prepared
from driver.datasets.weights import SYNTHETIC
from driver.runners.spec import StageInputs
from driver.session.inputs.making import Making, made, made_before
from driver.system.hashing import code_digest, key_of

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets.prepared import IndexedDataset
    from driver.datasets.weights import WeightsSource
    from driver.plan.choice import Choice
    from driver.runners.spec import Stacks
    from driver.session.site import Site


def is_own(choice: Choice, folder: Path) -> bool:
    """Whether the case's dataset.py reads a dataset: as published, or as `make data` prepared it.

    Not one in the guest's layout whose source nobody knows, as a bundle has it.
    """
    if choice.case.manifest.data.layout != "own":
        return False
    return not is_indexed(folder) or prepared_source(folder) is not None


def own_count(choice: Choice) -> int | None:
    """Return how many items are asked for, None for all."""
    counts = [one for one in (choice.item_count, choice.measure.limit) if one]
    return min(counts, default=None)


def reads_options(choice: Choice) -> bool:
    """Whether the case's options decide what its items are; the driver's own layouts get them too."""
    data = choice.case.manifest.data
    return data.layout != "own" or "options" in data.reads


def seen_weights(choice: Choice, weights: WeightsSource) -> WeightsSource:
    """Return the weights as dataset.py gets them: none, unless case.toml says that it reads them."""
    return weights if "weights" in choice.case.manifest.data.reads else SYNTHETIC


def read_by_case(site: Site, choice: Choice, weights: WeightsSource) -> dict[str, object]:
    """Return what else determines the items that a case's dataset.py makes, {} for another layout."""
    if choice.case.manifest.data.layout != "own":
        return {}
    constants = choice.case.manifest.constants
    return {
        "weights": seen_weights(choice, weights).digest,
        "options": choice.guest_options if reads_options(choice) else constants,
        "preprocess": dict(choice.preprocess),
        "harness": code_digest(site.catalog.harness),
    }


def own_dataset(
    site: Site, choice: Choice, folder: Path, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Return the items that the case's dataset.py makes of ``folder``, in the reference image, once.

    Those that `make data` prepared are used as they are. Other weights or options make other ones, of
    the same source. Raises DataFault if that is gone, changed, or cannot be read.
    """
    source = _opened(site, choice, folder)
    prepared = _prepared(site, choice, source, weights)
    if prepared is not None:
        return prepared
    if source.items is not None:
        require_unchanged(source, choice.case.name, choice.case.manifest.data.files, _memory(site))
    kept = _folder(site, choice, source, weights)
    return made(site, choice, stacks, _making(choice, source, weights, kept, own_count(choice)))


def own_before(
    site: Site, choice: Choice, folder: Path, weights: WeightsSource
) -> IndexedDataset | None:
    """Return the items if they were made or prepared before, else None. Raises as ``own_dataset``."""
    source = _opened(site, choice, folder)
    prepared = _prepared(site, choice, source, weights)
    return prepared or made_before(_folder(site, choice, source, weights))


def prepare_own(
    site: Site, choice: Choice, folder: Path, weights: WeightsSource, stacks: Stacks
) -> IndexedDataset:
    """Make the items of ``folder`` for every later run, outside the cache, unless they are there.

    ``cached`` of what is returned says which. Raises DataFault.
    """
    spec = choice.case.manifest.data
    digest = source_digest(folder, _memory(site), spec.files)
    source = OwnSource(path=folder, sha256=digest)
    kept = site.settings.datasets_home / spec.dataset
    document = source.document(spec.dataset, _key(site, choice, source, weights, None))
    making = replace(_making(choice, source, weights, kept, None), source=document)
    return made(site, choice, stacks, making)


def _opened(site: Site, choice: Choice, folder: Path) -> OwnSource:
    return open_own(folder, choice.case.manifest.data.files, _memory(site))


def _memory(site: Site) -> Path:
    return site.settings.cache / "sha256"


def _prepared(
    site: Site, choice: Choice, source: OwnSource, weights: WeightsSource
) -> IndexedDataset | None:
    """Return what `make data` prepared, if it is what this job's dataset.py would make."""
    if source.items is None or source.key != _key(site, choice, source, weights, None):
        return None
    limit = own_count(choice)
    return read_prepared(source.items, case=choice.case, memory=_memory(site), limit=limit)


def _making(
    choice: Choice, source: OwnSource, weights: WeightsSource, folder: Path, count: int | None
) -> Making:
    seen = seen_weights(choice, weights)
    return Making(
        verb="data",
        what="the dataset",
        note=f"reading {source.path.name} for {choice.case.name}",
        folder=folder,
        inputs=StageInputs(source=source.path, weights=seen.folder),
        weights=seen,
        count=count or choice.case.manifest.data.count,
        options={"source": {"name": source.path.name, "count": count}},
        reads_options=reads_options(choice),
    )


def _folder(site: Site, choice: Choice, source: OwnSource, weights: WeightsSource) -> Path:
    """Return the cache folder of the items, by their content key."""
    key = _key(site, choice, source, weights, own_count(choice))
    return site.settings.cache / "datasets" / f"{choice.case.manifest.data.dataset}-{key[:16]}"


def _key(
    site: Site, choice: Choice, source: OwnSource, weights: WeightsSource, count: int | None
) -> str:
    return key_of(
        {
            "source": source.sha256,
            "count": count,
            "case": code_digest(choice.case.folder),
            "reference": code_digest(site.catalog.reference_hook),
        }
        | read_by_case(site, choice, weights)
    )
