"""A rerun's row says what its rerun.json says, and never what another one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.aggregate.groups import marks
from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.bundle.documents import document_links
from driver.models.result import Result
from driver.report.details.of_result import details
from driver.rerun.document import make_rerun, rerun_text
from driver.results.statement import statement_text
from driver.system.hashing import canonical_digest, file_sha256
from tests.documents import document, provenance, write

if TYPE_CHECKING:
    from driver.models.case import CaseManifest

TOLERANCES = {"throughput_fraction": 0.05, "predictions": "identical", "accuracy_relative": 0.01}


def rerun(folder: Path, **changes: Any) -> Record:
    """Write a result that is a rerun, with its verdict; return its row."""
    body = document()
    said = provenance(body["job"]) | {"tolerances": TOLERANCES}
    original = document(provenance=said)
    new = document(provenance=said | {"rerun_of": original["digest"]}, **changes)
    path = write(folder, new)
    case: CaseManifest = None  # type: ignore[assignment]  # the original has its tolerances
    found = make_rerun(Result.model_validate(original), Result.model_validate(new), case)
    path.with_name("rerun.json").write_text(rerun_text(found), encoding="utf-8")
    record = read_record(str(path))
    assert isinstance(record, Record)
    return record


def mark(record: Record) -> list[str]:
    return [one for one in marks(record) if one.startswith("rerun of")]


def test_the_verdict_stands_beside_the_row_and_in_its_details(tmp_path: Path) -> None:
    record = rerun(tmp_path)
    (found,) = mark(record)
    assert found == f"rerun of {str(record.rerun_of)[:8]}: inconclusive"
    shown = dict(details(record.path, with_series=False)["rerun"])
    assert shown["verdict"].startswith("rerun: inconclusive; original ")
    assert shown["accuracy"] == "reproduced (0.00% apart)"


def test_a_verdict_that_is_missing_edited_or_of_another_result_is_none(tmp_path: Path) -> None:
    record = rerun(tmp_path / "a")
    other = rerun(tmp_path / "b", finished_utc="2024-03-01T09:16:50Z")
    path, foreign = (Path(one.path).with_name("rerun.json") for one in (record, other))
    text = path.read_text("utf-8")
    path.write_text(text.replace("inconclusive", "reproduced"))
    assert mark(record)[0].endswith("without a verdict")
    path.write_text(foreign.read_text("utf-8"))
    assert other.digest != record.digest
    assert mark(record)[0].endswith("is of another result")
    path.unlink()
    assert mark(record)[0].endswith("without a verdict")


def test_verify_holds_a_result_to_its_statement_and_its_verdict(tmp_path: Path) -> None:
    path = Path(rerun(tmp_path).path)
    result = Result.model_validate_json(path.read_text("utf-8"))
    statement, verdict = (path.with_name(name) for name in ("statement.json", "rerun.json"))
    statement.write_text(statement_text(result, file_sha256(path)), encoding="utf-8")

    def states() -> dict[str, str]:
        return {one.what: one.state for one in document_links(path.parent, result)}

    assert states() == {"statement.json": "verified", "rerun.json": "verified"}
    for file in (statement, verdict):
        text = file.read_text("utf-8")
        file.write_text(text.replace("standard", "official"))
        assert states()[file.name] == "differs"
        file.write_text(text)
    other = result.model_copy(update={"digest": "0" * 64})
    assert [one.state for one in document_links(path.parent, other)] == ["verified", "differs"]


def test_a_result_that_is_no_rerun_has_no_mark(tmp_path: Path) -> None:
    record = read_record(str(write(tmp_path, document())))
    assert isinstance(record, Record)
    assert mark(record) == []


def test_rerun_json_carries_its_own_digest(tmp_path: Path) -> None:
    path = Path(rerun(tmp_path).path).with_name("rerun.json")
    found = json.loads(path.read_text("utf-8"))
    assert found["digest"] == canonical_digest(found)
