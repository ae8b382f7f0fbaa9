"""What a difference means: another job is refused, another chip compared, other code named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from driver.models.job import JobKey
from driver.models.rerun import Weight
from driver.rerun.differences import Facts, differences, is_comparison
from tests.documents import job, provenance, sha

KEY = job()
ORIGIN: dict[str, Any] = {
    **provenance(KEY),
    "vendor_stack": {
        "kind": "image",
        "image_id": "sha256:1",
        "lock_sha256": sha("lock"),
        "base_digest": "sha256:b",
        "wheels": {"torch.whl": sha("torch")},
    },
    "reference_stack": {"kind": "environment", "lock_sha256": sha("reference lock")},
    "preprocess": {"resize": 224, "source": "a page"},
    "settings": {"options": {"steps": 50}, "device": "0", "seed": 0},
    "measure": {"min_seconds": 60.0, "repeats": 3},
}


def facts(changes: dict[tuple[str, ...], Any] | None = None, **of_job: Any) -> Facts:
    origin = copy.deepcopy(ORIGIN)
    for path, value in (changes or {}).items():
        place = origin
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return Facts(job=JobKey.model_validate({**KEY, **of_job}), provenance=origin)


def test_the_same_job_has_no_differences() -> None:
    assert differences(facts(), facts()) == []


@pytest.mark.parametrize(
    ("path", "weight"),
    [
        (("weights", "digest"), Weight.ANOTHER_JOB),
        (("dataset", "sha256"), Weight.ANOTHER_JOB),
        (("dataset", "count"), Weight.ANOTHER_JOB),
        (("export", "onnx_sha256"), Weight.ANOTHER_JOB),
        (("preprocess", "resize"), Weight.ANOTHER_JOB),
        (("settings", "options"), Weight.ANOTHER_JOB),
        (("host", "threads"), Weight.COMPARISON),
        (("vendor_stack", "lock_sha256"), Weight.COMPARISON),
        (("vendor_stack", "wheels", "torch.whl"), Weight.COMPARISON),
        (("effective", "infer", "arithmetic"), Weight.COMPARISON),
        (("versions", "infer", "tensorrt"), Weight.COMPARISON),
        (("measure", "min_seconds"), Weight.COMPARISON),
        (("vendor_stack", "image_id"), Weight.NAMED),
        (("reference_stack", "lock_sha256"), Weight.NAMED),
        (("versions", "infer", "python"), Weight.NAMED),
        (("code", "harness"), Weight.NAMED),
        (("commit",), Weight.NAMED),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_difference_of_provenance_has_its_weight(path: tuple[str, ...], weight: Weight) -> None:
    (found,) = differences(facts(), facts({path: "other"}))
    assert found.weight is weight
    assert "other" in found.rerun


@pytest.mark.parametrize(
    ("of_job", "weight"),
    [
        ({"precision": "fp32"}, Weight.ANOTHER_JOB),
        ({"batch_size": 1}, Weight.ANOTHER_JOB),
        ({"chip": "NVIDIA H200"}, Weight.COMPARISON),
        ({"runner": "process"}, Weight.COMPARISON),
        ({"stack": "cuda12.9-trt10"}, Weight.COMPARISON),
    ],
    ids=str,
)
def test_a_difference_of_the_job_has_its_weight(of_job: dict[str, Any], weight: Weight) -> None:
    (found,) = differences(facts(), facts(**of_job))
    assert found.weight is weight
    assert is_comparison([found])


def test_another_model_of_an_engine_with_its_own_export_is_a_comparison() -> None:
    other = facts({("export", "onnx_sha256"): sha("b"), ("export", "opset"): 11})
    assert {one.weight for one in differences(facts(), other)} == {Weight.COMPARISON}


def test_the_source_of_a_constant_and_a_setting_of_newer_code_are_no_differences() -> None:
    newer = facts({("preprocess", "source"): "a book", ("effective", "infer", "spinning"): "0"})
    assert differences(facts(), newer) == []


def test_an_image_built_again_from_the_same_parts_stays_a_rerun() -> None:
    found = differences(facts(), facts({("vendor_stack", "image_id"): "sha256:2"}))
    assert [one.what for one in found] == ["image of the vendor stack"]
    assert not is_comparison(found)


def test_the_heaviest_differences_come_first() -> None:
    other = facts({("commit",): "c0ffee", ("weights", "digest"): sha("b"), ("host", "threads"): 2})
    assert [one.weight for one in differences(facts(), other)] == list(Weight)
