"""`schemas`: the JSON Schemas of the contract, generated from the typed models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from driver.manifest_keys import page
from driver.models.job import JobFile
from driver.models.manifest import CaseManifest, StackManifest, VendorManifest
from driver.models.published import Published
from driver.models.report import StageReport
from driver.models.result import Result
from driver.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from driver.console import Console

SCHEMAS: dict[str, type[BaseModel]] = {
    "job": JobFile,
    "stage-report": StageReport,
    "result": Result,
    "case": CaseManifest,
    "vendor": VendorManifest,
    "stack": StackManifest,
    "published": Published,
}
FOLDER = ROOT / "driver" / "schemas"
KEYS = ROOT / "docs" / "manifest-keys.md"


def schema_texts() -> dict[Path, str]:
    """Return each generated file and what must stand in it: the schemas, and the page of their keys."""
    schemas = {
        FOLDER / f"{name}.schema.json": json.dumps(
            model.model_json_schema(by_alias=True), indent=1, sort_keys=True
        )
        + "\n"
        for name, model in SCHEMAS.items()
    }
    return schemas | {KEYS: page()}


def write_schemas(console: Console, *, check: bool) -> int:
    """Write the schemas, or with ``check`` return 1 when one differs from its model."""
    stale = [
        path
        for path, text in schema_texts().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if check:
        for path in stale:
            console.fault(f"{path.name} differs from its model", "driver/assay schemas")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in schema_texts().items():
        path.write_text(text, encoding="utf-8")
    console.say(
        f"{len(SCHEMAS)} schemas written to {FOLDER.relative_to(ROOT)}, their keys to {KEYS.name}"
    )
    return 0
