"""From a result back to its request: every setting, and what a lab may name of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.errors import DataFault, UsageFault
from driver.models.result import Result
from driver.plan.choice import choose
from driver.plan.request import parse_request
from driver.rerun.asking import asked_by, require_host_python, require_repeatable, with_own
from tests.documents import document, job, provenance

CATALOG = load_catalog(Path(__file__).resolve().parents[3])
KEY = job(vendor="intel", stack="openvino2026.4", engine="openvino", precision="fp32", chip="host")


def result(**changes: Any) -> Result:
    return Result.model_validate(document(**changes))


def test_every_setting_of_a_job_is_asked_for_again() -> None:
    key = {**KEY, "case": "stable_diffusion_v1_4", "tier": "smoke", "batch_size": 2}
    said = {
        **provenance(key),
        "input": "tensor",
        "measure": {"limit": 4, "repeats": 2},
        "settings": {"options": {"steps": 3, "prompts": 4}, "device": "0", "preprocess": None},
    }
    original = result(job=key, provenance=said, weights="synthetic", data="synthetic")
    choice = choose(parse_request(asked_by(original, CATALOG)), CATALOG)
    assert (choice.case.name, choice.vendor.name) == ("stable_diffusion_v1_4", "intel")
    assert choice.options["steps"] == 3
    assert choice.item_count == 4
    assert (choice.batch_size, choice.tier, choice.runner) == (2, "smoke", "docker")
    assert (choice.measure.limit, choice.measure.repeats) == (4, 2)
    request = choice.request
    assert (request.weights, request.data, request.device) == ("synthetic", "synthetic", "0")
    assert request.input_kind == "tensor"


def test_a_result_that_says_nothing_of_its_settings_takes_the_defaults() -> None:
    request = parse_request(asked_by(result(job=KEY), CATALOG))
    assert (request.options, request.device, request.preprocess) == ((), "0", None)


def test_a_load_scenario_is_asked_for_with_its_bound_and_its_rate() -> None:
    key = {**KEY, "case": "vit_s_16", "scenario": "server"}
    asked = {"latency_bound_ns": 15_500_000, "target_qps": 40.0}
    settings = {"settings": {"options": {}, "scenario": asked}}
    original = result(job=key, provenance={**provenance(key), **settings})
    found = choose(parse_request(asked_by(original, CATALOG)), CATALOG).scenario
    assert found is not None
    assert (found.name, found.latency_bound_ns, found.target_qps) == ("server", 15_500_000, 40.0)


def test_a_lab_names_where_its_own_data_is() -> None:
    asked = asked_by(result(job=KEY), CATALOG)
    own = with_own(asked, {"data": "/data/val", "weights": None})
    assert own["data"] == "/data/val"
    assert own["stack"] == "openvino2026.4"


def test_another_vendor_has_its_own_stack_engine_and_chip() -> None:
    own = with_own(asked_by(result(job=KEY), CATALOG), {"vendor": "cpu"})
    assert (own["stack"], own["engine"], own["chip"]) == (None, None, None)
    assert own["precision"] == "fp32"
    assert choose(parse_request(own), CATALOG).engine_name == "onnxruntime"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulated": True}, "simulated"),
        ({"status": "failed"}, "status failed"),
        ({"status": "skipped"}, "status skipped"),
    ],
)
def test_a_result_without_figures_cannot_be_reproduced(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataFault, match=said):
        require_repeatable(result(**changes))


def test_a_python_of_its_host_is_refused_without_one_here() -> None:
    key = {**KEY, "stack": "found"}
    said = {**provenance(key), "vendor_stack": {"kind": "found", "packages": {}}}
    with pytest.raises(UsageFault, match="a Python of its host") as caught:
        require_host_python(result(job=key, provenance=said), CATALOG)
    assert "STACK_PYTHON=" in caught.value.remedy
    require_host_python(result(job=KEY), CATALOG)
