"""The compiled schema accepts nothing that the model refuses, and gives the same values."""

from __future__ import annotations

import copy
import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from driver.aggregate.compiled import NotCompilableError, struct_of
from driver.aggregate.record import record_of
from driver.models.result import Result
from tests import documents

PLAIN = json.loads(json.dumps(documents.document()))
ODD_VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "1",
        "name\n",
        "ok",
        [],
        {},
        [1],
        {"a": 1},
        ["x", 2.0],
    ]
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every member of a document."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for key, value in members:
        found.append((*path, key))
        if isinstance(value, dict | list) and key != "provenance":
            found += places(value, (*path, key))
    return found


def changed(path: tuple[Any, ...], value: Any) -> Any:
    document = copy.deepcopy(PLAIN)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@given(st.sampled_from(places(PLAIN)), ODD_VALUES)
def test_whatever_the_struct_accepts_the_model_accepts_with_the_same_row(
    path: tuple[Any, ...], value: Any
) -> None:
    document = changed(path, value)
    try:
        quick = msgspec.convert(document, struct_of(Result))
    except msgspec.ValidationError:
        return
    careful = Result.model_validate(document)
    assert record_of(quick, "p", edited=False) == record_of(careful, "p", edited=False)  # type: ignore[arg-type]


def test_a_valid_result_is_read_by_the_struct() -> None:
    quick = msgspec.convert(PLAIN, struct_of(Result))
    assert msgspec.to_builtins(quick)["job"]["id"] == PLAIN["job"]["id"]


def test_the_struct_has_the_defaults_of_the_model() -> None:
    short = {
        key: PLAIN[key] for key in PLAIN if key not in ("gate", "samples", "warnings", "digest")
    }
    short["metrics"] = {"acc_metric": "acc1"}
    quick = msgspec.convert(short, struct_of(Result))
    careful = Result.model_validate(short)
    assert record_of(quick, "p", edited=False) == record_of(careful, "p", edited=False)  # type: ignore[arg-type]


def test_a_validator_cannot_be_compiled() -> None:
    class Checked(BaseModel):
        value: int

        @model_validator(mode="after")
        def _check(self) -> Checked:
            return self

    with pytest.raises(NotCompilableError, match="validators"):
        struct_of(Checked)


def test_an_unknown_constraint_cannot_be_compiled() -> None:
    class Limited(BaseModel):
        value: Annotated[int, Field(multiple_of=3)]

    with pytest.raises(NotCompilableError, match="counterpart"):
        struct_of(Limited)


def test_a_pattern_refuses_a_trailing_newline() -> None:
    class Named(BaseModel):
        name: Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]

    with pytest.raises(ValidationError):
        Named.model_validate({"name": "abc\n"})
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "abc\n"}, struct_of(Named))
