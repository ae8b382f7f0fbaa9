"""The core loop's pool: no item comes twice, nothing in flight changes, real items stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.modules import core_pool, pooled_input

SHAPE = (3, 5, 5)


def images(items: int, *, dtype: Any = np.float32, rows_per_item: int = 1) -> Any:
    values = np.random.default_rng(0).normal(size=(items * rows_per_item, *SHAPE)) * 50
    return values.astype(dtype)


def pool_of(
    *, batch_size: int = 4, windows: int = 5, rows_per_item: int = 1, dtype: Any = np.float32
) -> Any:
    pool = images(batch_size * windows, dtype=dtype, rows_per_item=rows_per_item)
    real = pool[: 2 * batch_size * rows_per_item].copy()
    one = pooled_input.PooledInput(pool, real, rows_per_item)
    constants = {"step": np.array(7, np.int32)}
    return core_pool.CorePool({"input": one}, constants, list(range(8)), batch_size, windows)


def rows(inputs: dict[str, Any]) -> list[bytes]:
    return [row.tobytes() for row in inputs["input"]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_no_item_comes_twice_and_none_is_a_real_one(dtype: Any) -> None:
    pool = pool_of(dtype=dtype)
    seen = set(rows(pool.first()))
    for _ in range(300):
        found = rows(pool.take())
        pool.release()
        assert not seen & set(found)
        assert len(set(found)) == 4
        seen |= set(found)


@given(
    batch_size=st.integers(1, 5),
    in_flight=st.integers(1, 4),
    more=st.integers(0, 3),
    rows_per_item=st.integers(1, 2),
)
def test_what_is_in_flight_does_not_change(
    batch_size: int, in_flight: int, more: int, rows_per_item: int
) -> None:
    windows = 2 * in_flight + 1 + more
    pool = pool_of(batch_size=batch_size, windows=windows, rows_per_item=rows_per_item)
    flying: list[tuple[Any, Any]] = []
    for _ in range(30):
        inputs = pool.take()
        assert inputs["input"].shape == (batch_size * rows_per_item, *SHAPE)
        assert inputs["input"].flags.c_contiguous
        flying.append((inputs["input"], inputs["input"].copy()))
        if len(flying) > in_flight - 1:
            for view, before in flying:
                np.testing.assert_array_equal(view, before)
            flying.pop(0)
            pool.release()


def test_windows_start_anywhere_so_that_an_address_says_nothing() -> None:
    pool = pool_of()
    starts = []
    for _ in range(400):
        starts.append(pool.take()["input"].__array_interface__["data"][0])
        pool.release()
    assert len(set(starts)) == 17  # 20 items, windows of 4


def test_real_items_and_constants_stay_as_they_are() -> None:
    pool = pool_of()
    before = pool.first()["input"].copy()
    for _ in range(50):
        assert pool.take()["step"] == 7
        pool.release()
    np.testing.assert_array_equal(pool.first()["input"], before)


def test_changed_values_stay_among_those_of_real_items() -> None:
    pool = pool_of()
    pool.fit(10**9)
    real = pool.inputs["input"].real
    for _ in range(500):
        found = pool.take()["input"]
        pool.release()
        room = pooled_input.LARGEST_SHIFT * real.std()
        assert real.min() - room <= found.min() <= found.max() <= real.max() + room


def test_integers_change_by_whole_real_items() -> None:
    pool = pool_of(dtype=np.int64)
    real = {row.tobytes() for row in pool.inputs["input"].real}
    assert set(rows(pool.take())) <= real


def test_a_constant_input_changes_too() -> None:
    zeros = np.zeros((12, *SHAPE), np.float32)
    one = pooled_input.PooledInput(zeros.copy(), zeros[:8].copy(), 1)
    pool = core_pool.CorePool({"input": one}, {}, list(range(8)), 4, 3)
    seen: set[bytes] = set()
    for _ in range(50):
        found = set(rows(pool.take()))
        pool.release()
        assert not seen & found
        seen |= found


def test_a_slow_call_gets_whole_new_items_and_a_fast_one_as_little_as_possible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = pool_of()
    monkeypatch.setattr(pool, "_time_a_change", lambda: 10 * pool.inputs["input"].width)
    pool.fit(10**9)
    assert pool.document()["changed_share"] == {"input": 1.0}
    pool.fit(1)
    assert pool.inputs["input"].width == pooled_input.NARROWEST
    pool.fit(10_000_000 // 40)
    assert 10 * pool.inputs["input"].width <= core_pool.CHANGE_SHARE * 10_000_000 / 40


def test_two_pools_draw_other_numbers() -> None:
    assert pool_of().seed != pool_of().seed
