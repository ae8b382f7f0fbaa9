"""Cards of one kind: distinguished by host and serial, their spread, and the one that stands out."""

from __future__ import annotations

import random
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.load import load_results
from driver.aggregate.selection import per_job
from driver.report.build import ReportOptions, report
from driver.report.cards.spread import Card, card_spreads, outliers
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path

    from driver.aggregate.record import Record


def cards(*rates: float) -> dict[Card, float]:
    return {Card(f"n{place}", f"GPU-{place}", "550"): rate for place, rate in enumerate(rates)}


def lab(tmp_path: Path, *measured: tuple[str, str | None, float], **changes: Any) -> Path:
    """Write one result for each (host, serial, p_infer_core), all of the same job."""
    for place, (host, card, rate) in enumerate(measured):
        provenance = documents.provenance(documents.job()) | {"host": {"name": host}, "card": card}
        body = documents.document(
            metrics=documents.metrics(rate),
            provenance=provenance,
            started_utc=f"2024-03-01T07:04:{place:02d}.000Z",
            **changes,
        )
        documents.write(tmp_path / "results" / f"{place}", body)
    return tmp_path / "results"


def read(folder: Path) -> list[Record]:
    found = per_job(load_results([folder]).table)
    return found.records(found.newest(100))


def test_the_same_job_on_two_cards_of_two_hosts_is_four_rows(tmp_path: Path) -> None:
    places = [(host, card, 100.0) for host in ("n0", "n1") for card in ("GPU-a", "GPU-b")]
    records = read(lab(tmp_path, *places, ("n0", "GPU-a", 101.0)))
    assert sorted((one.host, one.card) for one in records) == sorted(
        (host, card) for host, card, _ in places
    )
    assert {one.p_infer_core for one in records if (one.host, one.card) == ("n0", "GPU-a")} == {101}


def test_the_spread_is_over_the_newest_result_of_each_card(tmp_path: Path) -> None:
    measured = [("n0", "GPU-a", 50.0), ("n0", "GPU-a", 100.0), ("n1", "GPU-b", 110.0)]
    (found,) = card_spreads(read(lab(tmp_path, *measured)))
    assert sorted(found.rates.values()) == [100.0, 110.0]
    assert found.median == 105.0
    assert found.spread == pytest.approx(10 / 105)
    assert found.outliers == (), "of two, nothing says which one is odd"


def test_one_card_alone_has_no_spread(tmp_path: Path) -> None:
    assert card_spreads(read(lab(tmp_path, ("n0", "GPU-a", 100.0)))) == []


@pytest.mark.parametrize(
    ("rates", "odd"),
    [
        ((100, 101, 99, 100.5, 82), [4]),
        ((100, 100.1, 99.9, 100), []),
        ((100, 100, 100, 102), []),
        ((100, 100, 100, 104), [3]),
        ((100, 80), []),
        ((100, 120, 81, 110, 90), []),
        ((100, 101, 99, 60, 100, 140), [3, 5]),
    ],
)
def test_a_card_far_from_the_others_stands_out(rates: tuple[float, ...], odd: list[int]) -> None:
    assert sorted(card.host for card in outliers(cards(*rates))) == [f"n{place}" for place in odd]


def test_of_labs_whose_cards_are_alike_few_have_an_outlier() -> None:
    drawn, normal = random.Random(1), NormalDist(1000, 15)
    labs = [cards(*(normal.inv_cdf(drawn.random() or 0.5) for _ in range(32))) for _ in range(500)]
    false = sum(len(outliers(one)) for one in labs) / (500 * 32)
    assert false < 0.005


def test_the_report_names_the_card_in_its_head_and_shows_the_spread(tmp_path: Path) -> None:
    rates = [100.0, 101.0, 99.0, 100.5, 82.0]
    folder = lab(
        tmp_path, *((f"n{place}", f"GPU-{place}", rate) for place, rate in enumerate(rates))
    )
    made = report([folder], ReportOptions(out=tmp_path / "out", home=tmp_path / "home"))
    assert any("GPU-4 on n4 stands out" in notice for notice in made.notices)
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "## Cards of one kind" in markdown
    assert "GPU-4 on n4" in markdown
    page = (tmp_path / "out" / "report.html").read_text()
    assert '"cards":{"headers"' in page
