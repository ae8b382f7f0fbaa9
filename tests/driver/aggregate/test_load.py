"""Loading folders: every usable result is found once, everything else is listed with its reason."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from driver.aggregate import index, tree
from driver.aggregate import load as load_module
from driver.aggregate.load import Loaded, load_results
from driver.aggregate.problem import ProblemKind
from driver.aggregate.tree import find_results
from driver.errors import UsageFault
from tests import documents


def load(*folders: Path, home: Path | None = None) -> Loaded:
    return load_results(folders, home=home)


def only_problem(loaded: Loaded) -> tuple[ProblemKind, str]:
    assert len(loaded.problems) == 1, loaded.problems
    return loaded.problems[0].kind, loaded.problems[0].message


def write_text(root: Path, text: str) -> Path:
    path = root / "vit" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_result_becomes_a_row_without_problems(tmp_path: Path) -> None:
    documents.write(tmp_path, documents.document())
    loaded = load(tmp_path)
    row = loaded.records()[0]
    assert loaded.problems == ()
    assert (row.case, row.p_infer_core, row.batch_size) == ("vit_l_16", 1329.2, 64)
    assert row.core_values == (1329.2, 1329.2 * 0.99, 1329.2 * 1.01)
    assert ("compile", 310.0) in row.time_shares
    assert not row.edited


def test_an_empty_tree_has_no_results(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert (loaded.files, loaded.table.num_rows, loaded.problems) == (0, 0, ())


def test_a_path_that_is_not_text_is_listed_and_hides_no_other(tmp_path: Path) -> None:
    documents.write(tmp_path / "good", documents.document())
    documents.write(tmp_path / os.fsdecode(b"m\xe4rz"), documents.document())
    loaded = load(tmp_path, home=tmp_path / "home")
    assert only_problem(loaded) == (ProblemKind.UNREADABLE, "its path is not UTF-8")
    assert "m\\udce4rz" in loaded.problems[0].path
    assert loaded.table.num_rows == 1


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="does not exist"):
        load(tmp_path / "nowhere")


def test_truncated_json_is_listed(tmp_path: Path) -> None:
    text = json.dumps(documents.document())
    write_text(tmp_path, text[: len(text) // 2])
    kind, message = only_problem(load(tmp_path))
    assert kind is ProblemKind.NOT_JSON
    assert f"{len(text) // 2} bytes" in message


@pytest.mark.parametrize("text", ["", "[]", "null", "\x00\x01", "[" * 100_000])
def test_json_that_is_not_an_object_is_listed(tmp_path: Path, text: str) -> None:
    write_text(tmp_path, text)
    assert only_problem(load(tmp_path))[0] is ProblemKind.NOT_JSON


@pytest.mark.parametrize(
    ("schema", "kind", "word"),
    [
        ("assay/result/0", ProblemKind.OLDER_SCHEMA, "older"),
        ("assay/result/2", ProblemKind.NEWER_SCHEMA, "newer"),
        ("assay/job/1", ProblemKind.OTHER_SCHEMA, "assay/job/1"),
        (None, ProblemKind.OTHER_SCHEMA, "None"),
        ("\x1b[31m", ProblemKind.OTHER_SCHEMA, "x1b"),
    ],
)
def test_another_schema_is_named(
    tmp_path: Path, schema: str | None, kind: ProblemKind, word: str
) -> None:
    documents.write(tmp_path, documents.document(schema=schema))
    found, message = only_problem(load(tmp_path))
    assert found is kind
    assert word in message
    assert "\x1b" not in message


def test_a_figure_edited_by_hand_is_shown_as_edited(tmp_path: Path) -> None:
    body = documents.document()
    body["metrics"]["p_infer_core"] = 9999.0
    documents.write(tmp_path, body)
    loaded = load(tmp_path)
    assert loaded.records()[0].edited
    assert only_problem(loaded)[0] is ProblemKind.EDITED


def test_a_result_without_its_digest_counts_as_edited(tmp_path: Path) -> None:
    documents.write(tmp_path, documents.document(unsigned=True))
    assert load(tmp_path).records()[0].edited


def test_floats_of_every_size_keep_their_digest(tmp_path: Path) -> None:
    odd = {"max_abs": 1e-7, "cosine_min": 0.1 + 0.2, "items": 1}
    figures = documents.metrics(1e-5, fidelity=odd, energy_j=1e16 / 1e3, acc_also={"x": 1.5e300})
    documents.write(tmp_path, documents.document(metrics=figures))
    assert load(tmp_path).problems == ()


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ["metrics", "provenance"])
def test_a_figure_that_is_not_finite_is_listed(tmp_path: Path, literal: str, place: str) -> None:
    body = documents.document()
    body[place]["energy_j"] = "@"
    write_text(tmp_path, json.dumps(body).replace('"@"', literal))
    assert only_problem(load(tmp_path))[0] is ProblemKind.INVALID


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"p_infer_core": -3.0}, "p_infer_core is -3 items/s"),
        ({"p_infer_whole": 0.0}, "p_infer_whole is 0 items/s"),
        ({"p_infer_core": 1e12}, "at most 1e9"),
        ({"p_infer_core": None}, "no p_infer_core"),
        ({"mfu": 140.0}, "mfu is 140"),
        ({"mem_gib": 80.0, "mem_total_gib": 40.0}, "80 GiB, but the device has 40 GiB"),
        ({"mem_gib": -1.0}, "mem_gib is -1"),
        ({"e2e_time_s": 1e12}, "e2e_time_s"),
        ({"latency_ms": {"p50": 9.0, "p90": 4.0}}, "p50 (9) is above p90 (4)"),
        ({"latency_ms": {"p50": -1.0}}, "p50 is -1 ms"),
        ({"fidelity": {"items": 1, "cosine_min": 3.0, "max_abs": 0.0}}, "cosine"),
        ({"spread": {"p_infer_core": {"values": [-1.0], "median": -1.0}}}, "has the value -1"),
    ],
)
def test_an_absurd_figure_is_listed_with_its_value(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    figures = {**documents.metrics(5.0), **changes}
    documents.write(tmp_path, documents.document(metrics=figures))
    kind, message = only_problem(load(tmp_path))
    assert kind is ProblemKind.ABSURD
    assert words in message


def test_a_job_that_finished_before_it_started_is_absurd(tmp_path: Path) -> None:
    documents.write(tmp_path, documents.document(finished_utc="2023-01-01T00:00:00Z"))
    assert only_problem(load(tmp_path))[0] is ProblemKind.ABSURD


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"status": "fine"},
        {"stages": "none"},
        {"job": documents.job(batch_size=0)},
        {"job": documents.job(case="../../etc")},
        {"job": documents.job() | {"id": "x"}},
    ],
)
def test_a_result_that_violates_its_schema_is_listed(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_text(tmp_path, json.dumps(documents.document(**changes)))
    assert only_problem(load(tmp_path))[0] is ProblemKind.INVALID


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    body = documents.document()
    del body["metrics"]["acc_metric"]
    documents.write(tmp_path, body)
    assert "metrics.acc_metric" in only_problem(load(tmp_path))[1]


def test_two_different_results_with_one_id_are_both_shown_and_marked(tmp_path: Path) -> None:
    documents.write(tmp_path / "a", documents.document())
    documents.write(tmp_path / "b", documents.document(metrics=documents.metrics(7.0)))
    loaded = load(tmp_path)
    assert [problem.kind for problem in loaded.problems] == [ProblemKind.SAME_ID] * 2
    assert loaded.table.num_rows == 2
    assert loaded.same_id == {record.path for record in loaded.records()}


def test_a_copy_counts_once_and_is_listed(tmp_path: Path) -> None:
    documents.write(tmp_path / "a", documents.document())
    documents.write(tmp_path / "b", documents.document())
    loaded = load(tmp_path)
    assert only_problem(loaded)[0] is ProblemKind.COPY
    assert loaded.table.num_rows == 1


def test_an_edited_copy_is_a_different_result(tmp_path: Path) -> None:
    body = documents.document()
    documents.write(tmp_path / "b", body)
    body["metrics"]["p_infer_core"] = 9999.0
    documents.write(tmp_path / "a", body)
    loaded = load(tmp_path)
    assert {problem.kind for problem in loaded.problems} == {
        ProblemKind.EDITED,
        ProblemKind.SAME_ID,
    }
    assert loaded.table.num_rows == 2


def test_folders_from_several_machines_are_read_together(tmp_path: Path) -> None:
    documents.write(tmp_path / "a", documents.document())
    documents.write(tmp_path / "b", documents.document(job=documents.job(chip="T4")))
    assert load(tmp_path / "a", tmp_path / "b").table.num_rows == 2


def test_a_folder_within_another_is_read_once(tmp_path: Path) -> None:
    documents.write(tmp_path / "a", documents.document())
    assert load(tmp_path, tmp_path / "a").files == 1


def test_a_result_may_be_named_itself(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document())
    assert load(path).table.num_rows == 1
    assert load(path.parent).table.num_rows == 1


def test_a_link_to_a_parent_folder_is_listed_and_not_followed(tmp_path: Path) -> None:
    documents.write(tmp_path, documents.document())
    (tmp_path / "vit_l_16" / "again").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    loaded = load(tmp_path)
    assert [problem.kind for problem in loaded.problems] == [ProblemKind.LINK_LOOP] * 2
    assert loaded.table.num_rows == 1


def test_a_link_to_another_folder_is_followed_once(tmp_path: Path) -> None:
    documents.write(tmp_path / "elsewhere", documents.document())
    root = tmp_path / "results"
    root.mkdir()
    (root / "one").symlink_to(tmp_path / "elsewhere")
    (root / "two").symlink_to(tmp_path / "elsewhere")
    loaded = load(root)
    assert (loaded.table.num_rows, loaded.problems) == (1, ())


def test_a_link_within_the_tree_adds_nothing(tmp_path: Path) -> None:
    documents.write(tmp_path, documents.document())
    (tmp_path / "latest").symlink_to(tmp_path / "vit_l_16")
    loaded = load(tmp_path)
    assert (loaded.table.num_rows, loaded.problems) == (1, ())


def test_unreadable_files_and_folders_are_listed() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        documents.write(root, documents.document())
        secret = documents.write(root, documents.document(job=documents.job(case="sam")))
        secret.chmod(0o000)
        closed = root / "vit_b_32"
        closed.mkdir(mode=0o000)
        mine = os.geteuid()
        if mine == 0:
            os.seteuid(65534)
        try:
            loaded = load(root)
        finally:
            os.seteuid(mine)
        closed.chmod(0o755)
    assert [problem.kind for problem in loaded.problems] == [ProblemKind.UNREADABLE] * 2
    assert {Path(problem.path).name for problem in loaded.problems} == {"vit_b_32", "result.json"}
    assert loaded.table.num_rows == 1


def test_a_folder_named_result_json_is_searched(tmp_path: Path) -> None:
    documents.write(tmp_path / "result.json", documents.document())
    assert load(tmp_path).table.num_rows == 1


def test_unchanged_results_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents.write(tmp_path / "r", documents.document())
    write_text(tmp_path / "r", "{")
    first = load(tmp_path / "r", home=tmp_path / "home")
    monkeypatch.setattr(load_module, "read_records", _must_not_be_called)
    second = load(tmp_path / "r", home=tmp_path / "home")
    assert second.records() == first.records()
    assert second.problems == first.problems


def _must_not_be_called(paths: list[str]) -> None:
    raise AssertionError(paths)


def test_changed_results_are_read_again(tmp_path: Path) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    path = documents.write(root, documents.document())
    documents.write(root, documents.document(job=documents.job(case="sam")))
    assert load(root, home=home).table.num_rows == 2
    before = path.stat()
    path.write_text(json.dumps(documents.document(metrics=documents.metrics(7.0))))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    documents.write(root, documents.document(job=documents.job(chip="T4")))
    records = load(root, home=home).records()
    assert sorted(record.p_infer_core or 0 for record in records) == [7.0, 1329.2, 1329.2]


def test_removed_results_are_gone(tmp_path: Path) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    path = documents.write(root, documents.document())
    load(root, home=home)
    path.unlink()
    assert load(root, home=home).table.num_rows == 0


@pytest.mark.parametrize("damage", [b"", b"PAR1 and nothing"])
def test_a_damaged_index_is_rebuilt(tmp_path: Path, damage: bytes) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    documents.write(root, documents.document())
    load(root, home=home)
    (file,) = (home / "cache" / "results-index").iterdir()
    file.write_bytes(damage)
    assert load(root, home=home).table.num_rows == 1
    assert file.stat().st_size > len(damage)


def test_an_index_of_other_code_is_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    documents.write(root, documents.document())
    with monkeypatch.context() as older:
        older.setattr(index, "reader_version", lambda: "older")
        load(root, home=home)
    monkeypatch.setattr(load_module, "read_records", _must_not_be_called)
    with pytest.raises(AssertionError):
        load(root, home=home)


def test_a_home_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    documents.write(tmp_path / "r", documents.document())
    (tmp_path / "home").write_text("a file")
    assert load(tmp_path / "r", home=tmp_path / "home").table.num_rows == 1


def test_many_results_are_read_by_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "INLINE", 1)
    monkeypatch.setattr(load_module, "CHUNK", 2)
    sizes = [1, 2, 4, 8, 16]
    for size in sizes:
        documents.write(tmp_path, documents.document(job=documents.job(batch_size=size)))
    seen: list[tuple[int, int]] = []
    loaded = load_results([tmp_path], on_progress=lambda done, of: seen.append((done, of)))
    assert sorted(record.batch_size for record in loaded.records()) == sizes
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_examples_of_the_tree_count_only_where_they_are_named(tmp_path: Path) -> None:
    measured = tmp_path / "measured"
    documents.write(tmp_path, documents.document())
    example = documents.write(measured, documents.document(job=documents.job(batch_size=1)))
    assert load(tmp_path).files == 2, "a folder of that name is nothing special"
    (measured / ".examples").touch()
    assert load(tmp_path).files == 1
    for named in (measured, example, example.parent, measured / "vit_l_16"):
        assert load(named).files == 1
        assert load(tmp_path, named).files == 2
    example.rename(measured / "result.json")
    assert (load(tmp_path).files, load(measured).files) == (1, 1)


def test_threads_list_what_a_slow_disk_keeps_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 2, 4, 8, 16):
        job = documents.job(batch_size=size, chip=f"chip-{size}", engine=f"engine-{size}")
        documents.write(tmp_path, documents.document(job=job))
    here = find_results([tmp_path])
    threads: set[str] = set()
    look = tree._look_into

    def looking(*arguments: Any) -> None:
        threads.add(threading.current_thread().name)
        look(*arguments)

    monkeypatch.setattr(tree, "_look_into", looking)
    monkeypatch.setattr(tree, "SLICE", 1)
    monkeypatch.setattr(tree, "SLOW_S", 60.0)
    assert (find_results([tmp_path]), len(threads)) == (here, 1)
    monkeypatch.setattr(tree, "SLOW_S", 0.0)
    assert find_results([tmp_path]) == here
    assert len(threads) > 1


def index_files(home: Path) -> list[Path]:
    return sorted((home / "cache" / "results-index").iterdir(), key=lambda path: len(path.name))


def as_written(path: Path) -> tuple[int, int, int]:
    """Return what writing a file changes; reading one changes its time of access."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def test_an_added_result_does_not_write_the_others_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    for size in (1, 2, 4):
        documents.write(root, documents.document(job=documents.job(batch_size=size)))
    load(root, home=home)
    (most,) = index_files(home)
    before = as_written(most)
    for size in (8, 16):
        documents.write(root, documents.document(job=documents.job(batch_size=size)))
        load(root, home=home)
    assert as_written(index_files(home)[0]) == before
    monkeypatch.setattr(load_module, "read_records", _must_not_be_called)
    sizes = [record.batch_size for record in load(root, home=home).records()]
    assert sorted(sizes) == [1, 2, 4, 8, 16]


def test_many_added_results_join_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    monkeypatch.setattr(index, "RECENT_ROWS", 1)
    for size, files in ((1, 1), (2, 2), (4, 1)):
        documents.write(root, documents.document(job=documents.job(batch_size=size)))
        load(root, home=home)
        assert len(index_files(home)) == files
    monkeypatch.setattr(load_module, "read_records", _must_not_be_called)
    assert load(root, home=home).files == 3


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_bit_of_the_index_is_never_a_figure(tmp_path: Path, which: int) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    for size in (1, 2):
        documents.write(root, documents.document(job=documents.job(batch_size=size)))
        load(root, home=home)
    file = index_files(home)[which]
    whole = file.read_bytes()
    expected = load(root).records()
    for place in range(0, len(whole), len(whole) // 12):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert load(root, home=home).records() == expected


def test_a_result_that_changes_again_and_again_is_always_the_newest(tmp_path: Path) -> None:
    root, home = tmp_path / "r", tmp_path / "home"
    documents.write(root, documents.document(job=documents.job(batch_size=1)))
    path = documents.write(root, documents.document())
    for figure in (5.0, 6.0, 7.0):
        path.write_text(json.dumps(documents.document(metrics=documents.metrics(figure))))
        assert [record.p_infer_core for record in load(root, home=home).records()][-1] == figure


def test_files_are_found_in_order_of_their_paths_each_with_its_own_state(tmp_path: Path) -> None:
    for size in (16, 1, 8):
        documents.write(tmp_path, documents.document(job=documents.job(batch_size=size)))
    # "-" comes before "/": the order of whole paths is not that of their folders.
    shutil.copytree(tmp_path / "vit_l_16", tmp_path / "vit_l_16-copy")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "result.json").write_text("{}")
    files = find_results([tmp_path]).files
    assert files.paths == sorted(map(str, tmp_path.rglob("result.json")))
    assert list(files) == [files[place] for place in range(len(files))]
    for file in files:
        state = Path(file.path).stat()
        found = (state.st_ctime_ns, state.st_size, state.st_ino)
        assert (file.ctime_ns, file.size, file.inode) == found
