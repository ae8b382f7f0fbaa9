"""A case declares its own options in case.toml; values are typed and bounded, unknown names refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from driver.catalog.catalog import Case, load_catalog
from driver.errors import UsageFault
from driver.models.case import CaseManifest, OptionSpec
from driver.plan.choice import choose
from driver.plan.options import parse_options, resolved, shrinking
from driver.plan.request import VARIABLES, Request
from driver.system.settings import ROOT
from tests.driver.jobs import make_case

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: dict[str, Any] = {
    "steps": {
        "type": "int",
        "default": 50,
        "least": 1,
        "most": 1000,
        "help": "denoising steps",
        "smaller_is_smoke": True,
    },
    "guidance": {"type": "float", "default": 7.5, "help": "guidance scale"},
    "mode": {"type": "text", "default": "fast", "choices": ["fast", "exact"], "help": "which way"},
    "cached": {"type": "bool", "default": True, "help": "keep keys and values"},
    "documents": {"type": "int", "least": 1, "help": "number of documents", "counts_items": True},
}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    manifest = make_case().model_dump(by_alias=True)
    return Case(
        manifest=CaseManifest.model_validate(manifest | {"options": OPTIONS}), folder=tmp_path
    )


def given(case: Case, **typed: str) -> dict[str, Any]:
    return parse_options(Request(options=tuple(typed.items())), case)


def test_each_value_has_the_type_that_the_case_declares(case: Case) -> None:
    assert given(case, steps="3", guidance="2", mode="exact", cached="no", documents="9") == {
        "steps": 3,
        "guidance": 2.0,
        "mode": "exact",
        "cached": False,
        "documents": 9,
    }


def test_missing_options_have_defaults_and_items_are_the_whole_dataset(case: Case) -> None:
    assert resolved({"steps": 3}, case) == {
        "steps": 3,
        "guidance": 7.5,
        "mode": "fast",
        "cached": True,
        "documents": case.manifest.data.count,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("steps", text) for text in ("0", "1001", "x", "3.5", "", "1_0", "٣")),
        *(("guidance", text) for text in ("x", "nan", "1_0.5")),
        *(("mode", text) for text in ("slow", "")),
        *(("cached", text) for text in ("maybe", "2")),
        ("documents", "-1"),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused_with_an_example(
    case: Case, name: str, text: str
) -> None:
    with pytest.raises(UsageFault, match=f"{name.upper()}={text} is not") as caught:
        given(case, **{name: text})
    assert OPTIONS[name]["help"] in caught.value.message
    assert caught.value.remedy.startswith(f"for example {name.upper()}=")


def test_an_unknown_option_names_those_of_the_case_and_the_nearest(case: Case) -> None:
    with pytest.raises(UsageFault, match=r"STEPPS \(did you mean STEPS\?\)") as caught:
        given(case, stepps="3")
    assert "its options are STEPS, GUIDANCE, MODE, CACHED, DOCUMENTS" in caught.value.message


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"steps": 49}, "steps"),
        ({"steps": 50}, None),
        ({"guidance": 0.1}, None),
        ({"guidance": 0.1, "steps": 1}, "steps"),
    ],
)
def test_only_an_option_marked_as_such_makes_a_smaller_run(
    case: Case, values: dict[str, Any], name: str | None
) -> None:
    assert shrinking(values, case) == name


def test_the_options_reach_the_choice(tmp_path: Path) -> None:
    tree = load_catalog(ROOT)
    choice = choose(Request(case="sd", options=(("prompts", "2"), ("steps", "3"))), tree)
    assert choice.options == {"steps": 3, "prompts": 2}
    assert choice.item_count == 2
    assert choose(Request(case="sd"), tree).item_count is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"default": None}, "needs a default"),
        ({"default": "x"}, "not of type int"),
        ({"default": True}, "not of type int"),
        ({"trial": 0.5}, "not of type int"),
        ({"counts_items": True}, "without a default"),
    ],
)
def test_a_contradictory_option_in_a_manifest_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        OptionSpec.model_validate(OPTIONS["steps"] | changes)


def test_a_name_is_a_constant_or_an_option(tmp_path: Path) -> None:
    manifest = make_case().model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="steps is both a constant and an option"):
        CaseManifest.model_validate(manifest | {"options": OPTIONS, "constants": {"steps": 3}})


def test_the_interface_names_no_option_of_a_case() -> None:
    """The promise of CONTRIBUTING: a new case changes no driver code."""
    own = {name for case in load_catalog(ROOT).cases.values() for name in case.manifest.options}
    known = re.search(r"^PLAN := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert own
    assert known is not None
    assert not own & {*VARIABLES, *known[1].lower().split(), *Request.model_fields}
