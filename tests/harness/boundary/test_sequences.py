"""Messages of engines that schedule sequences: prompts that begin, and the tokens that come back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.harness.modules import channel, layout


def test_prompts_arrive_as_they_were_sent() -> None:
    prompts = np.arange(12, dtype=np.int64).reshape(3, 4)
    # A view, as the harness cuts prompts from windows.
    numbers, found, tokens = layout.read_add(layout.add_body(range(5, 8), prompts[:, :3], 9))
    assert (numbers, tokens) == ([5, 6, 7], 9)
    np.testing.assert_array_equal(found, prompts[:, :3])


def test_tokens_arrive_as_they_were_sent() -> None:
    pairs = [(0, 17), (3, 250_000), (0, 4)]
    assert layout.read_tokens(layout.tokens_body(pairs)) == pairs


@pytest.mark.parametrize("size", [0, 1, 8, 24])
def test_what_is_no_pairs_of_numbers_is_refused(size: int) -> None:
    with pytest.raises(channel.ProtocolError):
        layout.read_tokens(b"\0" * size)
