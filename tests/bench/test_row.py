"""The options of a bench: a user's mistake is one line and exit code 2, before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from driver.system.settings import ROOT
from tests.bench.row import Row
from tests.waiting import PATIENCE_S

OF_ROWS = ("tests.bench.bench_openvino", "tests.bench.bench_onnxruntime")


def bench(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_row_is_a_case_a_precision_and_a_batch_size() -> None:
    row = Row.parse("vit_b_32:bf16:32")
    assert row == Row(case="vit_b_32", precision="bf16", batch_size=32)
    assert str(row) == "vit_b_32:bf16:32"


@pytest.mark.parametrize("module", OF_ROWS)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--row", "vit_b_32"), "'vit_b_32' is not CASE:PRECISION:BATCH_SIZE"),
        (("--row", "a:b:c:d"), "'a:b:c:d' is not CASE:PRECISION:BATCH_SIZE"),
        (("--row", "vit_b_32:fp32:"), "'vit_b_32:fp32:' is not CASE:PRECISION:BATCH_SIZE"),
        (("--row", "vit_b_32:fp32:x"), "the batch size is 'x'"),
        (("--row", "vit_b_32:fp32:0"), "the batch size is '0'"),
        (("--row", "vit_bb:fp32:1"), "unknown case 'vit_bb' (did you mean vit_b?)"),
        (("--row", "vit_b_32:int4:1"), "'int4'"),
        (("--pairs", "0"), "'0' and must be a whole number"),
        (("--seconds", "2.5"), "'2.5' and must be a whole number"),
    ],
)
def test_a_mistake_ends_with_2_and_no_traceback(
    module: str, words: tuple[str, ...], expected: str
) -> None:
    done = bench(module, *words)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "words", "code", "expected"),
    [
        ("tests.bench.bench_report", ("--count", "x"), 2, "whole number"),
        ("tests.bench.bench_report", ("--count", "3"), 2, "at least"),
        ("tests.bench.bench_report", ("--folder", "/dev/null/here"), 3, "/dev/null/here"),
        ("tests.bench.report_100k", ("/dev/null/here", "--count", "1"), 3, "/dev/null/here"),
        ("tests.bench.report_100k", ("there", "--count", "-1"), 2, "whole number"),
        ("tests.harness.bench_overlap", ("--rate", "x"), 2, "'x'"),
        ("tests.harness.bench_overlap", ("--cores", "-1"), 2, "-1"),
        ("tests.bench.bench_loader", ("--workers", "0"), 2, "whole number"),
    ],
)
def test_the_other_benches_tell_mistakes_as_well(
    module: str, words: tuple[str, ...], code: int, expected: str
) -> None:
    done = bench(module, *words)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
