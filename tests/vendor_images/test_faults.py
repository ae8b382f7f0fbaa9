"""A stand-in with a fault, in its container: what `run` records, and what a report shows of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import AssayError
from driver.system.settings import ROOT
from tests.vendor_images.bases import STANDINS
from tests.vendor_images.conftest import lacking
from tests.vendor_images.images import ensure_image, stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from driver.system.settings import Settings

pytestmark = pytest.mark.vendors

STACK = "cann5.1.rc2"
"""A stack without an engine that validates."""


@pytest.fixture(scope="module", autouse=True)
def _image(engine: Any, settings: Settings) -> None:
    try:
        ensure_image(engine.api, settings, stack_of("ascend", STACK), lambda _text: None)
    except AssayError as error:
        lacking(f"{error.message}: {error.remedy}")


def faulty(folder: Path, fault: str) -> Path:
    """Copy the vendor under another name, with a fault in its stand-in."""
    folder.parent.chmod(0o755)
    shutil.copytree(ROOT / "vendor_hooks" / "ascend", folder)
    shutil.copytree(ROOT / "images" / "ascend", folder / "images")
    manifest = folder / "vendor.toml"
    text = manifest.read_text(encoding="utf-8")
    text = text.replace('name = "ascend"', f'name = "{folder.name}"', 1)
    fault_variable = f'[devices]\nenv = {{ ASSAY_STANDIN_FAULT = "{fault}" }}'
    manifest.write_text(text.replace("[devices]", fault_variable), encoding="utf-8")
    return folder


def assay(vendor: Path, *arguments: str, results: Path) -> subprocess.CompletedProcess[str]:
    path = f"{STANDINS / 'ascend' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"VENDOR_PATH": str(vendor), "OUT": str(results), "PATH": path}
    return subprocess.run(
        [str(ROOT / "driver" / "assay"), *arguments],
        env={**os.environ, "ASSAY_STANDINS": "1", **own},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def run(vendor: Path, results: Path) -> tuple[int, dict[str, Any]]:
    what = ("--case", "vit_digits", "--vendor", vendor.name, "--runner", "docker", "--limit", "20")
    done = assay(vendor, "run", *what, "--format", "json", results=results)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_outputs_that_drift_never_count_where_nothing_validates(tmp_path: Path) -> None:
    vendor, results = faulty(tmp_path / "faulty", "infer:drift"), tmp_path / "results"
    code, result = run(vendor, results)
    if code == 5:
        # The calls that are computed again are drawn at random: they may have drifted apart already.
        assert result["failure"]["kind"] == "contract"
        assert result["metrics"]["p_infer_core"] is None
        return
    assert (code, result["status"]) == (4, "accuracy_failed")
    assert result["metrics"]["acc_val"] is None
    assert "no validation" in result["gate"]["reason"]
    shown = assay(vendor, "report", "--simulated", str(results), results=results)
    assert shown.returncode == 0, shown.stderr
    text = (results / "report" / "report.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if "accuracy failed: no validation" in line)
    assert "~~0.00 / /~~" in row


def test_a_stand_in_that_fails_to_compile_is_simulated_and_stays_out_of_reports(
    tmp_path: Path,
) -> None:
    vendor, results = faulty(tmp_path / "faulty", "compile:fail"), tmp_path / "results"
    code, result = run(vendor, results)
    assert (code, result["failure"]["stage"]) == (1, "compile")
    assert result["simulated"] is True
    assert assay(vendor, "report", str(results), results=results).returncode == 0
    text = (results / "report" / "report.md").read_text(encoding="utf-8")
    assert "EZ3003" not in text
