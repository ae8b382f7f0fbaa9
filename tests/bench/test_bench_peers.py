"""What the bench of peers gives optimum-benchmark, how it reads its report, and what it prints."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.models.result import Result
from driver.stacks.locks import parse_lock
from driver.system.settings import ROOT
from tests import documents
from tests.bench import bench_peers, optimum
from tests.bench.bench_peers import main
from tests.bench.jobs import Bench, NotComparable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.plan.choice import Choice

REPORT: dict[str, Any] = {
    "load_model": {"throughput": None},
    "forward": {"throughput": {"unit": "samples/s", "value": 20.0}},
}


class Scripted(Bench):
    """Jobs and an optimum-benchmark that say what a test tells them to; all that reads them is real."""

    def __init__(self) -> None:
        self.rates = {"eager": 21.0, "openvino": 30.0}
        self.report: Any = REPORT
        self.configurations: list[str] = []
        self.variables: list[Mapping[str, str]] = []

    def run(self, choice: Choice) -> Result:
        key = documents.job(vendor=choice.vendor.name, engine=choice.engine_name)
        provenance = documents.provenance(key) | {"effective": {"infer": {"threads": 2}}}
        metrics = documents.metrics(self.rates[choice.engine_name])
        body = documents.document(job=key, provenance=provenance, metrics=metrics)
        return Result.model_validate_json(json.dumps(body))

    def model(self, choice: Choice) -> Path:
        return Path("/models/a1/model.onnx")

    def program(
        self, venv: Path, words: Sequence[str], folder: Path, more: Mapping[str, str] | None = None
    ) -> str:
        assert venv == Path("/venvs/peers")
        assert list(words) == ["optimum-benchmark", "--config-dir", str(folder), *words[3:]]
        self.configurations.append((folder / f"{words[-1]}.yaml").read_text(encoding="utf-8"))
        self.variables.append(more or {})
        if self.report is not None:
            text = json.dumps(self.report)
            (folder / "benchmark_report.json").write_text(text, encoding="utf-8")
        return ""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    bench = Scripted()
    monkeypatch.setattr(bench_peers, "open_bench", lambda _catalog: nullcontext(bench))
    monkeypatch.setattr(optimum, "environment", lambda: Path("/venvs/peers"))
    return bench


@pytest.mark.usefixtures("scripted")
def test_each_engine_is_set_against_its_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", "vit_b_32:fp32:8", "--pairs", "2"]) == 0
    said = capsys.readouterr().out
    assert "vit_b_32 eager fp32 bs 8: 21 items/s (21–21); 2 rounds, load " in said
    assert "vit_b_32 openvino fp32 bs 8: 30 items/s (30–30)" in said
    assert (
        "optimum-benchmark, launcher inline: 20 items/s (20–20), ours is 1.050 times that "
        "(1.050–1.050): differs in every round" in said
    )
    assert "launcher process: 20 items/s (20–20), ours is 1.500 times that" in said
    assert "wall time ours first 0 s, later 0 s; theirs inline 0 s, process 0 s" in said
    assert "configuration ours 1 line (and " in said


def test_a_ratio_on_both_sides_of_1_shows_no_difference(
    scripted: Scripted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = iter([19.0, 21.0, 20.5])
    run = scripted.run

    def varying(choice: Choice) -> Result:
        scripted.rates["eager"] = next(rates, 21.0)
        return run(choice)

    monkeypatch.setattr(scripted, "run", varying)
    assert main(["--row", "vit_b_32:bf16:8", "--pairs", "3"]) == 0
    said = capsys.readouterr().out
    assert "1.025 times that (0.950–1.050): within the noise" in said


@pytest.mark.usefixtures("scripted")
def test_a_single_round_shows_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", "vit_b_32:fp32:8", "--pairs", "1"]) == 0
    said = capsys.readouterr().out
    assert "1.050 times that (1.050–1.050): a single round shows no noise" in said


def test_it_gets_the_same_weights_batch_and_threads_and_stays_off_the_network(
    scripted: Scripted,
) -> None:
    assert main(["--row", "vit_b_32:fp32:8", "--pairs", "1", "--seconds", "7"]) == 0
    eager, default, openvino, _ = scripted.configurations
    assert "  model: /models/a1/torch\n" in eager
    assert "    batch_size: 8\n" in eager
    assert "  duration: 7\n" in eager
    assert "  - backend: pytorch\n" in eager
    assert "  torch_dtype: float32\n" in eager
    assert ("  - launcher: inline\n" in eager, "  - launcher: process\n" in default) == (True, True)
    assert "  - backend: openvino\n" in openvino
    assert "    INFERENCE_PRECISION_HINT: f32\n" in openvino
    assert '    INFERENCE_NUM_THREADS: "2"\n' in openvino
    assert "sequence_length" not in eager
    assert {one["HF_HUB_OFFLINE"] for one in scripted.variables} == {"1"}


def test_a_text_is_as_long_as_the_cases(scripted: Scripted) -> None:
    assert main(["--row", "bert_large:bf16:2", "--pairs", "1"]) == 0
    assert "    sequence_length: 384\n" in scripted.configurations[0]
    assert "  torch_dtype: bfloat16\n" in scripted.configurations[0]


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (None, "wrote no benchmark_report.json"),
        ({}, "no throughput of forward: KeyError"),
        ({"forward": {"throughput": None}}, "no throughput of forward: TypeError"),
        ({"forward": {"throughput": {"unit": "tokens/s", "value": 1}}}, "reports tokens/s"),
    ],
)
def test_a_report_that_says_something_else_is_not_compared(
    scripted: Scripted, report: Any, says: str
) -> None:
    scripted.report = report
    with pytest.raises(NotComparable, match=says):
        main(["--row", "vit_b_32:bf16:8", "--pairs", "1"])


def test_its_environment_has_the_torch_and_openvino_of_the_stacks() -> None:
    cpu, intel = (load_catalog(ROOT).vendors[name].stacks for name in ("cpu", "intel"))
    locks = [stack.folder / "requirements.lock" for stack in (*cpu.values(), *intel.values())]
    theirs = {pin.name: pin.version for pin in parse_lock(optimum.LOCK)}
    ours = {pin.name: pin.version for path in locks for pin in parse_lock(path)}
    for name in ("torch", "openvino", "numpy"):
        assert theirs[name] == ours[name], name
    wanted = optimum.LOCK.with_suffix(".in").read_text(encoding="utf-8").splitlines()
    for line in wanted:
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            assert theirs[name.partition("[")[0]] == version, (
                "make the lock again, as requirements.in says"
            )
