"""The infer stage as a hook runs it: figures, predictions, samples, report."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.job_folder import (
    CLASSES,
    SIDE,
    JobFolder,
    Outcome,
    colours,
    write_files,
    write_tensors,
)

if TYPE_CHECKING:
    from driver.models.report import Measurement, StageReport
    from tests.harness.conftest import MakeJob

pytestmark = pytest.mark.jobs


def loop(report: StageReport, name: str) -> Measurement:
    return next(found for found in report.measurements if found.name == name)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what the stage of an unremarkable job left: ten pictures in batches of four."""
    folder = tmp_path_factory.mktemp("usual") / "job"
    return JobFolder(folder, batch_size=4).with_pictures(10).run_forked()


def test_every_item_is_predicted_and_the_last_partial_batch_counts(usual: Outcome) -> None:
    whole = loop(usual.ok, "whole")
    assert (whole.items, whole.calls) == (10, 3)
    classes = usual.npz("predictions.npz")["classes"]
    assert classes.shape == (10, 5)
    np.testing.assert_array_equal(classes[:, 0], colours(10)[1])


@pytest.mark.parametrize("engine", ["colours", "static"])
def test_predictions_do_not_depend_on_how_the_engine_takes_batches(
    make_job: MakeJob, engine: str
) -> None:
    outcome = make_job(engine=engine, batch_size=7).with_pictures(24).run_forked()
    assert outcome.ok.core_agreement == 1.0
    np.testing.assert_array_equal(outcome.npz("predictions.npz")["classes"][:, 0], colours(24)[1])


def test_a_dataset_smaller_than_a_batch_is_measured_and_counted(make_job: MakeJob) -> None:
    report = make_job(batch_size=8).with_pictures(3).run_forked().ok
    core = loop(report, "core")
    assert core.items == 8 * core.calls
    assert loop(report, "whole").items == 3
    assert report.core_agreement == 1.0


def test_samples_are_raw_nanoseconds_that_add_up_to_the_wall_time(usual: Outcome) -> None:
    report = usual.ok
    for name in ("core", "whole", "latency"):
        found = loop(report, name)
        samples = usual.npy(f"{name}.npy")
        assert samples.dtype == np.int64
        assert len(samples) == found.calls
        assert samples.min() >= 0
        assert samples.sum() <= found.wall_ns
    assert usual.npy("core.npy").sum() == loop(report, "core").wall_ns


def test_core_says_how_it_was_warmed_up_and_what_it_includes(usual: Outcome) -> None:
    core = loop(usual.ok, "core")
    assert core.warmup is not None
    assert core.warmup.calls >= 1
    assert core.warmup.first_call_ns > 0
    assert core.includes == ("host_to_device", "compute", "device_to_host", "synchronise")
    assert core.clock == "harness"


def test_raw_outputs_are_those_of_the_first_golden_items(make_job: MakeJob) -> None:
    raw = make_job(batch_size=4, golden_count=6).with_pictures(10).run_forked().npz("raw.npz")
    assert raw["logits"].shape == (6, CLASSES)
    assert raw["logits"].dtype == np.float32
    np.testing.assert_array_equal(raw["logits"].argmax(1), colours(6)[1])


def test_fewer_items_than_golden_ones_give_as_many_raw_outputs(make_job: MakeJob) -> None:
    job = make_job(batch_size=4, golden_count=64, measure={"limit": 5}).with_pictures(10)
    outcome = job.run_forked()
    assert loop(outcome.ok, "whole").items == 5
    assert outcome.npz("raw.npz")["logits"].shape == (5, CLASSES)
    assert outcome.npz("predictions.npz")["classes"].shape == (5, 5)


def test_a_device_that_only_enqueues_is_timed_until_its_results_are_there(
    make_job: MakeJob,
) -> None:
    job = make_job(engine="enqueue", engine_options={"item_ms": 5.0}, batch_size=4)
    report = job.with_pictures(22).run_forked().ok
    for name in ("core", "whole", "latency"):
        found = loop(report, name)
        assert found.wall_ns >= 0.99 * found.items * 5_000_000, name
    assert loop(report, "core").in_flight == 2
    assert loop(report, "core").compute_ns == loop(report, "core").items * 5_000_000
    assert loop(report, "core").h2d_ns == 0
    assert report.simulated is True


def test_preprocessed_tensors_are_read_as_they_are(make_job: MakeJob) -> None:
    job = make_job(input_kind="tensor", batch_size=4)
    labels = colours(9)[1]
    pictures = np.zeros((9, 3, SIDE, SIDE), np.float32)
    for picture, label in zip(pictures, labels, strict=True):
        picture[label] = 1
    write_tensors(job.data, [{"input": picture} for picture in pictures])
    outcome = job.run_forked()
    assert outcome.ok.details["input_kind"] == "tensor"
    assert "decoder" not in outcome.ok.details
    np.testing.assert_array_equal(outcome.npz("predictions.npz")["classes"][:, 0], labels)


def test_a_later_repeat_stops_at_its_time_and_says_how_far_it_came(make_job: MakeJob) -> None:
    job = make_job(
        engine="enqueue",
        engine_options={"item_ms": 20.0},
        batch_size=1,
        repeat=1,
        measure={"min_seconds": 0.1, "latency_min_calls": 0},
    )
    outcome = job.with_pictures(60).run_forked()
    whole = loop(outcome.ok, "whole")
    assert 1 <= whole.items < 60
    assert outcome.ok.repeat == 1
    assert len(outcome.npz("predictions.npz")["classes"]) == whole.items
    assert [found.name for found in outcome.ok.measurements] == ["core", "whole"]


def test_validate_runs_its_own_engine_at_its_own_precision(make_job: MakeJob) -> None:
    job = make_job(
        engine="absent", validate_engine="colours", validate_precision="bf16"
    ).with_pictures(5)
    report = job.run_forked("validate").ok
    assert (report.details["engine"], report.details["precision"]) == ("colours", "bf16")
    assert {found.name for found in report.measurements} == {"core", "whole"}


def test_validate_may_run_an_engine_of_the_harness_of_another_name(make_job: MakeJob) -> None:
    """It looked for a file of that name in the hook's folder, and found another stack's engine there."""
    job = make_job(
        engine="colours",
        validate_engine="eager",
        validate_harness_engine="no_such_engine",
    ).with_pictures(5)
    message = job.run_forked("validate").failed("contract")
    assert "harness/engines/no_such_engine.py" in message


def test_compile_leaves_the_files_of_the_cache_with_their_digests(make_job: MakeJob) -> None:
    job = make_job()
    (job.folder / "cache" / "engine.plan").write_bytes(b"compiled")
    artifacts = job.run_forked("compile").ok.artifacts
    assert [(found.path, found.bytes) for found in artifacts] == [("cache/engine.plan", 8)]


def test_the_report_names_every_file_that_infer_leaves(usual: Outcome) -> None:
    report = usual.ok
    assert {found.path for found in report.artifacts} == {
        f"out/{name}"
        for name in (
            *("core.npy", "latency.npy", "whole.npy"),
            *("core_samples.npz", "predictions.npz", "raw.npz"),
        )
    }


def test_progress_ends_with_the_last_phase(usual: Outcome) -> None:
    assert '"phase": "whole"' in (usual.out / "progress.json").read_text()
    assert not list(itertools.chain(usual.out.glob("*.tmp"), usual.out.glob("*.json.*")))


def test_an_item_that_is_no_picture_is_named(make_job: MakeJob) -> None:
    job = make_job(batch_size=4)
    pictures = colours(10)[0]
    write_files(job.data, [*pictures[:8], b"just text, whatever its name was", pictures[9]])
    message = job.run_forked().failed("data")
    assert "item 000009" in message


def test_a_picture_that_is_cut_short_is_named(make_job: MakeJob) -> None:
    job = make_job(batch_size=4)
    pictures = colours(6)[0]
    write_files(job.data, [*pictures[:2], pictures[2][:-30], *pictures[3:]])
    assert "item 000003" in job.run_forked().failed("data")


def test_a_graph_that_wants_another_input_is_reported_at_once(make_job: MakeJob) -> None:
    job = make_job(inputs=[{"name": "input", "shape": [3, 224, 224]}]).with_pictures(3)
    message = job.run_forked().failed("contract")
    assert "[3, 224, 224]" in message
    assert f"[3, {SIDE}, {SIDE}]" in message


def test_core_that_computes_something_else_than_whole_is_seen(make_job: MakeJob) -> None:
    message = make_job(engine="fickle").with_pictures(8).run_forked().failed("contract")
    assert "beside the core loop than in the whole loop" in message


@pytest.mark.parametrize("samples", [[], [4, 5]])
def test_a_vendor_s_own_clock_is_named_as_such(make_job: MakeJob, samples: list[int]) -> None:
    options = {"wall_ns": 9, "samples_ns": samples}
    outcome = (
        make_job(engine="tool", engine_options=options, batch_size=4).with_pictures(8).run_forked()
    )
    core = loop(outcome.ok, "core")
    assert (core.clock, core.items, core.wall_ns, core.includes) == (
        "vendor-tool",
        8,
        9,
        ("compute",),
    )
    assert (core.h2d_ns, core.compute_ns) == (None, 7)
    assert core.samples == ("core.npy" if samples else None)
    assert not samples or outcome.npy("core.npy").tolist() == samples
    assert outcome.ok.core_agreement is None
    assert loop(outcome.ok, "whole").clock == "harness"


def test_a_smoke_run_of_a_slow_model_times_core_within_the_whole_loop(make_job: MakeJob) -> None:
    job = make_job(batch_size=4, measure={"single_pass": True}).with_pictures(10)
    outcome = job.run_forked()
    report = outcome.ok
    assert sorted(found.name for found in report.measurements) == ["core", "whole"]
    core, whole = loop(report, "core"), loop(report, "whole")
    # Without the call that warmed up: a full batch, and the last one of two items.
    assert (core.calls, core.items, whole.items) == (2, 6, 10)
    assert core.wall_ns == outcome.npy("core.npy").sum() < whole.wall_ns
    assert 0 < report.details["first_call_ns"] < whole.wall_ns
    assert whole.started_ns is not None
    assert core.started_ns is not None
    assert core.started_ns >= whole.started_ns
    assert core.warmup is None
    assert report.details["core_of_whole"] is True


def test_a_padded_batch_counts_whole_in_core_and_as_its_items_in_whole(make_job: MakeJob) -> None:
    job = make_job(engine="static", batch_size=4, measure={"single_pass": True})
    report = job.with_pictures(10).run_forked().ok
    assert (loop(report, "core").items, loop(report, "whole").items) == (8, 10)


def test_a_single_call_is_core_and_warm_up_in_one(make_job: MakeJob) -> None:
    job = make_job(batch_size=4, measure={"single_pass": True}).with_pictures(3)
    assert loop(job.run_forked().ok, "core").calls == 1


def test_with_several_in_flight_core_has_its_own_loop_however_slow(make_job: MakeJob) -> None:
    job = make_job(
        engine="enqueue",
        engine_options={"item_ms": 1.0},
        measure={"single_pass": True},
    )
    assert "core_of_whole" not in job.with_pictures(8).run_forked().ok.details


def test_a_repeat_does_one_batch_even_when_its_time_is_up_at_once(make_job: MakeJob) -> None:
    job = make_job(batch_size=4, repeat=1, measure={"min_seconds": 1e-9})
    assert loop(job.with_pictures(20).run_forked().ok, "whole").items == 4


def test_the_first_process_does_every_item_however_little_time_it_has(make_job: MakeJob) -> None:
    job = make_job(batch_size=4, repeat=0, measure={"min_seconds": 1e-9})
    assert loop(job.with_pictures(20).run_forked().ok, "whole").items == 20


def test_the_last_call_of_core_is_always_checked(make_job: MakeJob) -> None:
    report = make_job(batch_size=4, measure={"min_seconds": 0.3}).with_pictures(20).run_forked().ok
    calls = loop(report, "core").calls
    assert calls > 100, "none of the eight that are chosen at random is likely to be the last"
    assert report.details["core_check"]["calls"][-1] == calls


def test_an_audit_checks_more_and_compares_repeated_inputs_with_fresh_ones(
    make_job: MakeJob,
) -> None:
    measure = {"min_seconds": 0.3, "audit": True}
    outcome = make_job(batch_size=4, measure=measure).with_pictures(20).run_forked()
    details = outcome.ok.details
    assert details["core_check"]["items"] > 64
    assert len(outcome.npz("core_samples.npz")["output:logits"]) == 64
    rates = details["repeated_inputs"]
    assert [len(rates[name]) for name in ("fresh", "repeated")] == [10, 10]
    later = make_job(batch_size=4, repeat=1, measure=measure).with_pictures(20).run_forked()
    assert "repeated_inputs" not in later.ok.details


def test_the_engine_s_settings_are_those_it_read_back(make_job: MakeJob) -> None:
    report = (
        make_job(engine="enqueue", engine_options={"item_ms": 1.0}).with_pictures(8).run_forked().ok
    )
    assert report.effective == {"precision": "fp32", "item_ms": 1.0, "in_flight": 2}


@pytest.mark.parametrize("same_process", [False, True])
def test_garbage_is_searched_rarely_while_an_engine_loads_and_as_usual_in_the_loops(
    make_job: MakeJob, same_process: bool
) -> None:
    options = {"same_process": same_process}
    report = make_job(engine="garbage", engine_options=options).with_pictures(10).run().ok
    assert report.engine_process is not None
    assert report.engine_process.separate is not same_process
    assert report.effective["loading"] == 20000
    assert int(report.versions["measuring"]) < 20000
