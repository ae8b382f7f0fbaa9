"""Tables: published headings and digits, struck rows, batch tables with ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.groups import grouped, struck
from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.aggregate.tables import batch_table, table
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def record(key: dict[str, Any] | None = None, **changes: Any) -> Record:
        body = documents.document(job=documents.job(**(key or {})), **changes)
        found = read_record(str(documents.write(tmp_path, body)))
        assert isinstance(found, Record), found
        return found

    return record


PUBLISHED_HEADINGS = (
    "precision bs e2e_time p_val_whole p_val_core p_infer_whole *p_infer_core *MFU acc mem"
)


@pytest.mark.parametrize(("language", "tool"), [("en", "tool"), ("zh", "推理工具")])
def test_headings_are_the_published_ones(make: Any, language: Any, tool: str) -> None:
    assert table([make()], language).headers[1:] == (tool, *PUBLISHED_HEADINGS.split())


def test_document_002_calls_its_accuracy_clip_score(make: Any) -> None:
    row = make(metrics=documents.metrics(60.6, acc_metric="clip_score"))
    assert "CLIP Score" in table([row]).headers


def test_a_row_has_the_published_digits(make: Any) -> None:
    cells = table([make()]).rows[0].cells
    assert cells[0] == "nvidia A100-SXM4-40GB"
    assert cells[1:5] == ("tensorrt", "fp16", "64", "1009.7")
    assert cells[8:10] == ("1329.2", "26.2%")


def test_a_missing_figure_is_a_slash(make: Any) -> None:
    row = make(metrics=documents.metrics(p_val_whole=None, mfu=None, mem_gib=None))
    cells = table([row]).rows[0].cells
    assert (cells[5], cells[9], cells[11]) == ("/", "/", "/")


@pytest.mark.parametrize(
    ("mfu", "shown"),
    [(0.0412, "0.041%"), (0.96, "0.96%"), (1.23, "1.2%"), (26.2, "26.2%"), (4e-7, "0.00000040%")],
)
def test_a_small_mfu_has_digits_enough(make: Any, mfu: float, shown: str) -> None:
    assert table([make(metrics=documents.metrics(mfu=mfu))]).rows[0].cells[9] == shown


def test_the_absent_half_of_a_pair_is_a_slash(make: Any) -> None:
    figures = documents.metrics(acc_infer=100.0, acc_val=None, mem_total_gib=None)
    cells = table([make(metrics=figures)]).rows[0].cells
    assert (cells[10], cells[11]) == ("100.00 / /", "35.00 / /")
    nothing = documents.metrics(acc_infer=None, acc_val=79.3)
    assert table([make(metrics=nothing)]).rows[0].cells[10] == "/ / 79.30"


def test_failed_accuracy_is_struck_out_with_its_reason(make: Any) -> None:
    gate = {"passed": False, "allowed_relative_drop": 0.01, "reason": "70.00 against 79.30"}
    found = table([make(status="accuracy_failed", gate=gate)])
    cells = found.as_text()[0]
    assert cells[8] == "~~1329.2~~"
    assert cells[:4] == ("nvidia A100-SXM4-40GB", "tensorrt", "fp16", "64")
    assert "70.00 against 79.30" in cells[-1]


def test_simulated_and_synthetic_rows_are_marked(make: Any) -> None:
    found = table([make(simulated=True, weights="synthetic", data="synthetic")])
    assert found.rows[0].cells[-1] == "simulated; synthetic weights; synthetic data"


@pytest.mark.parametrize(
    ("clock", "mark"),
    [("vendor-tool", "timed by the vendor's tool"), ("hook", "timed by its own hook")],
)
def test_a_row_that_the_harness_did_not_time_is_marked(make: Any, clock: str, mark: str) -> None:
    origin = documents.provenance(documents.job()) | {"core": {"clock": clock}}
    assert table([make(provenance=origin)]).rows[0].cells[-1] == mark


def test_rows_without_notes_have_no_note_column(make: Any) -> None:
    assert "note" not in table([make()]).headers


def test_results_that_are_not_comparable_have_separate_tables(make: Any) -> None:
    rows = [
        make(),
        make({"tier": "smoke"}),
        make({"case": "sam"}),
        make({"chip": "T4"}, weights="synthetic"),
        make({"batch_size": 1}),
    ]
    groups = grouped(rows)
    assert [len(group.records) for group in groups] == [1, 2, 1, 1]
    assert len({group.title for group in groups}) == 4


def test_groups_with_different_weights_of_one_kind_have_different_titles(make: Any) -> None:
    other = documents.provenance(documents.job())
    other["weights"] = {"digest": "f" * 64}
    titles = [group.title for group in grouped([make(), make({"chip": "T4"}, provenance=other)])]
    assert len(set(titles)) == 2
    assert any("ffffffff" in title for title in titles)


def test_a_failed_job_is_struck_with_its_kind(make: Any) -> None:
    failure = {"kind": "out_of_memory", "stage": "infer", "message": "12 GiB", "remedy": "BS=1"}
    nothing = {"acc_metric": "acc1"}
    assert struck(make(status="failed", failure=failure, metrics=nothing)) == (
        "failed (out_of_memory): 12 GiB"
    )


TABLE_OF_004 = {
    "310": {1: 1132.564, 4: 2404.912, 16: 2917.84},
    "310P": {1: 634.528, 4: 2228.9, 16: 3907.39},
}


def test_the_batch_table_equals_the_published_one(make: Any) -> None:
    rows = [
        make(
            {"vendor": "ascend", "chip": chip, "batch_size": size}, metrics=documents.metrics(core)
        )
        for chip, figures in TABLE_OF_004.items()
        for size, core in figures.items()
    ]
    found = batch_table(rows, "zh")
    assert found.headers == ("Throughput", "310", "310P", "310P/310")
    assert [row.cells for row in found.rows] == [
        ("bs1", "1132.6", "634.5", "0.56"),
        ("bs4", "2404.9", "2228.9", "0.93"),
        ("bs16", "2917.8", "3907.4", "1.34"),
        ("最优batch", "2917.8", "3907.4", "1.34"),
    ]


def test_a_batch_size_that_one_chip_lacks_has_no_ratio(make: Any) -> None:
    rows = [make({"batch_size": 1}), make({"chip": "T4", "batch_size": 2})]
    assert [row.cells[-1] for row in batch_table(rows).rows] == ["/", "/", "1.00"]


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("device_shared", "device shared"),
        ("whole_exceeds_core", "faster from files than from memory"),
        ("part_of_device", "part of a device"),
        ("chip_unconfirmed", "chip unconfirmed"),
    ],
)
def test_a_warning_is_in_the_note_and_marks_its_figures(make: Any, code: str, note: str) -> None:
    found = table([make(warnings=documents.warned(code))])
    assert found.rows[0].cells[-1] == note
    assert found.rows[0].cells[8] == "1329.2 !"
    assert "!" not in found.rows[0].cells[10], "the accuracy is not concerned"


def test_an_unstable_figure_and_its_ratios_carry_a_mark(make: Any) -> None:
    unstable = documents.unstable(400.0)
    rows = [
        make({"batch_size": 1}, metrics=unstable["metrics"], warnings=unstable["warnings"]),
        make({"batch_size": 4}),
        make({"chip": "T4", "batch_size": 1}, metrics=documents.metrics(200.0)),
        make({"chip": "T4", "batch_size": 4}, metrics=documents.metrics(200.0)),
    ]
    assert [row.cells for row in batch_table(rows).rows] == [
        ("bs1", "400.0 !", "200.0", "0.50 !"),
        ("bs4", "1329.2", "200.0", "0.15"),
        ("best batch", "1329.2", "200.0", "0.15"),
    ]
    cells = table(rows[:1]).rows[0].cells
    assert (cells[8], cells[9], cells[-1]) == (
        "400.0 !",
        "26.2% !",
        "unstable: p_infer_core ±30 %",
    )


def test_edited_and_failed_rows_enter_no_ratio(make: Any) -> None:
    gate = {"passed": False, "allowed_relative_drop": 0.01, "reason": "too low"}
    rows = [make(), make({"chip": "T4"}, status="accuracy_failed", gate=gate)]
    assert batch_table(rows).headers == ("Throughput", "A100-SXM4-40GB")


def test_columns_of_one_chip_are_named_by_engine_and_precision(make: Any) -> None:
    rows = [make(), make({"precision": "fp32"}), make({"engine": "eager"})]
    assert batch_table(rows).headers[1:4] == (
        "A100-SXM4-40GB eager fp16",
        "A100-SXM4-40GB tensorrt fp16",
        "A100-SXM4-40GB tensorrt fp32",
    )


def test_ratios_are_those_of_the_named_columns(make: Any) -> None:
    rows = [
        make({"chip": chip, "batch_size": 8}, metrics=documents.metrics(rate))
        for chip, rate in (("A", 100.0), ("B", 50.0), ("C", 25.0), ("D", 200.0))
    ]
    assert batch_table(rows).headers[5:] == ("B/A", "C/A", "D/A")
    found = batch_table(rows, ratios=["D/B", "A/C", "A/nothing"])
    assert found.headers[5:] == ("D/B", "A/C")
    assert found.rows[0].cells[5:] == ("4.00", "4.00")


def test_marked_results_share_no_column_and_no_ratio_with_measured_ones(make: Any) -> None:
    def batches(chip: str, core: float, **changes: Any) -> Record:
        record: Record = make({"chip": chip}, metrics=documents.metrics(core), **changes)
        return record

    rows = [
        batches("310P", 100.0),
        batches("310P", 900.0, simulated=True),
        batches("310", 300.0, simulated=True),
    ]
    found = batch_table(rows)
    names = ("310P", "310 (simulated)", "310P (simulated)")
    assert found.headers == ("Throughput", *names, "310P (simulated)/310 (simulated)")
    assert found.rows[0].cells == ("bs64", "100.0", "300.0", "900.0", "3.00")
    assert batch_table(rows, ratios=["310P/310"]).headers[4:] == found.headers[4:]
    smoke = make({"tier": "smoke"}, weights="synthetic")
    assert batch_table([smoke]).headers[1] == "A100-SXM4-40GB (synthetic, smoke)"


def test_no_results_give_an_empty_batch_table() -> None:
    assert batch_table([]).rows == ()


@pytest.mark.parametrize(
    ("kind", "acc_val", "passed", "notes"),
    [
        ("labels", 79.3, True, []),
        ("labels", None, None, ["accuracy not checked"]),
        ("labels", None, True, ["accuracy checked against fp32 golden outputs"]),
        ("agreement", 79.3, True, ["accuracy checked against fp32 golden outputs"]),
    ],
)
def test_a_row_is_marked_with_how_its_accuracy_was_checked(
    make: Any, kind: str, acc_val: float | None, passed: bool | None, notes: list[str]
) -> None:
    gate = {"passed": passed, "allowed_relative_drop": 0.01, "reason": "as it was"}
    found = table([make(metrics=documents.metrics(acc_kind=kind, acc_val=acc_val), gate=gate)])
    assert list(found.rows[0].cells[12:]) == notes


def read(tmp_path: Path, *bodies: dict[str, Any]) -> list[Record]:
    paths = [documents.write(tmp_path / str(number), body) for number, body in enumerate(bodies)]
    found = [read_record(str(path)) for path in paths]
    return [record for record in found if isinstance(record, Record)]


def test_two_processors_share_no_column_and_no_row_name(tmp_path: Path) -> None:
    """Older results call both chips ``host``: what they say of their host tells them apart."""
    cpus = ("AMD EPYC 9B14", "Intel(R) Xeon(R) Gold 6348")
    records = read(tmp_path, *(documents.host_result(cpu) for cpu in cpus))
    assert [row.cells[0] for row in table(records).rows] == [
        "cpu AMD EPYC 9B14, 64 of 64 threads, 64 GiB",
        "cpu Intel Xeon Gold 6348, 64 of 64 threads, 64 GiB",
    ]
    assert len(batch_table(records).headers) == 4, "two columns and their ratio"


def test_a_processor_that_a_result_does_not_state_is_the_host_as_before(tmp_path: Path) -> None:
    body = documents.host_result("", started_utc="2024-03-01T08:00:00Z")
    key, origin = body["job"], body["provenance"]
    bodies = [
        documents.document(job=key, provenance={**origin, "host": host})
        for host in (None, "odd", {}, {"cpu": 3, "threads": 2}, {"cpu": "A", "threads": "many"})
    ]
    bodies.append(documents.document(job={**key, "runner": "slurm"}, provenance=origin))
    assert [(one.chip, one.processor) for one in read(tmp_path, *bodies)] == [("host", None)] * 6


def test_rows_of_several_hosts_say_which(tmp_path: Path) -> None:
    names = ("lab-7", "lab-8", None)
    records = read(tmp_path, *(documents.host_result("AMD EPYC", name=name) for name in names))
    notes = [row.cells[-1] for row in table(records).rows]
    assert [note.split("; ")[-1] for note in notes] == [
        "on lab-7",
        "on lab-8",
        "on an unnamed host",
    ]
    assert table(records[:1]).headers[-1] != "note"
