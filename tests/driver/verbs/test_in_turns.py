"""`compare RUN=1` on a miniature tree: turns, their results, and what is refused before anything runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from driver.console import Console
from driver.errors import AssayError, DataFault, UsageFault
from driver.system.hashing import canonical_digest
from driver.verbs import compare as verb
from driver.verbs import in_turns
from driver.verbs.compare import CompareOptions, compare_results
from tests.driver.session.test_run import Lab, lab_of

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.jobs


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab whose settings and site the verb takes."""
    return lab_of(tmp_path, monkeypatch, in_turns)


def results(lab: Lab) -> list[dict[str, Any]]:
    """Return the documents of all results of turns, in the order in which they were measured."""
    found = [
        json.loads(path.read_text("utf-8")) for path in lab.settings.results.rglob("result.json")
    ]
    turns = [one for one in found if "in_turns" in one["provenance"]]
    return sorted(turns, key=lambda one: str(one["started_utc"]))


def run(lab: Lab, a: Path, b: Path, *, as_json: bool = False, smallest: str | None = None) -> int:
    own = {"data": lab.request.data, "weights": lab.request.weights}
    options = CompareOptions(run=True, repeat="3", smallest=smallest, own=own)
    return compare_results(str(a), str(b), options, Console(as_json=as_json))


def test_turns_alternate_and_each_has_a_result_of_one_process(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (
        lab.run(tier="standard", batch_size=1).folder,
        lab.run(tier="standard", batch_size=2).folder,
    )
    assert run(lab, a, b) == 0
    turns = results(lab)
    assert [one["provenance"]["in_turns"]["side"] for one in turns] == list("ABBAAB")
    assert [one["provenance"]["in_turns"]["round"] for one in turns] == [1, 1, 2, 2, 3, 3]
    assert [one["job"]["batch_size"] for one in turns] == [1, 2, 2, 1, 1, 2]
    assert {len(one["metrics"]["spread"]["p_infer_core"]["values"]) for one in turns} == {1}
    assert {one["job"]["tier"] for one in turns} == {"standard"}
    assert "rerun_of" not in turns[0]["provenance"]
    original = json.loads((a / "result.json").read_text("utf-8"))
    assert turns[0]["provenance"]["in_turns"]["result"] == original["digest"]
    said = capsys.readouterr().out
    assert "B ÷ A = " in said
    assert "3 processes of each can show" in said


def test_the_json_has_what_decides(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    a = lab.run(tier="standard").folder
    run(lab, a, a, as_json=True, smallest="0.1")
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert found["smallest"] == 0.1
    assert found["shows"] is not None
    assert set(found) >= {"more", "interval", "verdict"}


def test_a_smoke_result_is_measured_as_standard(lab: Lab) -> None:
    a = lab.run().folder
    assert run(lab, a, a) == 0
    assert {one["job"]["tier"] for one in results(lab)} == {"standard"}


def refused(lab: Lab, a: Path, b: Path, kind: type[AssayError], words: str) -> None:
    lab.listener.started.clear()
    with pytest.raises(kind, match=words):
        run(lab, a, b)
    assert lab.listener.started == [], "nothing was measured"


def test_a_side_with_other_weights_is_refused_before_anything_runs(lab: Lab) -> None:
    a, b = lab.run().folder, lab.run(batch_size=1).folder
    (lab.data.parent / "weights/model.safetensors").write_bytes(b"x")
    refused(lab, a, b, DataFault, "A cannot be measured here: this would be a different job")


def test_a_side_of_another_vendor_is_refused_and_named(lab: Lab) -> None:
    a = lab.run().folder
    b = lab.run(batch_size=1).folder
    document = json.loads((b / "result.json").read_text("utf-8"))
    document["job"]["vendor"] = "zenith"
    document["digest"] = canonical_digest(document)
    (b / "result.json").write_text(json.dumps(document))
    refused(lab, a, b, UsageFault, "B cannot be measured here: .*zenith")


def test_a_result_with_limit_is_refused(lab: Lab) -> None:
    a = lab.run(limit=2).folder
    refused(lab, a, a, UsageFault, "A cannot be measured here: it was measured with LIMIT=2")


def test_a_folder_of_results_is_refused(lab: Lab) -> None:
    a = lab.run().folder
    refused(lab, a, lab.settings.results, DataFault, "no result can be read")


def test_a_turn_that_fails_ends_the_comparison_with_its_exit_code(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    a = lab.run().folder
    lab.behave(infer="no-report")
    assert run(lab, a, a) not in (0, 1)
    assert len(results(lab)) == 1
    assert "has no figure in round 1" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("options", "b", "words"),
    [
        ({"run": True, "repeat": "2"}, "x", "2 rounds cannot show"),
        ({"run": True, "repeat": "many"}, "x", "REPEAT=many"),
        ({"run": True}, "published", "published figures cannot be measured"),
        ({"repeat": "4"}, "x", "REPEAT is for measuring"),
        ({"own": {"data": "d"}}, "x", "DATA is for measuring"),
        ({"smallest": "2%"}, "x", "SMALLEST=2%"),
        ({"smallest": "1.5"}, "x", "SMALLEST=1.5"),
        ({"smallest": "nan"}, "x", "SMALLEST=nan"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    options: dict[str, Any], b: str, words: str
) -> None:
    with pytest.raises(UsageFault, match=words):
        verb.compare_results("x", b, CompareOptions(**options), Console())
