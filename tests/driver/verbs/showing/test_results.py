"""What `run` shows: the title of the row says what its figures count and how they are marked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from driver.console import Console
from driver.models.result import Result
from driver.session.run import FinishedJob
from driver.verbs.showing.results import show_result
from tests.documents import document, warned
from tests.driver.results.scenarios.test_warnings import scenario

if TYPE_CHECKING:
    from pathlib import Path


def test_the_row_marks_the_figures_that_a_warning_concerns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result.model_validate_json(json.dumps(document(warnings=warned("device_shared"))))
    show_result(FinishedJob(result=result, folder=tmp_path), Console())
    assert "| 1329.2 ! " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        ({}, "", "core counts"),
        ({"core_item": "unet step"}, "core counts unet steps", "synthetic"),
        ({"simulated": True, "weights": "synthetic"}, "[simulated, synthetic weights]", "core"),
    ],
)
def test_the_title_has_the_counted_item_and_the_marks(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    shown: str,
    hidden: str,
) -> None:
    result = Result.model_validate_json(json.dumps(document(**changes)))
    show_result(FinishedJob(result=result, folder=tmp_path), Console())
    title = next(line for line in capsys.readouterr().out.splitlines() if " on " in line)
    assert shown in title
    assert hidden not in title


def test_a_load_scenario_has_a_title_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = document()
    body["metrics"]["scenario"] = scenario().model_dump()
    result = Result.model_validate_json(json.dumps(body))
    show_result(FinishedJob(result=result, folder=tmp_path), Console())
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("load scenario, as LoadGen measured it")
    assert lines[place - 1] == ""
    assert lines[place + 1].startswith("| scenario")
