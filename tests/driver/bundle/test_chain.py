"""verify RESULT=: an edited result, a changed sample, a missing log, and the chain to what is here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from driver.bundle.chain import Held, chain, own_files, read_result
from driver.bundle.held import held_in_bundle
from driver.bundle.loader.layout import FileEntry
from driver.console import Console
from driver.errors import DataFault
from driver.models.result import Result
from driver.system.hashing import code_digest, digest_of_code, file_sha256, key_of
from driver.verbs.air_gap.verify import verify
from tests.documents import document, metrics, sha, with_samples, write

if TYPE_CHECKING:
    from pathlib import Path

CASE, VENDOR = "vit_l_16", "nvidia"
SAMPLES = {"infer-0-core": np.arange(50, dtype=np.int64)}


def stacked(**changes: Any) -> dict[str, Any]:
    """Return a result that ran in images."""
    body = document()
    provenance = {
        **body["provenance"],
        "vendor_stack": {"kind": "image", "image_id": f"sha256:{sha('image')}"},
        "reference_stack": {
            "kind": "environment",
            "lock_sha256": sha("lock"),
            "wheels": {"a.whl": sha("a"), "b.whl": sha("b")},
        },
        **changes,
    }
    return document(provenance=provenance)


def links(body: dict[str, Any], held: Held) -> dict[str, str]:
    return {link.what: link.state for link in chain(Result.model_validate(body), held)}


WHOLE = Held(
    commit=sha("commit")[:40],
    files=frozenset({sha(CASE, "onnx"), sha("lock"), sha("a"), sha("b")}),
    images=frozenset({sha("image")}),
    datasets=frozenset({sha(CASE, "data")}),
    weights={CASE: sha(CASE, "weights")},
    code={"case": sha(CASE), "hook": sha(VENDOR)},
)


def test_a_chain_that_holds() -> None:
    assert set(links(stacked(), WHOLE).values()) == {"verified"}


def test_what_is_not_here_is_not_a_difference() -> None:
    assert set(links(stacked(), Held()).values()) == {"not here"}


def test_a_result_whose_image_is_not_there() -> None:
    found = links(stacked(), Held(files=WHOLE.files))
    assert found["image of the vendor stack"] == "not here"
    assert found["wheels of the reference stack"] == "verified"


@pytest.mark.parametrize(
    ("held", "what"),
    [
        (Held(weights={CASE: sha("others")}), "weights"),
        (Held(code={"hook": sha("others")}), "code of hook"),
        (Held(commit="c0ffee"), "commit"),
    ],
)
def test_another_part_is_a_difference(held: Held, what: str) -> None:
    assert links(stacked(), held)[what] == "differs"


def test_another_commit_counts_only_where_code_is_not_known_to_be_the_same() -> None:
    def counts(**code: str) -> bool:
        held = Held(commit="c0ffee", code=code)
        return [one.counts for one in chain(Result.model_validate(stacked()), held)][-1]

    assert counts()
    assert not counts(case=sha(CASE))
    assert counts(case=sha("others"))


def test_a_python_of_its_host_has_no_lock_to_follow() -> None:
    assert links(stacked(vendor_stack={"kind": "found"}), WHOLE)["vendor stack"] == "not here"


def test_what_a_bundle_holds_is_the_chain_s_other_end() -> None:
    entries = [
        FileEntry("home/weights/vit_l_16/model.safetensors", 1, sha("w"), "weights"),
        FileEntry("tree/cases/vit_l_16/task.py", 1, sha("task"), "tree"),
        FileEntry("tree/cases/vit_l_16/README.md", 1, sha("readme"), "tree"),
        FileEntry("home/cache/models/k/model/model.onnx", 1, sha(CASE, "onnx"), "model"),
    ]
    digest = key_of({"format": "huggingface", "files": {"model.safetensors": sha("w")}})
    said = {"digest": digest, "format": "huggingface", "files": ["model.safetensors"]}
    body = stacked(weights=said, code={"case": digest_of_code({"task.py": sha("task")})})
    manifest = {"commit": sha("commit")[:40], "images": [{"config": sha("image")}]}
    found = links(body, held_in_bundle(manifest, entries, Result.model_validate(body)))
    for what in ("weights", "code of case", "ONNX", "image of the vendor stack", "commit"):
        assert found[what] == "verified"


def test_code_has_one_digest_whether_a_folder_or_its_files_are_known(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "b.py", "README.md", "data/x", "b/__pycache__/c.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    files = {
        path.relative_to(tmp_path).as_posix(): file_sha256(path)
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert digest_of_code(files) == code_digest(tmp_path)


# --- a result's own files ---------------------------------------------------------------------------
def own(path: Path) -> dict[str, str]:
    folder, result = read_result(path)
    return {link.what: link.state for link in own_files(folder, result)}


def test_a_whole_result(tmp_path: Path) -> None:
    path, _ = with_samples(tmp_path, SAMPLES)
    assert own(path) == {"result.json": "verified", "samples/infer-0-core.npy": "verified"}
    assert own(path.parent) == own(path)


def test_an_edited_figure(tmp_path: Path) -> None:
    body = document()
    body["metrics"]["p_infer_core"] *= 2
    with pytest.raises(DataFault, match=r"result\.json was edited: its content has the digest"):
        read_result(write(tmp_path, body))


def test_an_edited_figure_with_a_new_digest(tmp_path: Path) -> None:
    body = document(metrics=metrics(p_infer_core=9000.0))
    with pytest.raises(DataFault, match=r"was edited: p_infer_core is 9000, but the median"):
        verify(None, str(write(tmp_path, body)), Console(), require_signed=False)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "[" * 100_000, "{}", '{"digest": null}'])
def test_what_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(DataFault, match=r"result\.json (is damaged|was edited)"):
        read_result(tmp_path)


def test_a_result_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"no result can be read at"):
        read_result(tmp_path / "nothing")


def test_a_whole_result_of_another_schema(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"does not keep the schema assay/result/1: extra"):
        read_result(write(tmp_path, document(extra=5)))


def test_one_flipped_bit_in_a_sample(tmp_path: Path) -> None:
    path, _ = with_samples(tmp_path, SAMPLES)
    sample = path.parent / "samples" / "infer-0-core.npy"
    data = bytearray(sample.read_bytes())
    data[-1] ^= 1
    sample.write_bytes(data)
    with pytest.raises(DataFault, match=r"infer-0-core\.npy differs: sha256 .*, the result says"):
        verify(None, str(path), Console(), require_signed=False)


@pytest.mark.parametrize("how", ["missing", "link outside"])
def test_a_sample_that_is_not_there(tmp_path: Path, how: str) -> None:
    path, _ = with_samples(tmp_path / "results", SAMPLES)
    sample = path.parent / "samples" / "infer-0-core.npy"
    data = sample.read_bytes()
    sample.unlink()
    if how == "link outside":
        (tmp_path / "outside.npy").write_bytes(data)
        sample.symlink_to(tmp_path / "outside.npy")
    assert own(path)["samples/infer-0-core.npy"] == "differs"


def test_a_missing_log_and_a_report_that_is_none(tmp_path: Path) -> None:
    body = document()
    stages = [{**body["stages"][0], "log": "logs/export-0.log"}]
    path = write(tmp_path, document(stages=stages))
    (path.parent / "reports").mkdir()
    (path.parent / "reports" / "export-0.json").write_text("{}")
    found = own(path)
    assert found["logs/export-0.log"] == "differs"
    assert found["reports/export-0.json"] == "differs"


def test_a_stage_report_that_is_missing(tmp_path: Path) -> None:
    stages = [{**document()["stages"][3], "log": "logs/infer-0.log"}]
    found = own(write(tmp_path, document(stages=stages)))
    assert found["reports/infer-0.json"] == "differs"


def test_a_chain_that_differs_is_exit_code_1_and_names_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    path, _ = with_samples(tmp_path, SAMPLES)
    assert verify(None, str(path), Console(as_json=True), require_signed=False) == 1
    found = {link["what"]: link["state"] for link in json.loads(capsys.readouterr().out)["links"]}
    assert found["code of case"] == "differs"
    assert (
        found["image of the vendor stack"] == "not here"
        if "image of the vendor stack" in found
        else True
    )


def test_a_folder_above_a_result_names_one_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "result.json").write_text("{}")
    with pytest.raises(DataFault, match="no result can be read") as raised:
        read_result(tmp_path)
    assert raised.value.remedy == f"RESULT={tmp_path / 'a' / 'b'}"
    with pytest.raises(DataFault) as named:
        read_result(tmp_path / "missing", "A")
    assert named.value.remedy == "A=<folder that holds result.json>"
