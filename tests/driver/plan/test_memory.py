"""Weights, and keys and values, that fit no memory are refused in planning; validation that does not fit is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driver.catalog.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.models.base import StageName
from driver.plan.choice import Choice, choose
from driver.plan.job import plan_job
from driver.plan.memory import require_memory
from driver.plan.request import Request
from driver.system.host.machine import HostFacts
from driver.system.settings import ROOT
from tests.driver.plan.test_job import MATERIAL

GIB = 1 << 30


def choice(**changes: object) -> Choice:
    request = Request(case="llama_7b", vendor="cpu").model_copy(update=changes)
    return choose(request, load_catalog(ROOT))


def host(gib: float) -> HostFacts:
    return HostFacts(threads=2, memory_bytes=int(gib * GIB))


BF16 = {"engine": "eager", "precision": "bf16"}


def test_weights_that_do_not_fit_name_a_precision_that_does() -> None:
    with pytest.raises(EnvironmentFault) as caught:
        require_memory(choice(), host(16))
    assert "take 25.1 GiB in fp32, and keys and values 0.5 GiB, but this host has 16.0 GiB" in str(
        caught.value
    )
    assert "ENGINE=eager PRECISION=bf16" in caught.value.remedy
    require_memory(choice(**BF16), host(16))
    require_memory(choice(), host(26))


def test_keys_and_values_that_do_not_fit_beside_the_weights_name_what_makes_them_smaller() -> None:
    # 0.5 MiB a token in bf16, 4095 tokens of each sequence: 2 GiB of each.
    long = choice(**BF16, options=(("prompt", "4064"),), batch_size=2)
    require_memory(long, host(17))
    with pytest.raises(
        EnvironmentFault, match=r"12\.6 GiB in bf16, and keys and values 4\.0 GiB"
    ) as caught:
        require_memory(long, host(16))
    assert caught.value.remedy == "use a smaller BS, PROMPT or TOKENS"


def test_a_host_that_can_hold_the_weights_in_no_precision_is_told_so() -> None:
    with pytest.raises(EnvironmentFault) as caught:
        require_memory(choice(**BF16), host(8))
    assert caught.value.remedy == "use a device with more memory"


def test_a_chip_s_memory_counts_and_this_host_s_for_the_reference() -> None:
    card = choice(case="bert_large", vendor="nvidia", precision="fp32")
    chip = card.chip.model_copy(update={"memory_gib": 1.0})
    with pytest.raises(EnvironmentFault, match=f"but {card.chip_name} has 1.0 GiB"):
        require_memory(replace(card, chip=chip), host(16))
    unknown = replace(card, chip=card.chip.model_copy(update={"memory_gib": None}))
    require_memory(unknown, host(16))
    with pytest.raises(EnvironmentFault, match=r"the reference of bert_large keeps 1\.2 GiB"):
        require_memory(unknown, host(1))


def test_validation_in_fp32_runs_only_where_fp32_fits() -> None:
    stages = [plan_job(choice(**BF16), MATERIAL, host(gib)).stages for gib in (16, 32)]
    assert [StageName.VALIDATE in found for found in stages] == [False, True]
