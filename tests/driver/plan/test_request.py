"""The user's variables: every refusal contains the value and an example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import UsageFault
from driver.models.base import RunnerName, Tier
from driver.plan.request import LARGEST_BATCH, Request, parse_request, positive, split_list


def test_an_empty_request_is_the_small_case_on_the_cpu() -> None:
    assert parse_request({}) == Request(case="vit_digits", vendor="cpu")


def test_an_empty_make_variable_counts_as_not_given() -> None:
    assert parse_request({"bs": "", "case": "", "tier": ""}) == Request()


@pytest.mark.parametrize(
    "value", ["0", "-1", "x", "1.5", "1e3", " ", "²", "٣", str(LARGEST_BATCH + 1)]
)
def test_an_invalid_batch_size_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_request({"bs": value})
    assert f"BS={value}" in caught.value.message
    assert "BS=8" in caught.value.remedy


@pytest.mark.parametrize(
    ("variable", "value", "nearest"),
    [
        ("runner", "doker", "docker"),
        ("tier", "standart", "standard"),
        ("input", "tensors", "tensor"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest_one(
    variable: str, value: str, nearest: str
) -> None:
    with pytest.raises(UsageFault, match=f"did you mean {nearest}"):
        parse_request({variable: value})


def test_every_variable_reaches_the_request() -> None:
    request = parse_request(
        {"runner": "docker", "tier": "official", "repeat": "7", "limit": "32", "steps": "3"}
    )
    assert request.runner is RunnerName.DOCKER
    assert request.tier is Tier.OFFICIAL
    assert (request.repeat, request.limit) == (7, 32)
    assert request.options == (("steps", "3"),)


@given(st.integers(min_value=1, max_value=10**9))
def test_every_whole_number_in_range_is_taken(number: int) -> None:
    assert positive("LIMIT", str(number)) == number


@given(st.text(max_size=12).filter(lambda text: not text.strip().isdecimal()))
def test_an_invalid_number_is_always_a_usage_fault(text: str) -> None:
    with pytest.raises(UsageFault):
        positive("BS", text, 64)


def test_a_list_keeps_its_order_and_drops_duplicates() -> None:
    assert split_list("8,1,8, 4") == ("8", "1", "4")
    assert split_list(None) == (None,)


def test_a_list_with_an_empty_item_is_refused() -> None:
    with pytest.raises(UsageFault, match="empty item"):
        split_list("1,,4")


@pytest.mark.parametrize(("text", "wait_s"), [(None, None), ("", None), ("0", 0), ("600", 600)])
def test_wait_is_seconds_and_0_is_one_of_them(text: str | None, wait_s: int | None) -> None:
    assert parse_request({"wait": text}).wait_s == wait_s


@pytest.mark.parametrize("text", ["-1", "no", "1.5"])
def test_a_wait_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageFault, match=f"WAIT={text}"):
        parse_request({"wait": text})
