"""A bundle takes the bills of materials of its jobs' stacks, by the digest that results name them with."""

from __future__ import annotations

from pathlib import Path

from driver.bundle.parts import JobParts, bill_contents
from driver.catalog.catalog import load_catalog
from driver.stacks.bill import bill_path
from tests.documents import sha

CASE = load_catalog(Path(__file__).resolve().parents[3]).case("vit_digits")


def test_bills_are_documents_named_by_their_digest(tmp_path: Path) -> None:
    bill = bill_path(tmp_path, sha("bill"))
    bill.parent.mkdir()
    bill.write_text("{}")
    (content,) = bill_contents(JobParts(case=CASE, bills=(bill,)))
    assert (content.path, content.role) == (f"documents/{sha('bill')}.cdx.json", "document")
    assert bill_contents(JobParts(case=CASE)) == []
