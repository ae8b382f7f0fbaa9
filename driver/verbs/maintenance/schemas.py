"""`schemas`: the JSON Schemas of the contract, generated from the typed models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from driver.models.audit import Audit
from driver.models.bundle import BundleManifest
from driver.models.case import CaseManifest
from driver.models.job import JobFile
from driver.models.manifest_keys import page
from driver.models.published import Published
from driver.models.report import StageReport
from driver.models.rerun import Rerun
from driver.models.result import Result
from driver.models.stack import StackManifest
from driver.models.sweep import SweepPlan, SweepTask
from driver.models.vendor import VendorManifest
from driver.system.settings import ROOT

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
    "bundle": BundleManifest,
    "rerun": Rerun,
    "audit": Audit,
    "sweep": SweepPlan,
    "sweep-task": SweepTask,
}
FOLDER = ROOT / "driver" / "schemas"
KEYS = ROOT / "docs" / "manifest-keys.md"


def schema_texts() -> dict[Path, str]:
    """Return the generated files and their text: the schemas, and the page of manifest keys."""
    schemas = {
        FOLDER / f"{name}.schema.json": json.dumps(
            model.model_json_schema(by_alias=True), indent=1, sort_keys=True
        )
        + "\n"
        for name, model in SCHEMAS.items()
    }
    return schemas | {KEYS: page()}


def write_schemas(console: Console, *, check: bool) -> int:
    """Write the generated files and return 0; with ``check``, only return 1 if one is out of date."""
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
