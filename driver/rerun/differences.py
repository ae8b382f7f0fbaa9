"""In what a rerun is not its original, and what that means: another job, a comparison, or a note. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.models.rerun import RerunDifference, Weight
from driver.system.plain_text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.models.job import JobKey

SHOWN_CHARACTERS = 90
Path = tuple[str, ...]
Pair = tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one of the two: its job, and the provenance of its result."""

    job: JobKey
    provenance: Mapping[str, Any]


OF_JOB: dict[str, Weight] = {
    "case": Weight.ANOTHER_JOB,
    "precision": Weight.ANOTHER_JOB,
    "batch_size": Weight.ANOTHER_JOB,
    "scenario": Weight.ANOTHER_JOB,
    "vendor": Weight.COMPARISON,
    "chip": Weight.COMPARISON,
    "stack": Weight.COMPARISON,
    "engine": Weight.COMPARISON,
    "runner": Weight.COMPARISON,
    "tier": Weight.COMPARISON,
}

OF_PROVENANCE: dict[str, tuple[Path, Weight]] = {
    "weights": (("weights", "digest"), Weight.ANOTHER_JOB),
    "dataset": (("dataset", "sha256"), Weight.ANOTHER_JOB),
    "items of the dataset": (("dataset", "count"), Weight.ANOTHER_JOB),
    "input": (("dataset", "input"), Weight.ANOTHER_JOB),
    "options of the case": (("settings", "options"), Weight.ANOTHER_JOB),
    "rules of the load scenario": (("settings", "scenario"), Weight.ANOTHER_JOB),
    "seed": (("settings", "seed"), Weight.ANOTHER_JOB),
    "threads": (("host", "threads"), Weight.COMPARISON),
    "processor": (("processor", "signature"), Weight.COMPARISON),
    "part of the device": (("chip", "part"), Weight.COMPARISON),
    "host driver": (("host_driver",), Weight.COMPARISON),
    "seconds of the core loop": (("measure", "min_seconds"), Weight.COMPARISON),
    "processes": (("measure", "repeats"), Weight.COMPARISON),
    "planned arithmetic": (("arithmetic",), Weight.COMPARISON),
    "clock": (("core", "clock"), Weight.COMPARISON),
    "batches in flight": (("core", "in_flight"), Weight.COMPARISON),
    "device": (("settings", "device"), Weight.NAMED),
    "kernel": (("host", "kernel"), Weight.NAMED),
    "operating system": (("host", "os"), Weight.NAMED),
    "governor": (("host", "governor"), Weight.NAMED),
    "assay": (("assay",), Weight.NAMED),
    "commit": (("commit",), Weight.NAMED),
}
"""What is compared where both sides say it: name → where provenance has it, and what it means."""

CODE = ("case", "hook", "harness", "reference", "stack", "reference_stack")
"""Other code is named, not refused: whether it does something else shows in digests and figures."""

STACK_PARTS = ("kind", "python", "lock_sha256", "base_digest", "wheels", "installers", "packages")
"""What a stack is made of; an image built again from the same parts has another id and is the same."""


def differences(original: Facts, rerun: Facts) -> list[RerunDifference]:
    """Return every difference, the heaviest first. What one side does not say is none."""
    found = [
        *_of_job(original, rerun),
        *_of_provenance(original, rerun),
        *_preprocessing(original, rerun),
        *_model(original, rerun),
        *_stacks(original, rerun),
        *_read_back(original, rerun),
        *_code(original, rerun),
    ]
    order = list(Weight)
    return sorted(found, key=lambda one: order.index(one.weight))


def is_comparison(found: list[RerunDifference]) -> bool:
    """Return whether speed cannot be judged: another chip, driver, processor or stack."""
    return any(one.weight is not Weight.NAMED for one in found)


def at(document: Mapping[str, Any], path: Path) -> Any:
    """Return the value at a path of a document, None where there is none."""
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _of_job(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    for name, weight in OF_JOB.items():
        values = (str(getattr(original.job, name)), str(getattr(rerun.job, name)))
        yield from _differing(name.replace("_", " "), values, weight)


def _of_provenance(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    for name, (path, weight) in OF_PROVENANCE.items():
        values = _both(original, rerun, path)
        yield from _differing(name, values, weight)


def _preprocessing(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    """Compare the constants; where they come from is a comment."""
    ours, theirs = (dict(side.provenance.get("preprocess") or {}) for side in (original, rerun))
    for name in sorted((set(ours) | set(theirs)) - {"source"}):
        values = (ours.get(name, "absent"), theirs.get(name, "absent"))
        yield from _differing(f"preprocessing: {name}", _plain(values), Weight.ANOTHER_JOB)


def _plain(values: Pair) -> Pair:
    """Return values as a result has them: JSON knows lists, TOML's reader may give tuples."""
    ours, theirs = (list(one) if isinstance(one, tuple) else one for one in values)
    return ours, theirs


def _model(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    values = _both(original, rerun, ("export", "onnx_sha256"))
    same = exported_alike(original.provenance, rerun.provenance)
    yield from _differing("ONNX", values, Weight.ANOTHER_JOB if same else Weight.COMPARISON)


def exported_alike(original: Mapping[str, Any], rerun: Mapping[str, Any]) -> bool:
    """Return whether both engines want the same opset and batch, and so the same file."""
    settings = (("export", "opset"), ("export", "batch"))
    return all(at(original, path) == at(rerun, path) for path in settings)


def _stacks(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    # The reference stack exports and scores; that the exported model is the same shows in its digest.
    weights = {"vendor_stack": Weight.COMPARISON, "reference_stack": Weight.NAMED}
    for role, weight in weights.items():
        what = role.replace("_", " ")
        ours, theirs = (dict(side.provenance.get(role) or {}) for side in (original, rerun))
        for part in STACK_PARTS:
            yield from _part(f"{part} of the {what}", ours.get(part), theirs.get(part), weight)
        image = ours.get("image_id"), theirs.get("image_id")
        yield from _differing(f"image of the {what}", image, Weight.NAMED)


def _part(what: str, ours: Any, theirs: Any, weight: Weight) -> Iterator[RerunDifference]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        changed = sorted(
            name for name in set(ours) | set(theirs) if ours.get(name) != theirs.get(name)
        )
        for name in changed:
            values = (ours.get(name, "absent"), theirs.get(name, "absent"))
            yield from _differing(f"{what}: {name}", values, weight)
        return
    python = what.startswith("python")
    yield from _differing(what, (ours, theirs), Weight.NAMED if python else weight)


def _read_back(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    """Compare what infer read back from its engine; a setting that one side lacks is new code."""
    for kind in ("effective", "versions"):
        ours, theirs = (at(side.provenance, (kind, "infer")) or {} for side in (original, rerun))
        for name in sorted(set(ours) & set(theirs)):
            weight = Weight.NAMED if name == "python" else Weight.COMPARISON
            yield from _differing(f"{kind}: {name}", _plain((ours[name], theirs[name])), weight)


def _code(original: Facts, rerun: Facts) -> Iterator[RerunDifference]:
    for part in CODE:
        values = _both(original, rerun, ("code", part))
        yield from _differing(f"code: {part}", values, Weight.NAMED)


def _both(original: Facts, rerun: Facts, path: Path) -> Pair:
    return at(original.provenance, path), at(rerun.provenance, path)


def _differing(what: str, values: Pair, weight: Weight) -> Iterator[RerunDifference]:
    ours, theirs = values
    if ours is None or theirs is None or ours == theirs:
        return
    yield RerunDifference(
        what=what,
        original=shortened(str(ours), SHOWN_CHARACTERS),
        rerun=shortened(str(theirs), SHOWN_CHARACTERS),
        weight=weight,
    )
