"""Text for a terminal's width: lines break between words only, and wide tables turn vertical."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driver.system.user.terminal import cells, folded, table_text, time_left

WORDS = st.lists(st.text("abcdé→/=-中", min_size=1, max_size=30), min_size=1, max_size=30)


@given(words=WORDS, columns=st.integers(20, 120))
def test_a_line_breaks_only_between_words_and_keeps_them_all(
    words: list[str], columns: int
) -> None:
    lines = folded(" ".join(words), columns).split("\n")
    assert [word for line in lines for word in line.split()] == " ".join(words).split()
    longest = max(cells(word) for word in words)
    assert max(map(cells, lines)) <= max(columns, longest + 4)


def test_further_lines_start_below_the_text_of_their_entry() -> None:
    assert folded("  → type this and that and more", 20).split("\n") == [
        "  → type this and",
        "    that and more",
    ]


def test_a_command_in_backticks_stays_on_one_line() -> None:
    text = "the remedy is to type `make run CASE=sam` and to wait"
    assert folded(text, 30).split("\n") == [
        "the remedy is to type",
        "`make run CASE=sam` and to",
        "wait",
    ]


def test_a_command_longer_than_the_terminal_breaks_between_its_words() -> None:
    lines = folded("`make run CASE=sam VENDOR=nvidia DEVICE=2`", 20).split("\n")
    assert lines == ["`make run CASE=sam", "VENDOR=nvidia", "DEVICE=2`"]


def test_without_a_terminal_lines_are_kept() -> None:
    assert folded("a b " * 100, None) == "a b " * 100


def test_a_line_of_a_markdown_table_is_never_broken() -> None:
    line = "| a b c d | e f g h |"
    assert folded(line, 10) == line


HEADERS = ("vendor", "engines", "chips")
ROWS = [("cpu", "onnxruntime (fp32, bf16)", "host"), ("nvidia", "tensorrt (fp32, tf32, fp16)", "")]


def test_a_table_that_fits_is_a_table() -> None:
    text = table_text(HEADERS, ROWS, 80)
    assert len(text.splitlines()) == 4
    assert text == table_text(HEADERS, ROWS)


def test_columns_of_chinese_text_are_aligned() -> None:
    lines = table_text(("指标", "bs"), [("数据精度", "1"), ("ab", "2")]).split("\n")
    assert len({cells(line) for line in lines}) == 1
    assert "\0" not in "".join(lines)


def test_a_table_that_is_too_wide_turns_vertical() -> None:
    assert table_text(HEADERS, ROWS, 36).split("\n") == [
        "vendor cpu",
        "  engines  onnxruntime (fp32, bf16)",
        "  chips    host",
        "",
        "vendor nvidia",
        "  engines  tensorrt (fp32, tf32,",
        "           fp16)",
    ]


def test_a_long_label_has_a_line_of_its_own() -> None:
    headers = ("chip", "MFU, ours (2 × MACs, peak of what ran)")
    assert table_text(headers, [("A100", "26.2 %"), ("T4", "30.1 %")], 36).split("\n")[:3] == [
        "chip A100",
        "  MFU, ours (2 × MACs, peak of what",
        "  ran)",
    ]


@given(
    columns=st.integers(40, 200),
    value=st.lists(st.text("ab中", min_size=1, max_size=8), max_size=40),
)
def test_a_vertical_table_fits_the_terminal(columns: int, value: list[str]) -> None:
    rows = [("one", " ".join(value), "x"), ("two", "y", "z")]
    assert max(cells(line) for line in table_text(HEADERS, rows, columns).split("\n")) <= columns


def test_the_time_left_has_the_unit_that_fits() -> None:
    assert [time_left(seconds) for seconds in (4.4, 89.0, 600.0, 9000.0)] == [
        *("4 s left", "89 s left", "10 min left", "2.5 h left"),
    ]
