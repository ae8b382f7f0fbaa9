"""What XTCL's PassContext is given, by precision and by case."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path
from tests.vendor_hooks.vendor_job import manifest

compiler: Any = import_module("vendor_hooks.kunlunxin.compiler")


class Config:
    """Stands for XPUOutDtypeConfig and XPUGraphMatchConfig: gives back what it was made of."""

    def __init__(self, **given: Any) -> None:
        self._given = given

    def value(self) -> dict[str, Any]:
        return self._given


@pytest.fixture(autouse=True)
def tvm(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("tvm", "tvm.contrib", "tvm.contrib.xpu_config")
    made = {name: ModuleType(name) for name in names}
    made["tvm.contrib"].xpu_config = made["tvm.contrib.xpu_config"]  # type: ignore[attr-defined]
    for name in ("XPUOutDtypeConfig", "XPUGraphMatchConfig"):
        setattr(made["tvm.contrib.xpu_config"], name, Config)
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_fp16_goes_through_to_the_last_layer() -> None:
    assert compiler.pass_config({}, "float16") == {
        "XPUOutDtypeConfig": {
            "default_precision": "float16", "config_last_node": True, "config_map": {},
        }
    }  # fmt: skip


def test_other_precisions_tell_the_passes_nothing() -> None:
    assert compiler.pass_config({}, None) == {}


@pytest.mark.parametrize("engine", ["xtcl", "xtcl-graph"])
def test_sam_gets_the_passes_that_it_needs(engine: str) -> None:
    passes = manifest("kunlunxin").engines[engine].options["cases"]["sam_h"]
    assert passes["disabled_pass"] == ["xgraph_layout_opt"]
    assert compiler.pass_config(passes, None) == {
        "FuseWithoutPattern": ["FuseConv2dTransposeBiasAdd"],
        "XPUFuzzyMatch": {"pattern_match": ["fuse_attention_sam"]},
    }


def test_both_executors_offer_the_same_precisions_and_cases() -> None:
    vm, graph = (manifest("kunlunxin").engines[name] for name in ("xtcl", "xtcl-graph"))
    assert (vm.precisions, vm.export) == (graph.precisions, graph.export)
    assert vm.options["cases"] == graph.options["cases"]
