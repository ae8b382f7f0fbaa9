"""A hook that is no Python for its own compile, and hands the rest to the harness; docs/contract.md shows it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from driver.catalog.catalog import load_catalog
from driver.check.trial import Trial, judge, plan_trials, run_trial
from driver.check.vendor import check_vendor
from driver.console import Console
from driver.doctor.finding import Finding, failures
from driver.doctor.probe import gather
from driver.models.base import RunnerName
from driver.models.report import StageReport
from driver.system.settings import load_settings
from tests.contract.test_vendors import CATALOG, went_wrong

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ROOT = EXAMPLES.parents[1]
CONTRACT = (ROOT / "docs/contract.md").read_text(encoding="utf-8")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return acme's folder with the mixed hook in place of its own."""
    folder = Path(shutil.copytree(EXAMPLES / "acme", tmp_path / "acme"))
    shutil.copy(EXAMPLES / "mixed/hook", folder / "hook")
    return folder


def test_its_folder_is_whole(mixed: Path) -> None:
    vendor = load_catalog(ROOT, [mixed]).vendors["acme"]
    assert [f"{one.what}: {one.found}" for one in failures(check_vendor(vendor))] == []


@pytest.mark.stack
def test_it_keeps_the_contract_in_process(mixed: Path) -> None:
    settings = load_settings()
    vendor = load_catalog(ROOT, [mixed]).vendors["acme"]
    catalog = replace(CATALOG, vendors={**CATALOG.vendors, "acme": vendor})
    facts = gather(settings, catalog, vendor, wanted="sdk1")
    (trial,) = plan_trials(facts, (RunnerName.PROCESS,))
    result = run_trial(trial, settings, catalog, Console()) if isinstance(trial, Trial) else trial
    if isinstance(result, Finding):
        pytest.skip(f"{result.found}; {result.remedy}")
    assert went_wrong(list(judge(trial.what, result))) == []
    assert result.provenance["core"]["clock"] == "harness"


def test_the_document_shows_a_report_that_the_schema_accepts() -> None:
    reports = [
        json.loads(text)
        for text in re.findall(r"```json\n(.*?)```", CONTRACT, re.DOTALL)
        if "stage-report" in text
    ]
    assert [StageReport.model_validate(report).stage for report in reports] == ["infer"]
    assert {loop["name"] for loop in reports[0]["measurements"]} == {"core", "whole"}
    # Minimal: nothing in it can be left out but what other tables show.
    required = {"schema", "job_id", "stage", "repeat", "status", "wall_ns"}
    assert required <= set(reports[0])
