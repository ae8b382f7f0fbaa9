"""`rerun` on a miniature tree: the very job again, its verdict beside the new result, and refusals."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from driver.console import Console
from driver.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_NOT_REPRODUCED,
    DataFault,
    EnvironmentFault,
    UsageFault,
)
from driver.models.rerun import Rerun
from driver.system.hashing import canonical_digest
from driver.system.settings import Settings
from driver.system.untrusted.record import write_record
from driver.verbs.air_gap import rerun as verb
from tests.driver.session.test_run import Lab, lab_of

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.jobs


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab whose settings and site the verb takes."""
    return lab_of(tmp_path, monkeypatch, verb)


def again(lab: Lab, folder: Path, **own: str) -> tuple[int, Rerun]:
    """Rerun a result; return the exit code and rerun.json."""
    before = set(lab.settings.results.rglob("result.json"))
    given = {"data": lab.request.data, "weights": lab.request.weights, **own}
    code = verb.rerun(str(folder), given, Console())
    (new,) = set(lab.settings.results.rglob("result.json")) - before
    return code, Rerun.model_validate_json(new.with_name("rerun.json").read_text("utf-8"))


def export(lab: Lab, **document: Any) -> None:
    """Make every cached model say this of itself."""
    for path in lab.settings.cache.glob("models/*/model/export.json"):
        path.write_text(json.dumps({"opset": 18, "batch": "dynamic", **document}))
        write_record(path.parents[1], lab.settings.cache / "sha256")


def edited(folder: Path, **changes: Any) -> Path:
    """Change a result as its writer would: with the digest of the new content."""
    path = folder / "result.json"
    document = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps(document | {"digest": canonical_digest(document)}))
    return folder


def test_a_rerun_is_the_very_job_and_says_so_beside_its_result(lab: Lab) -> None:
    original = lab.run(tier="standard", repeat=2, preprocess="other")
    code, found = again(lab, original.folder)
    assert found.rerun.job == original.result.job
    assert found.kind == "rerun"
    assert found.differences == ()
    figures = {one.name: one.outcome.value for one in found.figures}
    assert figures == {
        "predictions": "inconclusive",
        "accuracy": "reproduced",
        "p_infer_core": "reproduced",
        "p_infer_whole": "reproduced",
    }
    assert code == EXIT_INCONCLUSIVE
    written = found.model_dump(mode="json", by_alias=True)
    assert found.digest == canonical_digest(written)


def test_the_new_result_names_its_original(lab: Lab) -> None:
    original = lab.run()
    _, found = again(lab, original.folder)
    new = next(
        document
        for path in lab.settings.results.rglob("result.json")
        if (document := json.loads(path.read_text("utf-8")))["digest"] == found.rerun.digest
    )
    assert new["provenance"]["rerun_of"] == found.original.digest


def test_the_originals_tolerances_count_not_those_of_today(lab: Lab) -> None:
    original = lab.run()
    case = lab.root / "cases/tiny/case.toml"
    case.write_text(case.read_text() + "[rerun]\nthroughput_fraction = 0.9\n")
    _, found = again(lab, original.folder)
    assert found.tolerances.throughput_fraction == 0.05
    assert found.tolerances_from == "original"
    assert [one.what for one in found.differences] == ["code: case"]


def test_an_original_without_tolerances_takes_the_cases(lab: Lab) -> None:
    folder = lab.run().folder
    said = json.loads((folder / "result.json").read_text("utf-8"))["provenance"]
    said.pop("tolerances")
    _, found = again(lab, edited(folder, provenance=said))
    assert found.tolerances_from == "case"


def test_other_code_is_named_and_the_rerun_stays_one(lab: Lab) -> None:
    original = lab.run()
    lab.behave(infer="good")
    _, found = again(lab, original.folder)
    assert [(one.what, one.weight.value) for one in found.differences] == [("code: hook", "named")]
    assert found.kind == "rerun"


@pytest.mark.parametrize("part", ["weights", "data"])
def test_other_weights_or_data_are_refused_before_anything_runs(lab: Lab, part: str) -> None:
    original = lab.run()
    lab.listener.started.clear()
    if part == "weights":
        (lab.data.parent / "weights/model.safetensors").write_bytes(b"x")
    else:
        (lab.data / "val/cat/cat_0.png").write_bytes((lab.data / "val/dog/dog_0.png").read_bytes())
    with pytest.raises(DataFault, match="a different job"):
        again(lab, original.folder)
    assert lab.listener.started == []
    assert len(list(lab.settings.results.rglob("result.json"))) == 1


def test_another_exported_model_ends_the_rerun_before_it_measures(lab: Lab) -> None:
    lab.run()
    export(lab, onnx_sha256="a" * 64)
    original = lab.run()
    export(lab, onnx_sha256="b" * 64)
    lab.listener.started.clear()
    code, found = again(lab, original.folder)
    assert code == 1
    assert found.rerun.status == "failed"
    assert lab.listener.started == []


def test_a_failed_accuracy_is_the_jobs_exit_code_and_not_reproduced(lab: Lab) -> None:
    original = lab.run()
    lab.behave("reference", score="worse")
    code, found = again(lab, original.folder)
    assert code == 4
    assert found.outcome.value == "not reproduced"


def test_a_result_of_the_process_runner_is_rerun_as_one(lab: Lab) -> None:
    original = lab.run()
    assert original.result.job.runner == "process"
    _, found = again(lab, original.folder)
    assert found.rerun.job.runner == "process"


def test_a_smoke_result_says_nothing_about_speed(lab: Lab) -> None:
    code, found = again(lab, lab.run(tier="smoke").folder)
    speed = [one for one in found.figures if one.name.startswith("p_")]
    assert {one.outcome.value for one in speed} == {"inconclusive"}
    assert code == EXIT_INCONCLUSIVE


def test_an_edited_result_is_refused(lab: Lab) -> None:
    path = lab.run().folder / "result.json"
    path.write_text(path.read_text("utf-8").replace("4000.0", "9000.0"))
    with pytest.raises(DataFault, match="edited"):
        again(lab, path.parent)


def forged(folder: Path) -> Path:
    """Double a result's core throughput in every place of result.json, with a new digest."""
    figures = json.loads((folder / "result.json").read_text("utf-8"))["metrics"]
    core = figures["spread"]["p_infer_core"]
    core |= {"values": [2 * value for value in core["values"]], "median": 2 * core["median"]}
    return edited(folder, metrics=figures | {"p_infer_core": 2 * figures["p_infer_core"]})


def test_an_edited_figure_with_a_new_digest_is_refused(lab: Lab) -> None:
    folder = forged(lab.run(tier="standard", repeat=3).folder)
    with pytest.raises(DataFault, match="p_infer_core is 8000, but the stage reports give 4000"):
        again(lab, folder)
    assert len(list(lab.settings.results.rglob("result.json"))) == 1


def test_an_edited_figure_that_nothing_contradicts_is_not_reproduced(lab: Lab) -> None:
    folder = lab.run(tier="standard", repeat=3).folder
    shutil.rmtree(folder / "reports")
    figures = json.loads((folder / "result.json").read_text("utf-8"))["metrics"]
    code, found = again(lab, edited(folder, metrics=figures | {"acc_infer": 90.0}))
    outcomes = {one.name: one.outcome.value for one in found.figures}
    assert outcomes["accuracy"] == "not reproduced"
    assert outcomes["p_infer_core"] == "reproduced"
    assert code == EXIT_NOT_REPRODUCED


def test_a_simulated_result_is_refused(lab: Lab) -> None:
    lab.installer.stand_in = True
    with pytest.raises(DataFault, match="simulated"):
        again(lab, lab.run().folder)


def test_a_failed_result_is_refused(lab: Lab) -> None:
    lab.behave(infer="fails")
    with pytest.raises(DataFault, match="no figures to reproduce"):
        again(lab, lab.run().folder)


def test_a_result_of_a_python_of_its_host_is_refused_before_anything_runs(lab: Lab) -> None:
    folder = lab.run().folder
    said = json.loads((folder / "result.json").read_text("utf-8"))["provenance"]
    said["vendor_stack"] = {"kind": "found", "packages": {}}
    with pytest.raises(UsageFault, match="a Python of its host") as caught:
        again(lab, edited(folder, provenance=said))
    assert "STACK_PYTHON=" in caught.value.remedy
    assert len(list(lab.settings.results.rglob("result.json"))) == 1


def test_a_result_of_a_case_that_is_not_here_names_its_commit(lab: Lab) -> None:
    folder = lab.run().folder
    document = json.loads((folder / "result.json").read_text("utf-8"))
    key, said = document["job"] | {"case": "gone"}, document["provenance"] | {"commit": "c0ffee"}
    with pytest.raises(UsageFault, match="unknown case 'gone'") as caught:
        again(lab, edited(folder, job=key, provenance=said))
    assert "commit c0ffee" in caught.value.remedy


def test_an_older_schema_and_a_folder_without_a_result_are_refused(
    lab: Lab, tmp_path: Path
) -> None:
    folder = lab.run().folder
    with pytest.raises(DataFault, match="does not keep the schema"):
        again(lab, edited(folder, schema="assay/result/0"))
    with pytest.raises(DataFault, match="no result can be read"):
        again(lab, tmp_path)
    with pytest.raises(UsageFault, match="rerun needs a result"):
        verb.rerun(None, {}, Console())


def test_invalid_tolerances_are_refused(lab: Lab) -> None:
    folder = lab.run().folder
    said = json.loads((folder / "result.json").read_text("utf-8"))["provenance"]
    said["tolerances"] = {"throughput_fraction": "much"}
    with pytest.raises(DataFault, match="tolerances are invalid"):
        again(lab, edited(folder, provenance=said))


def test_a_result_of_an_image_needs_an_engine_or_says_so(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driver.session.site import open_site

    folder = lab.run().folder
    key = json.loads((folder / "result.json").read_text("utf-8"))["job"] | {"runner": "docker"}
    monkeypatch.setattr(verb, "open_site", open_site)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock")
    with pytest.raises(EnvironmentFault):
        again(lab, edited(folder, job=key))
    assert isinstance(lab.settings, Settings)


@pytest.mark.parametrize(
    ("tier", "words"), [("smoke", "speed is judged from standard runs"), ("standard", "next: ")]
)
def test_the_last_line_is_what_to_type_next(
    lab: Lab, capsys: pytest.CaptureFixture[str], tier: str, words: str
) -> None:
    original = lab.run(tier=tier)
    again(lab, original.folder)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("next: ")
    assert words in last
