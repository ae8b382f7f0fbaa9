"""A compile that fails, runs out of memory or warns, as a run shows it: telling lines, kind, the whole log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.booking import exit_code
from driver.models.base import FailureKind, StageName
from tests.driver.test_session import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.result import StageRecord
    from driver.session import Booked


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def compiled(booked: Booked) -> StageRecord:
    return next(record for record in booked.result.stages if record.name is StageName.COMPILE)


def test_a_crash_shows_the_last_lines_and_keeps_the_whole_log(lab: Lab) -> None:
    lab.behave(compile="crashes-after-much-talk")
    booked = lab.run()
    failure = booked.result.failure
    assert failure is not None
    assert (failure.kind, failure.stage) == (FailureKind.COMPILE, StageName.COMPILE)
    assert "E19999: no kernel for LayerNormalization" in failure.message
    assert "pass 0 of 5000" not in failure.message
    log = (booked.folder / str(compiled(booked).log)).read_text()
    assert "pass 0 of 5000" in log
    assert "pass 4999 of 5000" in log
    assert exit_code(booked.result) == 1


def test_what_the_hook_says_of_a_failure_is_the_failure(lab: Lab) -> None:
    lab.behave(compile="fails")
    failure = lab.run().result.failure
    assert failure is not None
    assert (failure.kind, failure.message) == (FailureKind.COMPILE, "the SDK said no")


def test_a_compile_that_takes_all_memory_is_out_of_memory_and_not_the_compilers_fault(
    lab: Lab,
) -> None:
    case = lab.root / "cases/tiny/case.toml"
    case.write_text(
        case.read_text().replace(
            "golden_count = 3", "golden_count = 3\nmemory_gib = { compile = 0.1 }"
        )
    )
    lab.behave(compile="grows")
    booked = lab.run()
    failure = booked.result.failure
    assert failure is not None
    assert (failure.kind, failure.stage) == (FailureKind.OUT_OF_MEMORY, StageName.COMPILE)
    assert "run.memory_gib.compile" in failure.remedy
    assert "stage compile says grows" in (booked.folder / str(compiled(booked).log)).read_text()
    lab.behave()
    assert lab.run().result.status == "ok"


def test_a_warning_of_the_compiler_is_the_results_also_when_its_engine_comes_from_the_cache(
    lab: Lab,
) -> None:
    lab.behave(compile="warns")
    for cached in (False, True):
        booked = lab.run()
        assert booked.result.status == "ok"
        assert compiled(booked).cached is cached
        told = [found for found in booked.result.warnings if found.code == "compiler_warning"]
        assert [found.message for found in told] == ["W11001: Softmax fell back to fp32"]


@pytest.mark.parametrize("content", [b"engine", b"egnine" * 99, b""])
def test_an_engine_that_was_damaged_in_the_cache_is_named_and_made_again(
    lab: Lab, content: bytes
) -> None:
    lab.behave(compile="makes-an-engine", infer="reads-its-engine")
    assert lab.run().result.status == "ok"
    (path,) = (lab.settings.home / "cache/engines").glob("*/cache/engine.bin")
    path.write_bytes(content)
    failure = lab.run().result.failure
    assert failure is not None
    assert "InvalidProtobuf; cache/engine.bin is no longer what compile left" in failure.message
    assert "compiled anew" in failure.remedy
    again = lab.run()
    assert (again.result.status, compiled(again).cached) == ("ok", False)


def test_a_failure_on_a_sound_engine_keeps_it(lab: Lab) -> None:
    lab.behave(compile="makes-an-engine", infer="fails")
    for cached in (False, True, True):
        booked = lab.run()
        assert booked.result.failure is not None
        assert booked.result.failure.message == "the SDK said no"
        assert compiled(booked).cached is cached
