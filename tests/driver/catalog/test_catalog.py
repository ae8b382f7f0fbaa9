"""The catalog: an invalid manifest is named with all its problems, and breaks only what names it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.catalog.manifests import read_manifest
from driver.check.marks import check_marks
from driver.check.trial import Trial, run_trial
from driver.console import Console
from driver.doctor.finding import Finding
from driver.errors import UsageFault
from driver.models.case import CaseManifest
from driver.plan.request import Request
from driver.system.settings import ROOT, load_settings
from driver.verbs import check as check_verb
from driver.verbs.listing import list_catalog
from driver.verbs.report import published
from tests.driver.miniature import CASE, make_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


def add_case(folder: Path, name: str, *, text: str = CASE) -> Path:
    folder.mkdir(parents=True)
    (folder / "case.toml").write_text(
        text.replace('"tiny"', f'"{name}"').replace('"t"', f'"{name}_t"')
    )
    return folder


def test_every_problem_of_a_manifest_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    text = CASE.replace("parameters = 10", 'parameters = "many"').replace("count = 4", "count = -1")
    path.write_text(text.replace('title = "Tiny"\n', ""))
    with pytest.raises(UsageFault) as caught:
        read_manifest(path, CaseManifest)
    for key in ("title:", "model.parameters:", "data.count:"):
        assert key in caught.value.message


@pytest.mark.parametrize(
    "text", ["title = ", CASE.replace("parameters = 10", "parameters = -1"), "\xff"]
)
def test_one_invalid_case_breaks_only_the_requests_that_name_it(tree: Path, text: str) -> None:
    add_case(tree / "cases" / "broken", "broken", text=text)
    catalog = load_catalog(tree)
    assert catalog.case("tiny").name == "tiny"
    assert [(one.what, one.folder.name) for one in catalog.invalid] == [("case", "broken")]
    with pytest.raises(UsageFault, match=r"broken/case\.toml"):
        catalog.case("broken")


def test_an_invalid_case_fails_under_its_alias_too_and_takes_no_other_cases(tree: Path) -> None:
    text = CASE.replace("parameters = 10", "parameters = -1").replace('["t"]', '["b", "tiny"]')
    add_case(tree / "cases" / "broken", "broken", text=text)
    catalog = load_catalog(tree)
    assert catalog.case("tiny").name == "tiny"
    with pytest.raises(UsageFault, match=r"broken/case\.toml"):
        catalog.case("b")


def test_one_invalid_vendor_breaks_only_the_requests_that_name_it(tree: Path) -> None:
    shutil.copytree(tree / "vendor_hooks/acme", tree / "vendor_hooks/broken")
    shutil.copytree(tree / "images/acme", tree / "images/broken")
    manifest = tree / "vendor_hooks/broken/vendor.toml"
    manifest.write_text(manifest.read_text().replace('title = "Acme"', "titel = 1"))
    stack = next((tree / "images/broken").glob("*/stack.toml"))
    stack.write_text("nonsense = 1\n")
    catalog = load_catalog(tree)
    assert catalog.vendor("acme").name == "acme"
    with pytest.raises(UsageFault, match=r"broken/vendor\.toml") as caught:
        catalog.vendor("broken")
    assert str(stack) in caught.value.message, "every problem of the folder is shown at once"


def test_one_invalid_stack_breaks_only_the_requests_that_name_it(tree: Path) -> None:
    good = tree / "images/acme/v1"
    shutil.copytree(good, good.with_name("v9"))
    (good.with_name("v9") / "stack.toml").write_text("nonsense = 1\n")
    vendor = load_catalog(tree).vendor("acme")
    engine_name, engine = vendor.engine(None)
    assert vendor.stack(None, engine_name, engine).folder == good
    with pytest.raises(UsageFault, match=r"v9/stack\.toml"):
        vendor.stack("v9", engine_name, engine)


def test_what_is_invalid_is_a_warning_of_list(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_case(tree / "cases" / "broken", "broken", text="title = ")
    monkeypatch.setattr("driver.verbs.listing.load_settings", lambda: load_settings({}, tree))
    assert list_catalog(Console(as_json=True)) == 0
    shown = capsys.readouterr()
    assert list(json.loads(shown.out)["cases"]) == ["tiny"]
    assert "! case broken is left out" in shown.err
    assert "→" in shown.err


def break_reference(tree: Path) -> None:
    (path,) = tree.glob("images/reference/*/stack.toml")
    path.write_text(path.read_text().replace("python =", "pyton ="))


def test_an_invalid_reference_stack_stops_only_what_needs_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_reference(tree)
    catalog = load_catalog(tree)
    assert [one.what for one in catalog.invalid] == ["stack of reference"]
    assert catalog.vendor("acme").stacks
    with pytest.raises(UsageFault, match=r"images/reference/(.|\n)*pyton"):
        _ = catalog.reference

    settings = load_settings({}, tree)
    monkeypatch.setattr("driver.verbs.listing.load_settings", lambda: settings)
    assert list_catalog(Console()) == 0
    shown = capsys.readouterr()
    assert "| tiny" in shown.out
    assert "stack of reference" in shown.err

    monkeypatch.setattr(check_verb, "load_settings", lambda: settings)
    assert check_verb.check(None, "tiny", "none", Console(as_json=True)) in (0, 1)
    assert json.loads(capsys.readouterr().out)["case"] == "tiny"
    assert check_verb.check(None, None, None, Console(as_json=True)) == 1
    found = json.loads(capsys.readouterr().out)["checks"]
    assert any(one["what"].startswith("stack of reference") for one in found)


def test_a_trial_without_a_reference_stack_is_no_fault_of_the_case(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_reference(tree)
    catalog = load_catalog(tree)
    trial = Trial(what="trial on cpu", request=Request(case="tiny", vendor="acme"), of_case=True)
    found = run_trial(trial, load_settings({}, tree), catalog, Console())
    assert isinstance(found, Finding)
    assert (found.status, "pyton" in found.found) == ("not_checked", True)


@pytest.mark.parametrize("folders", [0, 2])
def test_the_reference_is_exactly_one_stack(tree: Path, folders: int) -> None:
    (folder,) = (tree / "images/reference").iterdir()
    if folders == 2:
        shutil.copytree(folder, folder.with_name("copy"))
    else:
        shutil.rmtree(folder)
    with pytest.raises(UsageFault, match=r"exactly one stack, but it contains (none|2)"):
        _ = load_catalog(tree).reference


def test_a_copied_stack_hides_no_other(tree: Path) -> None:
    folder = min((tree / "images/acme").iterdir())
    before = [stack.folder for stack in load_catalog(tree).vendor("acme").stacks.values()]
    shutil.copytree(folder, folder.with_name("zcopy"))
    vendor = load_catalog(tree).vendor("acme")
    assert [stack.folder for stack in vendor.stacks.values()] == before
    (copy,) = vendor.invalid
    assert f"is also that of {folder}" in copy.fault.message
    with pytest.raises(UsageFault, match="is also that of"):
        vendor.stack_named("zcopy")


def test_a_check_of_everything_fails_for_what_is_invalid(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_case(tree / "cases" / "broken", "broken", text="title = ")
    monkeypatch.setattr(check_verb, "load_settings", lambda: load_settings({}, tree))
    assert check_verb.check(None, None, None, Console(as_json=True)) == 1
    found = json.loads(capsys.readouterr().out)["checks"]
    assert {"what": "case broken", "status": "failed"}.items() <= found[0].items()


def test_an_invalid_published_toml_is_left_out_of_a_report(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "cases/tiny/published.toml").write_text("nonsense = 1\n")
    assert published(load_catalog(tree), Console()) == []
    assert "! published figures of tiny are left out" in capsys.readouterr().err


def test_the_tree_has_no_invalid_manifest() -> None:
    assert [str(one.fault) for one in load_catalog(ROOT).invalid] == []


def test_a_case_outside_the_tree_is_found_by_case_path(tree: Path, tmp_path: Path) -> None:
    mine = add_case(tmp_path / "mine" / "own", "own")
    settings = load_settings({"CASE_PATH": str(mine)}, tree)
    catalog = load_catalog(settings.root, settings.vendor_path, settings.case_path)
    assert catalog.case("own").folder == mine
    assert catalog.case("own_t").name == "own"
    assert catalog.case("tiny").folder == tree / "cases/tiny"
    assert not [one for one in check_marks(mine) if one.status == "failed"]


def test_a_folder_without_case_toml_in_case_path_is_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"CASE_PATH: .* has no case\.toml"):
        load_catalog(tree, case_path=[tmp_path])
