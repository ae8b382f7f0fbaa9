"""What the bench of amd prints, and which rows are not what their names say."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.result import Result
from tests import documents
from tests.bench import bench_zentorch
from tests.bench.bench_zentorch import main
from tests.bench.jobs import Bench, NotComparable

if TYPE_CHECKING:
    from driver.plan.choice import Choice

ROW = "vit_s_16:bf16:8"
RATES = {"zentorch": 40.0, "inductor": 30.0, "eager": 20.0}


class Scripted(Bench):
    """Jobs that run as a test tells them to; all that reads them is real."""

    def __init__(self) -> None:
        self.effective: dict[str, dict[str, Any]] = {
            name: {"threads": 2, "arithmetic": "bf16", "operators": {}} for name in RATES
        }
        self.effective["zentorch"]["operators"] = {"zentorch::zentorch_linear_unary": 48}

    def run(self, choice: Choice) -> Result:
        name = choice.engine_name
        key = documents.job(vendor="amd", engine=name)
        provenance = documents.provenance(key) | {"effective": {"infer": self.effective[name]}}
        metrics = documents.metrics(RATES[name])
        body = documents.document(job=key, provenance=provenance, metrics=metrics)
        return Result.model_validate_json(json.dumps(body))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    bench = Scripted()
    monkeypatch.setattr(bench_zentorch, "open_bench", lambda _catalog: nullcontext(bench))
    return bench


@pytest.mark.usefixtures("scripted")
def test_each_ratio_is_that_of_the_medians(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", ROW, "--pairs", "3"]) == 0
    said = capsys.readouterr().out
    assert "zentorch 40 items/s (40–40), inductor 30 items/s (30–30), eager 20 items/s" in said
    assert "1.333 times (1.333–1.333) of inductor" in said
    assert "2.000 times (2.000–2.000) of eager\n" in said
    assert "1.500 times (1.500–1.500) of eager, by inductor" in said
    assert "3 rounds, load " in said


def test_a_row_without_an_operator_of_zentorch_is_not_one_of_it(
    scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.effective["zentorch"]["operators"] = {"aten::addmm": 48}
    assert main(["--row", ROW]) == 1
    assert "zentorch replaced no operator" in capsys.readouterr().out


def test_a_row_in_another_precision_than_its_name_is_not_one_of_it(
    scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.effective["eager"]["arithmetic"] = "fp32"
    assert main(["--row", ROW]) == 1
    assert "bf16, fp32 ran, not bf16 alone" in capsys.readouterr().out


def test_other_threads_are_not_comparable(scripted: Scripted) -> None:
    scripted.effective["inductor"]["threads"] = 1
    with pytest.raises(NotComparable, match="inductor ran with 1 threads, another engine with 2"):
        main(["--row", ROW, "--pairs", "1"])
