"""What `run` shows of a job: the row's title says what its figures count and what they are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from driver.console import Console
from driver.models.result import Result
from driver.session import Booked
from driver.verbs.showing import show_result
from tests.documents import document

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        ({}, "", "core counts"),
        ({"core_item": "unet step"}, "core counts UNet steps of a prompt", "synthetic"),
        ({"simulated": True, "weights": "synthetic"}, "[simulated, synthetic weights]", "core"),
    ],
)
def test_the_title_says_what_is_counted_and_what_is_not_real(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    shown: str,
    hidden: str,
) -> None:
    result = Result.model_validate_json(json.dumps(document(**changes)))
    show_result(Booked(result=result, folder=tmp_path), Console())
    title = next(line for line in capsys.readouterr().out.splitlines() if " on " in line)
    assert shown in title
    assert hidden not in title
