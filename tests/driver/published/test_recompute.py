"""What the documents print can be computed again from what they print."""

from __future__ import annotations

from decimal import Decimal

import pytest

from driver.published.cells import (
    cuts_to,
    half_digit,
    number,
    pair,
    rounded,
    rounds_to,
    scientific,
)
from driver.published.load import load_case
from driver.published.recompute import column_mfu, loop_seconds, own_mfu, published_mfu
from tests.driver.published.document_text import CASES, DOCUMENTS


def _mfus(case: str) -> list[str]:
    found = load_case(CASES / case)
    rows = found.published.flagperf[0].rows
    return [rounded(mfu.percent, 2) if (mfu := published_mfu(found, row)) else "/" for row in rows]


def test_mfu_in_the_documents_convention() -> None:
    assert _mfus("vit_l_16") == ["26.24", "23.32", "27.90"]
    assert _mfus("sam_h") == ["11.72", "13.91"]
    assert _mfus("stable_diffusion_v1_4") == ["13.17", "7.00", "/", "13.19", "11.87", "/", "/"]


@pytest.mark.parametrize("case", list(DOCUMENTS))
def test_every_recomputed_mfu_lies_within_a_third_of_a_point(case: str) -> None:
    found = load_case(CASES / case)
    for table in found.published.flagperf:
        for row in table.rows:
            again, shown = published_mfu(found, row), number(row.mfu)
            if again is not None and shown is not None:
                assert abs(again.percent - shown) <= Decimal("0.3"), row


def test_our_mfu_divides_by_the_peak_of_what_ran() -> None:
    found = load_case(CASES / "vit_l_16")
    fp16, tf32, w32a16 = (own_mfu(found, row) for row in found.published.flagperf[0].rows)
    assert fp16 is not None
    assert tf32 is not None
    assert w32a16 is not None
    assert [mfu.peak / 10**12 for mfu in (fp16, tf32, w32a16)] == [312, 156, 128]
    assert float(fp16.percent) == pytest.approx(52.4, abs=0.1)
    assert float(tf32.percent) == pytest.approx(46.6, abs=0.1)
    assert float(w32a16.percent) == pytest.approx(13.9, abs=0.1)


def test_our_mfu_does_not_exist_where_no_peak_is_public() -> None:
    found = load_case(CASES / "stable_diffusion_v1_4")
    metax = [row for row in found.published.flagperf[0].rows if row.chip == "C500"]
    assert len(metax) == 2
    assert [own_mfu(found, row) for row in metax] == [None, None]


def test_a_card_of_four_chips_has_four_peaks() -> None:
    found = load_case(CASES / "regnety_016")
    a310 = found.published.throughput[0].chips[0]
    best = Decimal("2917.84")
    card = column_mfu(found, a310, best)
    one = column_mfu(found, a310.model_copy(update={"chips": 1}), best)
    assert card is not None
    assert one is not None
    assert float(one) == pytest.approx(4 * float(card))


def test_loops_of_the_sam_rows_sum_to_other_times_than_printed() -> None:
    found = load_case(CASES / "sam_h")
    times = [loop_seconds(found, row) for row in found.published.flagperf[0].rows]
    assert [f"{time:.1f}" for time in times if time is not None] == ["1170.5", "1644.4"]


def test_macs_and_gate_come_from_the_case_s_manifest() -> None:
    """published.toml keeps its own only for a case that has no manifest."""
    for case in DOCUMENTS:
        found = load_case(CASES / case)
        fallback = found.published.model
        assert found.macs == pytest.approx(fallback.macs, rel=0.01)
        assert found.gate is not None


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("2118.307", "2118.307"),
        ("26.2%", "26.2"),
        ("top1:80.724", "80.724"),
        ("/", None),
        ("-", None),
        ("", None),
        ("n.a.", None),
    ],
)
def test_number_of_a_cell(printed: str, value: str | None) -> None:
    assert number(printed) == (None if value is None else Decimal(value))


def test_halves_of_a_cell() -> None:
    assert pair("0.07/32.0") == (Decimal("0.07"), Decimal("32.0"))
    assert pair("-/25.2") == (None, Decimal("25.2"))
    assert pair("/") == (None, None)


def test_printed_digits_say_how_far_a_figure_may_be_off() -> None:
    assert half_digit("11.8") == Decimal("0.05")
    assert half_digit("7") == Decimal("0.5")
    assert rounds_to(Decimal("11.84"), "11.8")
    assert not rounds_to(Decimal("11.87"), "11.8")
    assert cuts_to(Decimal("0.6674"), "0.66")
    assert not cuts_to(Decimal("0.6574"), "0.66")
    assert scientific(6.16e10) == "6.16e10"
    assert scientific(Decimal(2_982_400_000_000)) == "2.9824e12"
