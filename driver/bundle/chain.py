"""What a result rests on, followed link by link: its own files, ONNX, weights, data, images, code, commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from driver.errors import DataFault
from driver.models.base import problems
from driver.models.report import StageReport
from driver.models.result import Result
from driver.system.hashing import canonical_digest, file_sha256

State = Literal["verified", "differs", "not here"]
EDITED = "measure again, or ask who sent it for the original"


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link of the chain: what it is, whether it holds here, and the digests.

    ``counts`` is false for a difference that stronger links make up for.
    """

    what: str
    state: State
    detail: str = ""
    counts: bool = True


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a machine, or a bundle, holds, by digest (sha256, hex).

    ``files`` are of models, locks and wheels; ``images`` of configs (or what an engine calls an image);
    ``weights`` by case and ``code`` by part (case, hook, …) are digests as results have them.
    """

    commit: str | None = None
    files: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    weights: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)


def read_result(path: Path, variable: str = "RESULT") -> tuple[Path, Result]:
    """Return a result's folder and the result; DataFault where it is none, or was edited.

    ``variable`` is where the user named the path; the remedy repeats it.
    """
    file = path / "result.json" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        below = next(path.rglob("result.json"), None) if path.is_dir() else None
        example = "<folder that holds result.json>" if below is None else below.parent
        why = getattr(error, "strerror", None) or error
        raise DataFault(
            f"no result can be read at {path}: {why}", f"{variable}={example}"
        ) from error
    return file.parent.absolute(), parse_result(text, str(file))


def parse_result(text: str, name: str) -> Result:
    """Return a result whose digest and schema hold; DataFault otherwise."""
    try:
        document = json.loads(text)
        found = canonical_digest(document)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataFault(f"{name} is damaged: {error}", EDITED) from error
    said = document.get("digest")
    if said != found:
        raise DataFault(
            f"{name} was edited: its content has the digest {found}, it says {said}", EDITED
        )
    try:
        return Result.model_validate(document)
    except ValidationError as error:
        raise DataFault(
            f"{name} does not keep the schema assay/result/1: {problems(error)[0]}",
            "read it with the Assay that wrote it, or a newer one",
        ) from error


def own_files(folder: Path, result: Result) -> Iterator[Link]:
    """Yield a link for each file beside a result: samples by digest, logs and reports by presence."""
    yield Link(what="result.json", state="verified", detail=str(result.digest))
    for sample in result.samples:
        yield _file(folder, sample.file, sample.sha256)
    for stage in result.stages:
        if stage.log is not None:
            there = (folder / stage.log).is_file()
            detail = "" if there else "it is missing"
            yield Link(what=stage.log, state="verified" if there else "differs", detail=detail)
    ran = {
        f"{one.name}-{one.repeat}.json" for one in result.stages if one.log and one.status == "ok"
    }
    for name in sorted(ran | {path.name for path in (folder / "reports").glob("*.json")}):
        yield _report(folder / "reports" / name)


def _file(folder: Path, name: str, wanted: str) -> Link:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return Link(what=name, state="differs", detail="it is missing")
    found = file_sha256(path)
    if found == wanted:
        return Link(what=name, state="verified", detail=wanted)
    return Link(what=name, state="differs", detail=f"sha256 {found}, the result says {wanted}")


def _report(path: Path) -> Link:
    name = f"reports/{path.name}"
    if not path.is_file():
        return Link(what=name, state="differs", detail="it is missing")
    try:
        StageReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        return Link(what=name, state="differs", detail=f"it is no stage report: {first}")
    return Link(what=name, state="verified")


def chain(result: Result, held: Held) -> Iterator[Link]:
    """Yield the links from a result to what it was made of, as far as that is held."""
    provenance = result.provenance
    yield from _model(provenance.get("export") or {}, held)
    yield _weights(result, held)
    yield _one_of("dataset", _text(provenance, "dataset", "sha256"), held.datasets)
    for name in ("reference_stack", "vendor_stack"):
        yield from _stack(name.replace("_", " "), provenance.get(name) or {}, held)
    said = sorted((provenance.get("code") or {}).items())
    code = [
        _same(f"code of {part}", str(digest), held.code[part])
        for part, digest in said
        if part in held.code
    ]
    yield from code
    # Another commit with the same code in every part of the job is no other measurement.
    holds = bool(code) and all(link.state == "verified" for link in code)
    yield replace(_same("commit", provenance.get("commit"), held.commit), counts=not holds)


def _model(export: Mapping[str, Any], held: Held) -> Iterator[Link]:
    digest = export.get("onnx_sha256")
    if isinstance(digest, str):
        yield _one_of("ONNX", digest, held.files)


def _weights(result: Result, held: Held) -> Link:
    if result.weights == "synthetic":
        return Link(what="weights", state="verified", detail="synthetic: drawn from a fixed seed")
    wanted = _text(result.provenance, "weights", "digest")
    return _same("weights", wanted, held.weights.get(result.job.case))


def _stack(what: str, stack: Mapping[str, Any], held: Held) -> Iterator[Link]:
    if stack.get("kind") == "image":
        yield _one_of(f"image of the {what}", stack.get("image_id"), held.images)
        return
    if stack.get("kind") == "found":
        yield Link(
            what=f"{what}", state="not here", detail="a Python of its host, without a lock file"
        )
        return
    yield _one_of(f"lock of the {what}", stack.get("lock_sha256"), held.files)
    wheels = stack.get("wheels") or {}
    missing = sorted(name for name, digest in wheels.items() if digest not in held.files)
    detail = (
        f"{len(missing)} of {len(wheels)}: {', '.join(missing[:3])}"
        if missing
        else f"{len(wheels)}"
    )
    yield Link(
        what=f"wheels of the {what}", state="not here" if missing else "verified", detail=detail
    )


def _one_of(what: str, digest: object, held: frozenset[str]) -> Link:
    wanted = str(digest or "").removeprefix("sha256:")
    there = bool(wanted) and (wanted in held or f"sha256:{wanted}" in held)
    return Link(
        what=what,
        state="verified" if there else "not here",
        detail=wanted or "the result names none",
    )


def _same(what: str, wanted: object, found: str | None) -> Link:
    if found is None or not isinstance(wanted, str):
        return Link(what=what, state="not here", detail=str(wanted or "the result names none"))
    if found == wanted:
        return Link(what=what, state="verified", detail=wanted)
    return Link(what=what, state="differs", detail=f"here {found}, the result says {wanted}")


def _text(provenance: Mapping[str, Any], *keys: str) -> str | None:
    found: Any = provenance
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None
