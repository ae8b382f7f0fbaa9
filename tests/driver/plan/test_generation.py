"""Cases of generation: engines that cannot are skipped with a reason, lengths must fit the context."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from driver.catalog.catalog import load_catalog
from driver.errors import UsageFault
from driver.models.case import CaseManifest
from driver.plan.choice import Choice, Skip, choose, expand
from driver.plan.request import Request
from driver.system.settings import ROOT


def request(vendor: str = "cpu", **options: str) -> Request:
    given = tuple((name, value) for name, value in options.items())
    return Request(case="llama_pydoc", vendor=vendor, options=given)


def test_an_engine_without_prefill_and_decode_is_skipped_with_a_reason() -> None:
    chosen = expand([request("cpu"), request("nvidia")], load_catalog(ROOT))
    assert isinstance(chosen[0], Choice)
    assert isinstance(chosen[1], Skip)
    assert "generates token by token, which engine" in chosen[1].reason
    assert chosen[1].remedy == "choose ENGINE=ort_cuda"


def test_vendors_that_can_are_named_where_no_engine_of_this_one_can() -> None:
    with pytest.raises(UsageFault) as caught:
        choose(request("metax"), load_catalog(ROOT))
    for able in ("cpu", "intel", "onnxruntime"):
        assert f"VENDOR={able}" in caught.value.remedy


@pytest.mark.parametrize(
    ("vendor", "stack", "engine"),
    [
        ("nvidia", "cuda13-vllm0.29", "vllm"),
        ("nvidia", "cuda13-trtllm1.2", "tensorrt_llm"),
        ("nvidia", "cuda13-ort", "ort_cuda"),
        ("ascend", "cann9-vllm0.23", "vllm"),
        ("amd", "rocm7-vllm0.29", "vllm"),
        ("cpu", "torch2.13-inductor", "inductor"),
        ("cpu", "ort1.31-torch2.13", "onnxruntime"),
    ],
)
def test_a_stack_without_the_default_engine_runs_what_it_is_for(
    vendor: str, stack: str, engine: str
) -> None:
    asked = Request(case="llama_7b", vendor=vendor, stack=stack)
    assert choose(asked, load_catalog(ROOT)).engine_name == engine


@pytest.mark.parametrize("engine", ["vllm", "tensorrt_llm"])
def test_an_engine_of_language_models_alone_refuses_other_cases(engine: str) -> None:
    with pytest.raises(UsageFault) as caught:
        choose(Request(case="vit_digits", vendor="nvidia", engine=engine), load_catalog(ROOT))
    assert (
        f"engine {engine} of nvidia runs only language models that generate" in caught.value.message
    )
    assert caught.value.remedy == "choose ENGINE=tensorrt"


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (
            {"case": "vit_digits", "vendor": "nvidia", "stack": "cuda13-vllm0.29"},
            "choose ENGINE=tensorrt STACK=cuda12.1-trt8.6",
        ),
        (
            {"case": "vit_digits", "vendor": "amd", "stack": "rocm7-vllm0.29"},
            "choose ENGINE=migraphx STACK=rocm7",
        ),
        (
            {"case": "llama_7b", "vendor": "nvidia", "stack": "cuda13-trt11"},
            "choose ENGINE=ort_cuda STACK=cuda13-ort",
        ),
        ({"case": "llama_7b", "vendor": "nvidia", "stack": "cuda13-ort", "engine": "eager"}, ""),
    ],
)
def test_what_a_remedy_says_is_not_refused_for_the_stack(
    given: dict[str, str], remedy: str
) -> None:
    with pytest.raises(UsageFault) as caught:
        choose(Request(**given), load_catalog(ROOT))
    assert caught.value.remedy == (remedy or "choose ENGINE=ort_cuda")
    pairs = dict(pair.split("=") for pair in caught.value.remedy.split()[1:])
    changed = {**given, **{name.lower(): value for name, value in pairs.items()}}
    assert choose(Request(**changed), load_catalog(ROOT)).engine_name == pairs["ENGINE"]


def test_another_engine_of_the_vendor_is_named_if_it_can() -> None:
    asked = request("intel").model_copy(update={"engine": "openvino-latency"})
    with pytest.raises(UsageFault) as caught:
        choose(asked, load_catalog(ROOT))
    assert caught.value.remedy == "choose ENGINE=openvino"


def test_the_job_has_the_lengths_and_the_sizes_of_its_cache() -> None:
    found = choose(request(prompt="40", tokens="8"), load_catalog(ROOT)).generation
    assert found is not None
    assert (found.prompt, found.tokens, found.layers) == (40, 8, 4)


def test_bounds_of_goodput_can_be_given_and_change_nothing_that_the_guest_computes() -> None:
    catalog = load_catalog(ROOT)
    usual, other = choose(request(), catalog), choose(request(ttft_ms="450", tpot_ms="40"), catalog)
    assert (usual.generation.ttft_ms, usual.generation.tpot_ms) == (2000, 100)  # type: ignore[union-attr]
    assert (other.generation.ttft_ms, other.generation.tpot_ms) == (450, 40)  # type: ignore[union-attr]
    assert usual.guest_options == other.guest_options == {"prompt": 64, "tokens": 64}


def test_shorter_lengths_make_a_smoke_run() -> None:
    assert choose(request(tokens="8"), load_catalog(ROOT)).tier == "smoke"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": "250"}, "PROMPT=250 and TOKENS=64 are 314 tokens, but the context"),
        ({"tokens": "128"}, "PROMPT=64 and TOKENS=128 are 192 tokens, but the context"),
        ({"prompt": "0"}, "PROMPT=0 is not a whole number, at least 1"),
        ({"tokens": "1"}, "TOKENS=1 is not a whole number, at least 2"),
    ],
)
def test_lengths_that_cannot_be_are_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        choose(request(**options), load_catalog(ROOT))
    assert said in caught.value.message
    assert caught.value.remedy


LENGTH = {"type": "int", "default": 8, "help": "tokens"}
ONE_BOUND = {
    "prompt": LENGTH,
    "tokens": LENGTH,
    "tpot_ms": {"type": "float", "default": 40.0, "help": "ms"},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {}}, "needs the options `prompt` and `tokens`"),
        ({"options": ONE_BOUND}, "goodput needs the options `ttft_ms` and `tpot_ms`"),
        ({"model": {"inputs": [{"name": "x", "shape": [3]}]}}, "one input, tokens"),
        ({"model": {"outputs": [{"name": "y", "shape": []}]}}, "one output, logits"),
    ],
)
def test_a_manifest_says_what_generation_needs(change: dict[str, Any], said: str) -> None:
    whole = load_catalog(ROOT).case("llama_pydoc").manifest.model_dump(by_alias=True)
    model = {**whole["model"], **change.get("model", {})}
    with pytest.raises(ValidationError, match=said):
        CaseManifest.model_validate({**whole, **change, "model": model})
