"""`audit` on a miniature tree: the job again at its strictest, audit.json beside the audited result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from driver.console import Console
from driver.errors import EXIT_INCONCLUSIVE, DataFault, EnvironmentFault, UsageFault
from driver.models.audit import Audit
from driver.system.hashing import canonical_digest
from driver.verbs.air_gap import audit as verb
from driver.verbs.air_gap import rerun as run_verb
from tests.driver.session.test_run import Lab, lab_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.jobs


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return lab_of(tmp_path, monkeypatch, run_verb)


def audited(lab: Lab, folder: Path) -> tuple[int, Audit]:
    """Audit a result; return the exit code and audit.json."""
    given = {"data": lab.request.data, "weights": lab.request.weights}
    code = verb.audit(str(folder), given, Console())
    return code, Audit.model_validate_json((folder / "audit.json").read_text("utf-8"))


def verdicts(found: Audit) -> dict[str, str]:
    return {one.name: one.verdict.value for one in found.checks}


def test_a_hook_that_times_itself_is_never_seen_well_enough_to_hold(lab: Lab) -> None:
    original = lab.run(tier="standard", repeat=2)
    code, found = audited(lab, original.folder)
    assert code == EXIT_INCONCLUSIVE
    assert found.verdict.value == "cannot tell"
    said = verdicts(found)
    assert said["p_infer_core"] == said["gate"] == said["inputs"] == said["caches"] == "holds"
    unseen = ("repeated inputs", "core outputs", "seeds", "clock")
    assert {said[name] for name in unseen} == {"cannot tell"}
    written = found.model_dump(mode="json", by_alias=True)
    assert found.digest == canonical_digest(written)


def test_the_run_of_an_audit_is_a_rerun_with_the_audits_measure(lab: Lab) -> None:
    original = lab.run()
    _, found = audited(lab, original.folder)
    results = [json.loads(one.read_text()) for one in lab.settings.results.rglob("result.json")]
    (run,) = [one for one in results if one["digest"] == found.run]
    assert run["provenance"]["rerun_of"] == found.result
    assert run["provenance"]["measure"]["audit"] is True
    (asked,) = [one for one in results if one["digest"] == found.result]
    assert asked["provenance"]["measure"]["audit"] is False


def test_every_file_is_read_again(lab: Lab) -> None:
    """A digest that was remembered wrongly would hide what a disk did to a file."""
    original = lab.run()
    memory = lab.settings.cache / "sha256"
    (memory / "00").mkdir(parents=True, exist_ok=True)
    (memory / "00" / "old").write_text("remembered")
    audited(lab, original.folder)
    assert not (memory / "00" / "old").exists()


def test_a_damaged_export_is_made_again_and_leaves_the_audit_open(lab: Lab) -> None:
    original = lab.run()
    (export,) = lab.settings.cache.glob("models/*/model/export.json")
    export.write_text(export.read_text() + " ")
    _, found = audited(lab, original.folder)
    assert verdicts(found)["caches"] == "cannot tell"


def test_a_guest_that_breaks_the_contract_now_refutes_the_result(lab: Lab) -> None:
    original = lab.run()
    lab.behave(infer="disagrees")
    code, found = audited(lab, original.folder)
    assert (code, found.verdict.value) == (5, "does not hold")
    assert verdicts(found)["job"] == "does not hold"


def test_a_failed_gate_refutes_the_result(lab: Lab) -> None:
    lab.behave("reference", score="worse")
    code, found = audited(lab, lab.run().folder)
    assert (code, found.verdict.value) == (4, "does not hold")


def test_a_host_that_fails_leaves_the_audit_open(lab: Lab) -> None:
    original = lab.run()
    lab.behave(infer="bad-item")
    code, found = audited(lab, original.folder)
    assert (code, found.verdict.value) == (3, "cannot tell")


def test_earlier_audits_of_a_result_stay_in_the_next(lab: Lab) -> None:
    original = lab.run()
    lab.behave(infer="disagrees")
    _, first = audited(lab, original.folder)
    lab.behave()
    _, second = audited(lab, original.folder)
    assert [(one.verdict, one.digest) for one in second.earlier] == [(first.verdict, first.digest)]


def test_an_edited_result_and_no_result_are_refused(lab: Lab) -> None:
    path = lab.run().folder / "result.json"
    with pytest.raises(UsageFault, match="audit needs a result"):
        verb.audit(None, {}, Console())
    path.write_text(path.read_text("utf-8").replace("4000.0", "9000.0"))
    with pytest.raises(DataFault, match="edited"):
        audited(lab, path.parent)


def test_files_beside_the_result_that_differ_are_refused_before_anything_runs(lab: Lab) -> None:
    folder = lab.run().folder
    (folder / "statement.json").write_text("{}")
    with pytest.raises(DataFault, match=r"statement\.json differs"):
        audited(lab, folder)
    assert len(list(lab.settings.results.rglob("result.json"))) == 1


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.run().folder
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        audited(lab, folder)
    assert len(list(lab.settings.results.rglob("result.json"))) == 1
