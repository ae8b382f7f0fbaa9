"""The rerun's bench: seconds outside of stages, and what misses its bound is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.bench_rerun import missed, outside_stages
from tests.documents import document, write

if TYPE_CHECKING:
    from pathlib import Path


def test_seconds_outside_of_stages_are_what_no_stage_took(tmp_path: Path) -> None:
    path = write(tmp_path, document())
    stages = json.loads(path.read_text("utf-8"))["stages"]
    assert outside_stages(500.0, path) == 500.0 - sum(stage["wall_s"] for stage in stages)


def test_what_misses_its_bound_is_named() -> None:
    assert missed({"rerun_added_s": 1.2, "verify_s": 0.4, "run_outside_s": 9.0}) == [
        "rerun_added_s"
    ]
