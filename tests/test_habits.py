"""The pages and settings around the code say what is true: changelog, templates, hooks, workflow, profile."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib

import pytest
from hypothesis import settings

from driver import __version__
from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S
from tests.words import hits

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", CHANGELOG, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_changelog_begins_with_what_is_unreleased_and_has_this_version() -> None:
    names = [name for name, _ in HEADINGS]
    assert names[0] == "Unreleased"
    assert __version__ in names
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) for _, date in HEADINGS[1:])


def test_the_changelog_knows_the_kinds_of_its_format_only() -> None:
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS


def test_the_version_is_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "driver/__init__.py"


def test_the_hooks_of_git_run_all_that_lint_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    called = re.findall(r"entry: tests/lint (.+)", hooks)
    checks = re.findall(r"^check (\S+)", (ROOT / "tests/lint").read_text("utf-8"), re.MULTILINE)
    assert sorted(" ".join(called).split()) == sorted(checks)


def test_a_check_of_lint_that_is_not_there_names_those_that_are() -> None:
    done = subprocess.run(
        [ROOT / "tests" / "lint", "rufff"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert "no check is called rufff" in done.stderr
    assert "mypy" in done.stderr


def test_the_workflow_runs_what_anybody_can_run_and_one_foreign_action() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert "bash .ci/run" in text
    assert {name.split("@")[0] for name in re.findall(r"uses: (\S+)", text)} == {"actions/checkout"}
    assert text.count("timeout-minutes:") == text.count("runs-on:")


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_commands_that_a_form_asks_for_are_there(form: object) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FORMS if path == form)
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    assert set(re.findall(r"make ([a-z-]+)", text)) <= set(phony[1].split())


def test_a_bug_comes_with_what_doctor_says() -> None:
    assert {path.stem for path in FORMS} >= {"bug", "wrong_figure", "new_vendor", "new_case"}
    assert "make doctor" in (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8")


def test_properties_have_no_deadline_and_in_ci_no_chance() -> None:
    assert settings().deadline is None
    assert settings().derandomize is bool(os.environ.get("CI"))


def test_no_property_sets_a_deadline_of_its_own() -> None:
    own = re.compile(r"@settings\([^)]*deadline")
    assert [
        path.name for path in ROOT.glob("tests/**/*.py") if own.search(path.read_text("utf-8"))
    ] == []


def test_no_word_of_the_list_stands_in_the_tree() -> None:
    """`python -m tests.words` says for each what a native engineer would write."""
    assert [f"{hit.path}:{hit.line}: {hit.text}" for hit in hits(["."])] == []


def test_no_message_leaves_the_plural_to_the_reader() -> None:
    lazy = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for folder in ("driver", "cases", "vendor_hooks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\w\((?:s|es|ies)\)", node.value)
    ]
    assert lazy == [], "use driver.system.plain_text.counted"
