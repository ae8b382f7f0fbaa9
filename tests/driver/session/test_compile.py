"""How a run shows a compile that fails, runs out of memory or warns: last lines, kind, full log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.models.base import FailureKind, StageName
from driver.session.result import exit_code
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.result import StageRecord
    from driver.session.run import FinishedJob

pytestmark = pytest.mark.jobs


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def compiled(finished: FinishedJob) -> StageRecord:
    return next(record for record in finished.result.stages if record.name is StageName.COMPILE)


def test_a_crash_shows_the_last_lines_and_keeps_the_whole_log(lab: Lab) -> None:
    lab.behave(compile="crashes-after-much-talk")
    finished = lab.run()
    failure = finished.result.failure
    assert failure is not None
    assert (failure.kind, failure.stage) == (FailureKind.COMPILE, StageName.COMPILE)
    assert "E19999: no kernel for LayerNormalization" in failure.message
    assert "pass 0 of 5000" not in failure.message
    log = (finished.folder / str(compiled(finished).log)).read_text()
    assert "pass 0 of 5000" in log
    assert "pass 4999 of 5000" in log
    assert exit_code(finished.result) == 1


def test_a_failure_that_the_hook_reports_is_the_results(lab: Lab) -> None:
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
    finished = lab.run()
    failure = finished.result.failure
    assert failure is not None
    assert (failure.kind, failure.stage) == (FailureKind.OUT_OF_MEMORY, StageName.COMPILE)
    assert "run.memory_gib.compile" in failure.remedy
    assert "stage compile says grows" in (finished.folder / str(compiled(finished).log)).read_text()
    lab.behave()
    assert lab.run().result.status == "ok"


def test_a_compilers_warning_is_in_the_result_even_when_the_engine_is_cached(
    lab: Lab,
) -> None:
    lab.behave(compile="warns")
    for cached in (False, True):
        finished = lab.run()
        assert finished.result.status == "ok"
        assert compiled(finished).cached is cached
        reported = [found for found in finished.result.warnings if found.code == "compiler_warning"]
        assert [found.message for found in reported] == ["W11001: Softmax fell back to fp32"]


@pytest.mark.parametrize("content", [b"engine", b"egnine" * 99, b""])
def test_a_damaged_cached_engine_is_named_and_recompiled_before_it_is_used(
    lab: Lab, content: bytes
) -> None:
    lab.behave(compile="makes-an-engine", infer="reads-its-engine")
    assert lab.run().result.status == "ok"
    (path,) = (lab.settings.home / "cache/engines").glob("*/cache/engine.bin")
    path.write_bytes(content)
    again = lab.run()
    assert (again.result.status, compiled(again).cached) == ("ok", False)
    engine = f"engines/{path.parents[1].name}"
    assert again.result.provenance["made_again"] == {engine: ["cache/engine.bin"]}
    assert any("cache/engine.bin changed after it was made" in note for note in lab.listener.notes)


def test_a_file_that_an_engine_keeps_up_to_date_is_no_damage(lab: Lab) -> None:
    write = "(folder / 'cache' / 'tactics').write_text(str(time.time_ns()))"
    lab.behave(compile="makes-an-engine", infer=f"python:{write}")
    for cached in (False, True, True):
        assert compiled(lab.run()).cached is cached


def test_a_failure_with_an_intact_engine_keeps_it_cached(lab: Lab) -> None:
    lab.behave(compile="makes-an-engine", infer="fails")
    for cached in (False, True, True):
        finished = lab.run()
        assert finished.result.failure is not None
        assert finished.result.failure.message == "the SDK said no"
        assert compiled(finished).cached is cached
