"""Guest code is checked without running it: syntax its Python cannot parse, and heavy imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.check.guest_code import OLDEST, check_module, defined_names, python_of

if TYPE_CHECKING:
    from pathlib import Path


def said(tmp_path: Path, text: str, python: tuple[int, int] = OLDEST) -> list[str]:
    path = tmp_path / "engine.py"
    path.write_text(text, encoding="utf-8")
    return [finding.found for finding in check_module(path, "engine.py", python)]


@pytest.mark.parametrize(
    "text",
    [
        "if (n := 3): pass",
        "def f(a, /): pass",
        "def f():\n    match 3:\n        case 3: pass",
        "with (open('a') as x, open('b') as y): pass",
        "print(f'{3=}')",
        "def f(:",
    ],
)
def test_syntax_that_python_3_7_cannot_parse_is_reported_with_its_line(
    tmp_path: Path, text: str
) -> None:
    found = said(tmp_path, text)
    assert "does not parse under Python 3.7" in found[0]
    assert found[0].startswith("line ")


def test_a_newer_stack_may_use_its_own_python(tmp_path: Path) -> None:
    assert said(tmp_path, "if (n := 3): pass\nx: list[int] = []", (3, 11)) == []


def test_a_builtin_generic_fails_under_an_old_python(tmp_path: Path) -> None:
    assert "list[…] fails" in said(tmp_path, "def f(x: list[int]): pass")[0]
    assert said(tmp_path, "def f(x: list[int]): pass", (3, 9)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import torch",
        "import torch.nn as nn",
        "from acl import rt",
        "try:\n    import tensorrt\nexcept ImportError:\n    tensorrt = None",
        "class E:\n    import tvm",
        "import os, torch",
    ],
)
def test_an_sdk_imported_at_the_top_is_reported(tmp_path: Path, text: str) -> None:
    assert "at the top" in said(tmp_path, text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "import json\nimport numpy as np\nfrom harness.engine import Engine\nfrom hook import x",
        "def load():\n    import torch",
        "class E:\n    def load(self):\n        import torch",
        "f = lambda: __import__('torch')",
        "from . import sibling",
    ],
)
def test_packages_of_every_stage_and_imports_inside_methods_are_accepted(
    tmp_path: Path, text: str
) -> None:
    assert said(tmp_path, text) == []


def test_a_file_that_is_not_text_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "engine.py"
    path.write_bytes(b"\xff\xfe\x00")
    assert "does not parse" in next(check_module(path, "engine.py", OLDEST)).found


def test_exported_names_are_read_without_importing_the_module(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("from a import b as c\nimport d.e\nf = g = 1\nh: int = 2\ndef i(): pass")
    assert defined_names(path) == {"c", "d", "f", "g", "h", "i"}
    assert defined_names(tmp_path / "none.py") == frozenset()


def test_a_stacks_python_is_read_from_its_version() -> None:
    assert python_of("3.7.5") == (3, 7)
