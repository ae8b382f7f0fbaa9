"""`report --table …`: results of one case as text to paste into another project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.driver.session.test_run import Lab
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    from pathlib import Path


def test_an_unknown_format_offers_the_nearest(tmp_path: Path) -> None:
    done = assay("report", "--table", "flagpref", home=tmp_path)
    assert done.returncode == 2
    assert "did you mean flagperf?" in done.stderr


def test_a_report_of_a_folder_without_results_is_a_usage_fault_that_names_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "results").mkdir()
    done = assay("report", str(tmp_path / "results"), home=tmp_path)
    assert done.returncode == 2
    assert f"there is no result below {tmp_path / 'results'}" in done.stderr
    assert "make run" in done.stderr


def test_nothing_measured_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    done = assay("report", "--table", "flagperf", str(tmp_path / "results"), home=tmp_path)
    assert done.returncode == 2
    assert "make run" in done.stderr


def test_results_have_the_published_columns_and_edited_ones_are_left_out(tmp_path: Path) -> None:
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


def test_a_simulated_result_gives_no_evaluation_without_a_request(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.installer.stand_in = True
    lab.run()
    done = assay("report", "--table", "modelzoo", str(lab.settings.results), home=tmp_path / "home")
    assert done.returncode == 2
    assert "no result may enter this table; 1 result found" in done.stderr
