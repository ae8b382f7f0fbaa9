"""Windows of a text: which tokens, how many bytes count, which texts are refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.modules import errors, token_windows

if TYPE_CHECKING:
    from pathlib import Path


def job(prompt: int = 2, tokens: int = 2, vocabulary: int = 30) -> Any:
    return SimpleNamespace(
        generation=SimpleNamespace(prompt=prompt, tokens=tokens),
        outputs=[SimpleNamespace(shape=(vocabulary,))],
    )


def ids(item: Any) -> list[int]:
    return [int(one) for one in np.frombuffer(item.payload, "<i4")]


def test_windows_follow_each_other_and_a_shorter_rest_is_left_out() -> None:
    items = list(token_windows.windows(list(range(10)), range(1, 11), job()))
    assert [ids(item) for item in items] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_label_is_the_bytes_of_the_scored_tokens() -> None:
    # Tokens of 1, 2, 3 … bytes: the last two of each window count.
    ends = np.cumsum(range(1, 9))
    items = list(token_windows.windows(list(range(8)), ends, job()))
    assert [item.label for item in items] == [3 + 4, 7 + 8]


def test_random_windows_are_ids_of_the_vocabulary_and_the_same_for_a_seed() -> None:
    first, again = (
        [ids(item) for item in token_windows.random_windows(job(), {"count": 5, "seed": 1})]
        for _ in range(2)
    )
    assert first == again
    assert len(first) == 5
    assert {len(window) for window in first} == {4}
    assert 0 <= min(map(min, first)) <= max(map(max, first)) < 30


def test_a_byte_order_mark_or_line_ends_are_text_too(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo".encode())
    assert token_windows.read_text(path) == "\ufeffone\r\ntwo"


@pytest.mark.parametrize("count", [29, 31])
def test_a_tokenizer_of_another_size_is_named(count: int) -> None:
    token_windows.require_vocabulary(30, job(), "tokenizer.json")
    with pytest.raises(errors.StageFailure, match=f"tokenizer.json has {count} ids, but"):
        token_windows.require_vocabulary(count, job(), "tokenizer.json")
