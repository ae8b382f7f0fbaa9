"""A new folder passes its check except for its marks, and existing files are never overwritten."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from driver.catalog.catalog import Catalog, load_catalog
from driver.check.case import check_case, judge_macs, plan_case_trial
from driver.check.trial import Trial, judge, run_trial
from driver.check.vendor import check_vendor
from driver.console import Console
from driver.doctor.finding import Finding, failures
from driver.errors import UsageFault
from driver.models.job import SCENARIOS
from driver.models.result import Result
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.system.settings import load_settings
from driver.verbs.maintenance.scaffold import TEMPLATES, case_kinds, new_case, new_vendor
from tests.driver.miniature import make_tree
from tests.driver.test_cli import assay
from tests.short_run import measure_briefly

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = make_tree(tmp_path / "tree")
    shutil.rmtree(root / "vendor_hooks/acme")
    shutil.rmtree(root / "images/acme")
    return root


def beside_marks(findings: list[Finding]) -> list[str]:
    wrong = failures(findings)
    assert [one for one in wrong if one.what.startswith("to fill in")], "the marks are listed"
    return [f"{one.what}: {one.found}" for one in wrong if not one.what.startswith("to fill in")]


@pytest.mark.parametrize("name", ["acme", "chip-maker", "a1_b.c"])
def test_a_new_vendor_in_the_tree_passes_except_for_its_marks(tree: Path, name: str) -> None:
    made = new_vendor(name, tree)
    assert made.made == (tree / "vendor_hooks" / name, tree / "images" / name / "sdk1")
    assert os.access(made.folder / "hook", os.X_OK)
    assert beside_marks(check_vendor(load_catalog(tree).vendors[name])) == []


def test_a_part_that_is_still_marked_is_not_reported_as_ok(tree: Path) -> None:
    new_vendor("acme", tree)
    found = check_vendor(load_catalog(tree).vendors["acme"])
    assert [one.what for one in found if one.status == "ok" and "<<" in one.found] == []


def test_a_private_vendor_has_its_images_inside(tree: Path, tmp_path: Path) -> None:
    made = new_vendor("acme", tree, tmp_path / "mine")
    assert made.folder == tmp_path / "mine/acme"
    catalog = load_catalog(tree, [made.folder])
    assert beside_marks(check_vendor(catalog.vendors["acme"])) == []
    assert not (tree / "vendor_hooks/acme").exists()


KINDS = ("detection", "generation", "image", "raw", "text")


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_a_new_case_passes_except_for_its_marks(kind: str | None, tree: Path) -> None:
    assert case_kinds() == list(KINDS)
    new_case("resnet_18", tree, kind=kind)
    assert beside_marks(check_case(load_catalog(tree).cases["resnet_18"])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_case_has_what_every_scenario_of_its_kind_needs(kind: str, tree: Path) -> None:
    new_case("resnet_18", tree, kind=kind)
    catalog = replace(load_catalog(ROOT), cases=load_catalog(tree).cases)
    named = [name for name in SCENARIOS if (kind, name) != ("generation", "multistream")]
    for scenario in named:
        chosen = choose(Request(case="resnet_18", scenario=scenario), catalog)
        assert chosen.scenario is not None
        assert (chosen.scenario.latency_bound_ns is not None) == (scenario == "server")


def test_a_new_engine_is_simulated_by_default(tree: Path) -> None:
    text = (new_vendor("acme", tree).folder / "engines/acme.py").read_text()
    assert re.search(r"#: <<.*simulated.*>>\n    simulated = True", text)


def new_cases(tree: Path) -> list[Path]:
    return [made for kind in KINDS for made in new_case(f"new_{kind}", tree, kind=kind).made]


def test_an_unknown_kind_is_refused_with_the_nearest(tree: Path) -> None:
    with pytest.raises(UsageFault, match=r"unknown KIND 'row'.*did you mean raw"):
        new_case("mine", tree, kind="row")


def test_no_placeholder_is_left(tree: Path) -> None:
    made = [*new_vendor("acme", tree).made, *new_cases(tree)]
    for folder in made:
        for path in folder.rglob("*"):
            assert not path.is_file() or "{{" not in path.read_text(), path
            assert path.suffix != ".template"


def test_new_files_are_formatted_like_the_tree(tree: Path) -> None:
    made = [*new_vendor("acme", tree).made, *new_cases(tree)]
    shutil.copy(ROOT / "pyproject.toml", tree)
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, "format", "--check", "-q"], [*ruff, "check", "-q", "--ignore=D"]):
        done = subprocess.run([*command, *made], cwd=tree, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


def test_an_existing_folder_is_refused_and_kept(tree: Path) -> None:
    made = new_vendor("acme", tree)
    (made.folder / "vendor.toml").write_text("mine")
    with pytest.raises(UsageFault, match="already exists"):
        new_vendor("acme", tree)
    assert (made.folder / "vendor.toml").read_text() == "mine"
    shutil.rmtree(tree / "vendor_hooks/acme")
    with pytest.raises(UsageFault, match="images/acme already exists"):
        new_vendor("acme", tree)
    assert not (tree / "vendor_hooks/acme").exists()
    with pytest.raises(UsageFault, match="already exists"):
        new_case("tiny", tree)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Acme",
        "a b",
        "../up",
        "/tmp/x",
        "a/b",
        "-a",
        ".a",
        "1st",
        "a" * 65,
        "reference",
        "é",
        "a\n",
    ],
)
def test_an_invalid_name_is_refused(tree: Path, name: str) -> None:
    with pytest.raises(UsageFault, match="is not a valid name of a vendor"):
        new_vendor(name, tree)
    with pytest.raises(UsageFault, match="is not a valid name of a case"):
        new_case(name, tree)


def test_the_command_names_the_folder_and_the_next_step(tmp_path: Path) -> None:
    done = assay("new-vendor", "--name", "acme", "--into", str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        str(tmp_path / "acme"),
        str(tmp_path / "acme/images/sdk1"),
    ]
    assert f"make check VENDOR=acme VENDOR_PATH={tmp_path / 'acme'}" in done.stderr


def test_a_private_case_is_made_where_into_says_and_found_there(tmp_path: Path) -> None:
    done = assay("new-case", "--name", "resnet_18", "--into", str(tmp_path / "my cases"))
    folder = tmp_path / "my cases" / "resnet_18"
    assert done.returncode == 0
    assert done.stdout.splitlines() == [str(folder)]
    assert not (ROOT / "cases/resnet_18").exists()
    assert f"make check CASE=resnet_18 CASE_PATH='{folder}'" in done.stderr
    listed = assay("list", "--format", "json", CASE_PATH=str(folder))
    assert "resnet_18" in json.loads(listed.stdout)["cases"]


@pytest.mark.parametrize("verb", ["new-vendor", "new-case"])
def test_a_missing_name_keeps_the_users_folder_in_the_remedy(verb: str) -> None:
    said = assay(verb, "--into", "/mine").stderr
    assert f"driver/assay {verb} --into /mine --name acme" in said


@pytest.mark.parametrize("verb", ["new-vendor", "new-case"])
def test_a_missing_or_invalid_name_is_wrong_usage(verb: str) -> None:
    assert assay(verb).returncode == 2
    done = assay(verb, "--name", "../x")
    assert (done.returncode, "is not a valid name of a" in done.stderr) == (2, True)


def test_the_packages_of_the_templates_are_locked() -> None:
    assert (TEMPLATES / "vendor/stack/requirements.lock").is_file()


def tried(catalog: Catalog, case: str, scenario: str | None = None) -> Result:
    trial = plan_case_trial(catalog.cases[case], None)
    assert isinstance(trial, Trial)
    request = trial.request.model_copy(update={"scenario": scenario})
    result = run_trial(replace(trial, request=request), load_settings(), catalog, Console())
    if isinstance(result, Finding):
        pytest.skip(f"{result.found}; {result.remedy}")
    return result


@pytest.mark.stack
@pytest.mark.parametrize(
    "kind",
    [
        *("generation", "image", "text"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("detection", "raw")),
    ],
)
def test_a_new_case_runs_and_its_macs_are_right(
    kind: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_briefly(monkeypatch)
    # LoadGen on pictures and language models is tried by cases of ours.
    loaded = None if kind in ("generation", "image") else "offline"
    new_case("resnet_18", tree, kind=kind)
    ours = load_catalog(ROOT)
    case = load_catalog(tree).cases["resnet_18"]
    result = tried(replace(ours, cases={"resnet_18": case}), "resnet_18", loaded)
    assert [one.status for one in judge("trial", result)] == ["ok"]
    assert (result.metrics.scenario is None) == (loaded is None)
    assert judge_macs(case, result).status == "ok"
