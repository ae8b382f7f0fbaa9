"""Whether keys and values fit is asked of the free memory, before any is taken; a host's is other processes', too."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness import modules

generation: Any = import_module("harness.loops.generation")
JOB = SimpleNamespace(
    batch_size=2,
    arithmetic="bf16",
    generation=modules.job.Generation(
        context=64, layers=2, kv_heads=2, head_size=4, prompt=10, tokens=5
    ),
)
#: Two sequences of 14 tokens, 2 × 2 layers × 2 heads × 4 numbers of 2 bytes each.
NEEDED = 2 * 14 * 32 * 2


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    known = SimpleNamespace(total=1 << 30, available=1 << 20)
    monkeypatch.setattr(modules.host_memory, "total_bytes", lambda: known.total)
    monkeypatch.setattr(modules.host_memory, "available_bytes", lambda: known.available)
    return known


def engine(peak: int | None, total: int | None) -> Any:
    return SimpleNamespace(memory=lambda: (peak, total, "the test's"))


@pytest.mark.usefixtures("host")
def test_a_card_s_memory_is_what_the_engine_has_left_of_it() -> None:
    generation.require_room_for_cache(engine(100, 100 + NEEDED), JOB)
    with pytest.raises(modules.errors.StageFailure, match="2 sequences of 15 tokens") as caught:
        generation.require_room_for_cache(engine(101, 100 + NEEDED), JOB)
    assert caught.value.kind == "out_of_memory"


def test_a_host_s_memory_is_what_other_processes_leave(host: SimpleNamespace) -> None:
    on_host = engine(0, host.total)
    host.available = NEEDED
    generation.require_room_for_cache(on_host, JOB)
    host.available = NEEDED - 1
    with pytest.raises(modules.errors.StageFailure, match=r"1\.0 GiB 0\.0 are free"):
        generation.require_room_for_cache(on_host, JOB)


@pytest.mark.usefixtures("host")
def test_memory_that_is_not_known_is_no_reason_to_refuse() -> None:
    generation.require_room_for_cache(engine(None, None), JOB)
    generation.require_room_for_cache(SimpleNamespace(memory=lambda: None), JOB)
