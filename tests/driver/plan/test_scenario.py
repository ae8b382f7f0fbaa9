"""Load scenarios: rules by tier, batch sizes, bounds and rates; what cannot run is refused before anything does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driver.catalog.catalog import Catalog, load_catalog
from driver.catalog.found_python import FoundPython
from driver.errors import UsageFault
from driver.models.base import RunnerName, Tier
from driver.plan.choice import Choice, choose
from driver.plan.job import plan_job
from driver.plan.request import Request, parse_request
from driver.plan.scenario import RULES
from driver.system.settings import ROOT
from tests.driver.plan.test_job import HOST, MATERIAL


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(ROOT)


def chosen(catalog: Catalog, **changes: Any) -> Choice:
    return choose(Request(**{"case": "vit_s_16", "vendor": "cpu", **changes}), catalog)


def refused(catalog: Catalog, **changes: Any) -> str:
    with pytest.raises(UsageFault) as caught:
        chosen(catalog, **changes)
    assert caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize(
    ("scenario", "batch_size", "per_query", "percentile"),
    [
        ("offline", 32, 1, 0.99),
        ("singlestream", 1, 1, 0.90),
        ("multistream", 8, 8, 0.99),
        ("server", 32, 1, 0.99),
    ],
)
def test_a_scenario_has_its_batch_size_and_its_percentile(
    catalog: Catalog, scenario: str, batch_size: int, per_query: int, percentile: float
) -> None:
    choice = chosen(catalog, scenario=scenario)
    found = choice.scenario
    assert found is not None
    assert (choice.batch_size, found.samples_per_query) == (batch_size, per_query)
    assert found.percentile == percentile


@pytest.mark.parametrize("tier", Tier)
def test_each_tier_has_its_rules(catalog: Catalog, tier: Tier) -> None:
    found = chosen(catalog, scenario="multistream", tier=tier).scenario
    assert found is not None
    rules = RULES[tier]
    assert found.min_duration_ms == rules.min_duration_ms
    assert found.min_query_count == rules.min_queries["multistream"]


def test_an_official_run_keeps_the_rules_of_mlperf(catalog: Catalog) -> None:
    found = chosen(catalog, scenario="offline", tier=Tier.OFFICIAL).scenario
    assert found is not None
    assert (found.min_duration_ms, found.min_query_count) == (600_000, 24_576)


def test_without_a_scenario_there_is_none_and_the_job_is_the_same_as_ever(catalog: Catalog) -> None:
    choice = chosen(catalog)
    assert choice.scenario is None
    assert choice.batch_size == 32


@pytest.mark.parametrize(
    ("given", "bound_ns"),
    [("15ms", 15_000_000), ("0.5s", 500_000_000), ("800 us", 800_000), (None, 100_000_000)],
)
def test_a_bound_has_a_unit_and_the_case_a_default(
    catalog: Catalog, given: str | None, bound_ns: int
) -> None:
    found = chosen(catalog, scenario="server", latency_bound=given).scenario
    assert found is not None
    assert found.latency_bound_ns == bound_ns


@pytest.mark.parametrize(
    "text", ["15", "ms", "-1ms", "0ms", "1h", "601s", "nan ms", "1e3ms", "١ms"]
)
def test_what_is_no_latency_is_refused(catalog: Catalog, text: str) -> None:
    assert "is not a latency" in refused(catalog, scenario="server", latency_bound=text)


@pytest.mark.parametrize("text", ["0", "-3", "many", "nan", "inf", "٣"])
def test_what_is_no_rate_is_refused(catalog: Catalog, text: str) -> None:
    said = refused(catalog, scenario="server", target_qps=text)
    assert "is not a number of queries per second" in said


def test_an_unknown_scenario_offers_the_nearest(catalog: Catalog) -> None:
    assert "server" in refused(catalog, scenario="sever")


@pytest.mark.parametrize("name", ["latency_bound", "target_qps"])
def test_what_belongs_to_server_is_refused_elsewhere(catalog: Catalog, name: str) -> None:
    value = {"latency_bound": "15ms", "target_qps": "9"}[name]
    assert name.upper() in refused(catalog, **{name: value})
    assert "SCENARIO=server" in refused(catalog, scenario="offline", **{name: value})


@pytest.mark.parametrize(("scenario", "most"), [("singlestream", 1), ("multistream", 8)])
def test_a_batch_that_cannot_be_filled_is_refused(
    catalog: Catalog, scenario: str, most: int
) -> None:
    assert chosen(catalog, scenario=scenario, batch_size=most).batch_size == most
    assert "cannot be filled" in refused(catalog, scenario=scenario, batch_size=most + 1)


def test_a_case_of_several_calls_a_sample_is_refused(catalog: Catalog) -> None:
    assert "one call of its model" in refused(catalog, case="sd", scenario="offline")


@pytest.mark.parametrize(
    ("given", "bounds"), [(None, (2000, 100)), ("450ms,40ms", (450, 40)), ("2s, 0.1s", (2000, 100))]
)
def test_a_language_model_has_two_bounds(
    catalog: Catalog, given: str | None, bounds: tuple[int, int]
) -> None:
    choice = chosen(catalog, case="llama_pydoc", scenario="server", latency_bound=given)
    found = choice.scenario
    assert found is not None
    assert found.tokens
    assert (found.latency_bound_ns, found.token_bound_ns) == tuple(10**6 * ms for ms in bounds)


@pytest.mark.parametrize(
    ("case", "given"), [("llama_pydoc", "2s"), ("llama_pydoc", "1s,1s,1s"), ("vit_s_16", "1s,1s")]
)
def test_other_numbers_of_bounds_are_refused(catalog: Catalog, case: str, given: str) -> None:
    assert "LATENCY_BOUND=" in refused(catalog, case=case, scenario="server", latency_bound=given)


def test_a_language_model_has_no_multistream(catalog: Catalog) -> None:
    said = refused(catalog, case="llama_pydoc", scenario="multistream")
    assert "generates token by token" in said


def test_a_case_without_a_bound_needs_one(catalog: Catalog) -> None:
    assert "has no default" in refused(catalog, case="sam", scenario="server")
    assert chosen(catalog, case="sam", scenario="server", latency_bound="10s").scenario


def with_stack(catalog: Catalog, **changes: Any) -> Catalog:
    """Return the catalog with another stack of vendor cpu."""
    vendor = catalog.vendors["cpu"]
    stacks = {name: replace(stack, **changes) for name, stack in vendor.stacks.items()}
    return replace(catalog, vendors={**catalog.vendors, "cpu": replace(vendor, stacks=stacks)})


def test_a_stack_without_loadgen_says_what_to_type(catalog: Catalog) -> None:
    stack = catalog.vendors["cpu"].stacks["ort1.31-torch2.13"]
    bare = stack.manifest.model_copy(update={"versions": {"python": "3.11"}})
    with pytest.raises(UsageFault) as caught:
        chosen(with_stack(catalog, manifest=bare), scenario="offline")
    assert f"LoadGen, which stack {stack.name} of cpu lacks" in caught.value.message
    assert "add mlcommons-loadgen to" in caught.value.remedy
    assert "make lock" in caught.value.remedy


@pytest.mark.parametrize("name", ["mlcommons_loadgen", "mlcommons-loadgen", None])
def test_an_interpreter_of_this_host_is_asked_for_its_packages(
    catalog: Catalog, name: str | None
) -> None:
    packages = {"numpy": "2.4.6", **({name: "6.0.17"} if name else {})}
    found = FoundPython(
        python=Path("/opt/py/bin/python3"), version="3.11.2", packages=packages, digest="0" * 64
    )
    here = with_stack(catalog, found=found)
    asked = {"scenario": "offline", "runner": RunnerName.PROCESS}
    if name:
        assert chosen(here, **asked).scenario
        return
    with pytest.raises(UsageFault) as caught:
        chosen(here, **asked)
    assert caught.value.remedy == "/opt/py/bin/python3 -m pip install mlcommons-loadgen"


def test_every_stack_has_loadgen(catalog: Catalog) -> None:
    stacks = [stack for vendor in catalog.vendors.values() for stack in vendor.stacks.values()]
    assert len(stacks) >= 13
    assert [stack.name for stack in stacks if not stack.has_package("mlcommons-loadgen")] == []


def test_variables_become_fields_of_the_request() -> None:
    found = parse_request({"scenario": "server", "latency_bound": "15ms", "target_qps": "40"})
    assert (found.scenario, found.latency_bound, found.target_qps) == ("server", "15ms", "40")


def test_another_bound_is_another_job(catalog: Catalog) -> None:
    ids = {
        plan_job(chosen(catalog, **asked), MATERIAL, HOST).key.id
        for asked in (
            {},
            {"scenario": "server"},
            {"scenario": "server", "latency_bound": "15ms"},
            {"scenario": "offline"},
        )
    }
    assert len(ids) == 4
