"""What a verb imports before its work: a sweep on a cluster starts the driver once a job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.exceptions import TyperException

from driver.cli import app
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]

COMMAND_LINE = {"annotated_doc", "shellingham", "typer"}
MODELS = {
    *("annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"),
}
TABLES = {"rich", "tabulate"}
SLOW = {
    *("asyncio", "concurrent", "http", "logging", "multiprocessing", "ssl", "tarfile", "unittest"),
    "xml",
}
"""Modules of the standard library that take as long as a catalog."""
EVERY_VERB = {"cli", "console", "errors", "models", "options", "plan", "system"}
CATALOG = {"catalog", "monitors", "stacks", "verbs"}
SESSION = {"aggregate", "datasets", "events", "published", "results", "runners", "session"}

RUN = """
import json, sys
from driver.__main__ import main
code = main(sys.argv[1:])
import {after}
own = [name.split(".")[1] for name in sys.modules if name.startswith("driver.")]
others = [name.split(".")[0] for name in sys.modules if not name.startswith(("driver", "__", "_"))]
runners = [name for name in sys.modules if name.startswith("driver.runners.")]
print(json.dumps([code, own, others, runners]), file=sys.stderr)
"""


def imported(*words: str, after: str = "sys") -> tuple[int, set[str], set[str], set[str]]:
    """Return a verb's exit code, the driver's packages, other packages and runners' modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(after=after), *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    code, own, others, runners = json.loads(done.stderr.splitlines()[-1])
    return code, set(own) - {"__main__"}, set(others), set(runners)


def packages(found: set[str]) -> set[str]:
    return found - set(sys.stdlib_module_names)


def test_the_help_imports_no_verb() -> None:
    code, own, others, _ = imported("--help")
    assert code == 0
    assert own == EVERY_VERB
    assert packages(others) == COMMAND_LINE | MODELS
    assert not others & SLOW


def test_the_list_imports_the_catalog_and_no_session() -> None:
    code, own, others, _ = imported("list")
    assert code == 0
    assert own == EVERY_VERB | CATALOG
    assert packages(others) == COMMAND_LINE | MODELS | TABLES
    assert not others & SLOW


def test_a_run_imports_nothing_that_makes_environments_or_images() -> None:
    """Up to the weights, which are not there; an environment that is there takes no more."""
    code, own, others, runners = imported(
        "run", "--runner", "process", "--weights", "/nowhere", after="driver.stacks.environments"
    )
    assert code == 3
    assert own == EVERY_VERB | CATALOG | SESSION
    assert packages(others) == COMMAND_LINE | MODELS
    assert not others & SLOW
    assert {"driver.runners.docker", "driver.runners.remote.runner"}.isdisjoint(runners)


def test_only_the_verb_that_is_called_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built = []
    build = typer.main.get_command_from_info

    def counted(*, command_info: object, **settings: object) -> object:
        built.append(command_info)
        return build(command_info=command_info, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(typer.main, "get_command_from_info", counted)
    assert app(args=["new-vendor", "--help"], standalone_mode=False) == 0
    assert len(built) == 1
    assert "Create a vendor's folder" in capsys.readouterr().out


def test_the_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    app(args=["--help"], standalone_mode=False)
    said = capsys.readouterr().out
    names = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in names if f"\n  {name} " not in said] == []


def test_the_nearest_of_all_verbs_is_suggested() -> None:
    with pytest.raises(TyperException) as raised:
        app(args=["lst"], standalone_mode=False)
    assert "Did you mean 'list'?" in raised.value.format_message()
