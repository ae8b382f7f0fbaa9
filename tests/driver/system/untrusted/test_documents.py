"""JSON of a guest: limited in depth and numbers, and text that can be written again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from driver.system.untrusted.documents import LARGEST, MAX_DEPTH, parsed, read_json
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nests too deeply|Expecting"),
        ("[" * 100_000 + "]" * 100_000, "nests too deeply"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nests deeper"),
        ('{"a":' * (MAX_DEPTH + 2) + "1" + "}" * (MAX_DEPTH + 2), "nests deeper"),
        ("NaN", "not a number"),
        ('{"a": [-Infinity]}', "not a number"),
        ("1e999", "too large"),
        (str(LARGEST + 1), "64 bits"),
        ("9" * 5000, "."),
        (r'{"a": "\ud800"}', "surrogate"),
        (r'{"\udfff": 1}', "surrogate"),
        ("{", "."),
        ("", "."),
    ],
)
def test_what_no_other_program_could_read_back_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parsed(text)


def test_plain_documents_are_read(tmp_path: Path) -> None:
    document = {"a": [1, -2.5, None, True, "é\U0001f600"], "b": {"c": LARGEST}}
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert read_json(tmp_path, "a.json", 1000) == document
    with pytest.raises(RefusedFile):
        read_json(tmp_path, "a.json", 10)


def test_a_message_in_another_encoding_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes('{"message": "错误"}'.encode("gbk"))
    assert "\ufffd" in read_json(tmp_path, "a.json", 1000)["message"]
