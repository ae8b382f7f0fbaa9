"""An in-toto statement of what ran on what: the result by its file's digest, its materials by theirs. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.models.result import Result

FILE = "statement.json"
TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:assay:predicate:run:1"
"""docs/bundles.md says what it holds."""

TREE = "assayTree1"
"""The algorithm of digests over a folder or several files (docs/bundles.md): sha256 is of one file."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
Material = dict[str, Any]


def statement_text(result: Result, result_sha256: str) -> str:
    """Return statement.json for a result whose file has that sha256; the same result, the same bytes."""
    return json.dumps(statement(result, result_sha256), indent=1, sort_keys=True) + "\n"


def statement(result: Result, result_sha256: str) -> dict[str, Any]:
    """Return the statement: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md."""
    provenance = result.provenance
    return {
        "_type": TYPE,
        "subject": [{"name": "result.json", "digest": {"sha256": result_sha256}}],
        "predicateType": PREDICATE,
        "predicate": {
            "job": result.job.model_dump(mode="json"),
            "status": result.status,
            "simulated": result.simulated,
            "startedOn": result.started_utc,
            "finishedOn": result.finished_utc,
            "builder": {"assay": provenance.get("assay"), "commit": provenance.get("commit")},
            "materials": list(_materials(provenance)),
            "byproducts": [_file(one.file, one.sha256) for one in result.samples],
        },
    }


def _materials(provenance: Mapping[str, Any]) -> Iterator[Material]:
    """Yield resource descriptors, in one order, of everything that provenance has a digest of."""
    commit = provenance.get("commit")
    if isinstance(commit, str) and _COMMIT.fullmatch(commit):
        yield {"name": "tree", "digest": {"gitCommit": commit}}
    for part, digest in sorted((provenance.get("code") or {}).items()):
        yield {"name": f"code of {part}", "digest": {TREE: str(digest)}}
    onnx = (provenance.get("export") or {}).get("onnx_sha256")
    if onnx:
        yield _file("model.onnx", onnx)
    for part, key in (("weights", "digest"), ("dataset", "sha256")):
        digest = (provenance.get(part) or {}).get(key)
        if digest:
            yield {"name": part, "digest": {TREE: str(digest)}}
    for role in ("reference_stack", "vendor_stack"):
        yield from _stack(role.replace("_", " "), provenance.get(role) or {})


def _stack(what: str, stack: Mapping[str, Any]) -> Iterator[Material]:
    named = {
        f"image of the {what}": stack.get("image_id"),
        f"base image of the {what}": stack.get("base_digest"),
        f"lock of the {what}": stack.get("lock_sha256"),
        f"bill of the {what}": stack.get("bill_sha256"),
    }
    for name, digest in named.items():
        if digest:
            yield _file(name, str(digest))
    for kind in ("wheels", "installers"):
        for name, digest in sorted((stack.get(kind) or {}).items()):
            yield _file(f"{name} of the {what}", str(digest))


def _file(name: str, digest: str) -> Material:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
