"""`report --table …`: results of one case as text that a seed's project takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.driver.test_cli import assay
from tests.driver.test_session import Lab

if TYPE_CHECKING:
    from pathlib import Path


def test_an_unknown_format_offers_the_nearest(tmp_path: Path) -> None:
    done = assay("report", "--table", "flagpref", home=tmp_path)
    assert done.returncode == 2
    assert "did you mean flagperf?" in done.stderr


def test_nothing_measured_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    done = assay("report", "--table", "flagperf", str(tmp_path / "results"), home=tmp_path)
    assert done.returncode == 2
    assert "make run" in done.stderr


def test_results_come_out_in_the_seeds_columns_and_edited_ones_stay_out(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.run()
    edited = lab.run(repeat=2).folder / "result.json"
    document = json.loads(edited.read_text())
    document["metrics"]["p_infer_core"] = 9e9
    edited.write_text(json.dumps(document))
    where = str(lab.settings.results)
    done = assay("report", "--table", "flagperf", "--lang", "zh", where, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| 推理工具 | precision | bs | e2e_time |")
    assert lines[2].startswith("| turbo (smoke) | fp32 | 2 |")
    assert "left out" in done.stderr or "!" in done.stderr
    assert len([line for line in lines if line.startswith("| turbo")]) == 1


def test_the_evaluation_of_a_simulated_result_is_not_given_unasked(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.installer.stand_in = True
    lab.run()
    done = assay("report", "--table", "modelzoo", str(lab.settings.results), home=tmp_path / "home")
    assert done.returncode == 2
    assert "none of the 1 result(s) may stand in this table" in done.stderr
