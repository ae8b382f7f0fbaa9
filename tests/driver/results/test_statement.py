"""statement.json: in-toto's published shape, every material by digest, the same bytes again."""

from __future__ import annotations

import re
from typing import Any

from driver.models.result import Result
from driver.results.statement import PREDICATE, TREE, TYPE, statement, statement_text
from tests.documents import document, provenance, sha

HEX = re.compile(r"[0-9a-f]{40,64}")


def result(**origin: Any) -> Result:
    body = document()
    said = {**provenance(body["job"]), **origin}
    return Result.model_validate(document(provenance=said))


def descriptors(found: dict[str, Any]) -> list[dict[str, Any]]:
    predicate = found["predicate"]
    return [*found["subject"], *predicate["materials"], *predicate["byproducts"]]


def test_a_statement_has_in_totos_published_shape() -> None:
    found = statement(result(), sha("file"))
    # https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}
    assert (found["_type"], found["predicateType"]) == (TYPE, PREDICATE)
    assert re.match(r"[a-z][a-z0-9+.-]*:", PREDICATE), "a URI"
    assert found["subject"] == [{"name": "result.json", "digest": {"sha256": sha("file")}}]
    for one in descriptors(found):
        assert set(one) == {"name", "digest"}
        assert one["digest"]
        assert all(HEX.fullmatch(digest) for digest in one["digest"].values())


def test_what_a_result_rests_on_is_a_material_by_digest() -> None:
    stack = {
        "kind": "image",
        "image_id": f"sha256:{sha('image')}",
        "lock_sha256": sha("lock"),
        "bill_sha256": sha("bill"),
        "wheels": {"torch.whl": sha("torch")},
        "installers": {"sdk.run": sha("sdk")},
    }
    found = statement(result(vendor_stack=stack), sha("file"))
    materials = {one["name"]: one["digest"] for one in found["predicate"]["materials"]}
    assert materials["tree"] == {"gitCommit": sha("commit")[:40]}
    assert materials["code of case"] == {TREE: sha("vit_l_16")}
    assert materials["model.onnx"] == {"sha256": sha("vit_l_16", "onnx")}
    assert materials["image of the vendor stack"] == {"sha256": sha("image")}
    assert materials["bill of the vendor stack"] == {"sha256": sha("bill")}
    assert materials["torch.whl of the vendor stack"] == {"sha256": sha("torch")}
    assert materials["sdk.run of the vendor stack"] == {"sha256": sha("sdk")}
    assert set(materials["weights"]) == set(materials["dataset"]) == {TREE}


def test_a_tree_with_changes_is_no_material() -> None:
    found = statement(result(commit=f"{sha('commit')[:40]}+changes"), sha("file"))
    assert "tree" not in {one["name"] for one in found["predicate"]["materials"]}


def test_the_same_result_gives_the_same_bytes() -> None:
    assert statement_text(result(), sha("file")) == statement_text(result(), sha("file"))
