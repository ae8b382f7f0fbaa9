"""A result says what its audit.json says: in its row, its details and comparisons, and never what another one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driver.aggregate.groups import comparable_rows, marks, struck
from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.audit.document import audit_text
from driver.audit.reading import audits_read_once, without_audit
from driver.bundle.documents import document_links
from driver.bundle.parts import result_contents
from driver.compare.facts import side_of
from driver.models.audit import Audit, AuditCheck, EarlierAudit, Verdict
from driver.models.result import Result
from driver.published.chinese import said
from driver.report.details.of_result import details
from driver.system.hashing import canonical_digest
from tests import documents

RUN = documents.sha("run")


def record_at(folder: Path, **job: Any) -> Record:
    figures = documents.metrics(1000.0)
    values = [1000.0, 990.0, 1010.0, 1000.0, 1000.0]
    figures["spread"] = {"p_infer_core": {"values": values, "median": 1000.0, "cv": 0.01}}
    document = documents.document(job=documents.job(**job), metrics=figures, warnings=[])
    record = read_record(str(documents.write(folder, document)))
    assert isinstance(record, Record)
    return record


def audit(record: Record, verdict: Verdict, **changes: Any) -> Path:
    """Write an audit of a row beside its result; return audit.json."""
    assert record.digest is not None
    result = Result.model_validate_json(Path(record.path).read_text("utf-8"))
    found = Audit(
        verdict=verdict,
        result=changes.pop("result", record.digest),
        run=RUN,
        job=result.job,
        finished_utc=record.finished_utc,
        checks=(AuditCheck(name="repeated inputs", verdict=verdict, reason="400 times the rate"),),
        **changes,
    )
    path = Path(record.path).with_name("audit.json")
    path.write_text(audit_text(found), encoding="utf-8")
    return path


def of_audit(record: Record) -> list[str]:
    return [one for one in marks(record) if "audit" in one]


def test_an_official_result_without_an_audit_is_marked(tmp_path: Path) -> None:
    assert of_audit(record_at(tmp_path / "a", tier="official")) == ["not audited"]
    assert of_audit(record_at(tmp_path / "b", tier="standard")) == []


@pytest.mark.parametrize("verdict", [Verdict.HOLDS, Verdict.CANNOT_TELL])
def test_the_verdict_is_beside_the_row_and_in_its_details(tmp_path: Path, verdict: Verdict) -> None:
    record = record_at(tmp_path, tier="official")
    audit(record, verdict)
    assert of_audit(record) == [f"audit: {verdict}"]
    assert struck(record) is None
    shown = dict(details(record.path, with_series=False)["audit"])
    assert shown["verdict"] == f"{verdict}; measured by {RUN[:12]}"
    assert shown["repeated inputs"] == f"{verdict} (400 times the rate)"


def test_a_result_that_does_not_hold_is_struck_out_and_never_compared(tmp_path: Path) -> None:
    record = record_at(tmp_path)
    assert side_of([record]).refusals == ()
    audit(record, Verdict.DOES_NOT_HOLD)
    why = "repeated inputs: 400 times the rate"
    assert struck(record) == f"its audit does not hold: {why}"
    assert comparable_rows([record]) == []
    assert side_of([record]).refusals == (f"its audit does not hold ({why})",)


def test_an_audit_that_holds_does_not_hide_one_that_did_not(tmp_path: Path) -> None:
    record = record_at(tmp_path)
    before = EarlierAudit(verdict=Verdict.DOES_NOT_HOLD, run=RUN, digest=documents.sha("before"))
    audit(record, Verdict.HOLDS, earlier=(before,))
    (mark,) = of_audit(record)
    assert mark == "audit: holds, but an earlier one did not"
    assert said(mark, "zh") == "审核：成立，但此前一次不成立"


def test_an_audit_that_was_edited_or_is_of_another_result_says_nothing(tmp_path: Path) -> None:
    record = record_at(tmp_path, tier="official")
    path = audit(record, Verdict.DOES_NOT_HOLD)
    path.write_text(path.read_text("utf-8").replace("does not hold", "holds"))
    assert of_audit(record) == ["not audited"]
    audit(record, Verdict.HOLDS, result=documents.sha("another"))
    assert of_audit(record) == ["not audited"]


def test_verify_holds_a_result_to_its_audit(tmp_path: Path) -> None:
    record = record_at(tmp_path)
    result = Result.model_validate_json(Path(record.path).read_text("utf-8"))
    path = audit(record, Verdict.HOLDS)
    (link,) = document_links(path.parent, result)
    assert (link.what, link.state) == ("audit.json", "verified")
    assert json.loads(path.read_text("utf-8"))["digest"] == canonical_digest(
        json.loads(path.read_text("utf-8"))
    )
    path.write_text(path.read_text("utf-8").replace("holds", "cannot tell"))
    assert [one.state for one in document_links(path.parent, result)] == ["differs"]
    audit(record, Verdict.HOLDS, result=documents.sha("another"))
    assert [one.state for one in document_links(path.parent, result)] == ["differs"]


def test_a_bundle_takes_the_audit_along_to_where_it_marks_the_result(tmp_path: Path) -> None:
    record = record_at(tmp_path, tier="official")
    path = audit(record, Verdict.HOLDS)
    result = Result.model_validate_json(Path(record.path).read_text("utf-8"))
    places = {Path(one.path) for one in result_contents(path.parent, result)}
    (taken,) = [place for place in places if place.name == "audit.json"]
    assert taken.with_name("result.json") in places
    assert of_audit(record) == ["audit: holds"]


def test_a_result_seen_without_an_audit_stays_without_one_within_a_report(tmp_path: Path) -> None:
    record, other = record_at(tmp_path / "1"), record_at(tmp_path / "2")
    with audits_read_once():
        without_audit([record.path])
        audit(record, Verdict.DOES_NOT_HOLD)
        audit(other, Verdict.DOES_NOT_HOLD)
        assert comparable_rows([record, other]) == [record], "one report shows one state"
    assert comparable_rows([record, other]) == [], "the next one shows what was written meanwhile"
    without_audit([record.path])
    assert comparable_rows([record]) == [], "outside of a report it says nothing"
