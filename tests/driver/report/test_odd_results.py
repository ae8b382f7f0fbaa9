"""One odd result.json never ends a report: it is shown, or it is listed with what is odd about it."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from driver.aggregate.load import load_results
from driver.report.build import ReportOptions, report
from driver.results.history import _read
from driver.system.hashing import canonical_digest
from tests import documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1 << 62, 1 << 63, 1 << 70, 10**400, 1e308),
    *("", "\0", "x" * 5000, "\ud800", "../../x", "2026-13-45"),
    *([], [[]], [None], {}, {"": None}, {"values": [], "median": 1.0}, [[[[1e308, -1]]]]),
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from paths_in(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from paths_in(part, (*path, number))


def changed(document: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    # A tenth of the time of copy.deepcopy, 5,000 times.
    made = pickle.loads(pickle.dumps(document))
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    if path[0] != "digest":
        # A right digest: nothing is left out for having been edited.
        with suppress(ValueError):
            made["digest"] = canonical_digest(made)
    return made


def whole() -> dict[str, Any]:
    sample = {"name": "infer-0-latency", "file": "samples/a.npy", "sha256": "0" * 64, "count": 5}
    monitor = {"samples": [{"t_s": 1.0, "devices": [{"power_w": 1.0}]}] * 3}
    return documents.document(samples=[sample], monitor=monitor)


def test_every_odd_value_in_every_place_leaves_the_others_in_the_report(memory_path: Path) -> None:
    good = whole()
    odd_ones = [changed(good, path, odd) for path in paths_in(good) for odd in ODD]
    for number, document in enumerate(odd_ones):
        folder = memory_path / "results" / str(number)
        (folder / "samples").mkdir(parents=True)
        np.save(folder / "samples" / "a.npy", np.arange(5))
        (folder / "result.json").write_text(json.dumps(document))
    other = documents.document(job=documents.job(case="sam"))
    documents.write(memory_path / "results" / "good", other)
    made = report([memory_path / "results"], ReportOptions(out=memory_path / "out", every=True))
    assert made.results + made.problems > len(odd_ones)
    assert "sam" in (memory_path / "out" / "results.csv").read_text()


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 100_000, "[" * 500 + "]" * 500, '{"a":' * 900 + "1" + "}" * 900),
        *("9" * 5000, "", "\0", "\ufeff{}"),
    ],
)
def test_odd_text_is_a_problem_of_its_file_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "result.json").write_text(text)
    documents.write(tmp_path, documents.document())
    loaded = load_results([tmp_path])
    assert (loaded.table.num_rows, len(loaded.problems)) == (1, 1)
    assert _read(tmp_path / "odd" / "result.json") == {}


def test_samples_that_hang_or_never_end_are_left_out(tmp_path: Path) -> None:
    for number, target in enumerate((None, "/dev/zero")):
        folder = tmp_path / "results" / str(number)
        (folder / "samples").mkdir(parents=True)
        if target is None:
            os.mkfifo(folder / "samples" / "a.npy")
        else:
            (folder / "samples" / "a.npy").symlink_to(target)
        (folder / "result.json").write_text(json.dumps(whole()))
    assert report([tmp_path / "results"], ReportOptions(out=tmp_path / "out", every=True)).shown
