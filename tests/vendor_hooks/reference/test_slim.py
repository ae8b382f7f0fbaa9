"""What an image leaves out of its stack, and what it has in common with another stack's image."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import py_compile
import shutil
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from driver.stacks.locks import parse_lock
from tests.harness.job_folder import ROOT

REFERENCE = ROOT / "images" / "reference" / "torch2.13"
CPU = ROOT / "images" / "cpu" / "ort1.31-torch2.13"


@cache
def slim() -> Any:
    spec = importlib.util.spec_from_file_location("slim", REFERENCE / "slim.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["slim.py", "shared.txt"])
def test_both_stacks_have_the_same(name: str) -> None:
    assert (CPU / name).read_bytes() == (REFERENCE / name).read_bytes()


def test_what_both_locks_pin_alike_is_shared_and_nothing_else() -> None:
    pins = [
        {(pin.name, pin.version) for pin in parse_lock(folder / "requirements.lock")}
        for folder in (REFERENCE, CPU)
    ]
    named = (REFERENCE / "shared.txt").read_text(encoding="ascii").split()
    assert named == sorted(name for name, _ in pins[0] & pins[1])


def libraries() -> list[Path]:
    """Return shared libraries of numpy, of which some have a symbol table."""
    folder = Path(np.__file__).parent
    return sorted(folder.rglob("*.so"))


def test_a_library_without_its_symbol_table_is_smaller_and_loads(tmp_path: Path) -> None:
    smaller = 0
    for library in libraries():
        copy = Path(shutil.copy(library, tmp_path))
        slim().strip(copy)
        smaller += copy.stat().st_size < library.stat().st_size
        once = copy.read_bytes()
        slim().strip(copy)
        assert copy.read_bytes() == once
        # Its own init function is found by name: the dynamic symbols are all there.
        ctypes.PyDLL(str(copy))[f"PyInit_{library.name.partition('.')[0]}"]
    assert smaller > 0


@pytest.mark.parametrize("content", [b"", b"INPUT(libc.so)\n", b"\x7fELF\x01\x01" + bytes(60)])
def test_what_is_no_64_bit_library_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    slim().strip(path)
    assert path.read_bytes() == content


def package(site: Path, name: str, files: dict[str, str]) -> None:
    """Write an installed package with its record."""
    info = f"{name}-1.0.dist-info"
    for file, text in {**files, f"{info}/METADATA": ""}.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text, encoding="utf-8")
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/METADATA", f"{info}/RECORD"))
    (site / info / "RECORD").write_text(record, encoding="utf-8")


def stack_of(folder: Path, moment: float = 0) -> SimpleNamespace:
    """Return a stack with two packages, of which shared.txt names one; installed at that time."""
    stack = folder / "stack"
    site = stack / "lib" / "python3.11" / "site-packages"
    many = {f"sympy/part{number}.py": f"ANSWER = {number}\n" for number in range(9)}
    more = {"sympy/tests/test_a.py": "", "sympy/stats/a.py": "X = 1\n", "../../../bin/isympy": ""}
    package(site, "sympy", {**many, **more})
    package(site, "onnxruntime", {"onnxruntime/__init__.py": "ANSWER = frozenset('abc')\n"})
    # As Python does with what a .pth file imports.
    os.utime(site / "sympy" / "part0.py", (moment, moment))
    py_compile.compile(str(site / "sympy" / "part0.py"))
    slim().main(stack, folder / "shared")
    return SimpleNamespace(stack=stack, shared=folder / "shared", site=site)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_shared_packages_are_moved_with_their_byte_code_and_programs(tmp_path: Path) -> None:
    made = stack_of(tmp_path)
    shared, own = names(made.shared), names(made.stack)
    site = made.site.relative_to(made.stack).as_posix()
    assert {"bin/isympy", f"{site}/sympy/part0.py", f"{site}/sympy-1.0.dist-info/RECORD"} <= shared
    assert any(name.startswith(f"{site}/sympy/__pycache__/part0.") for name in shared)
    assert all("onnxruntime" in name for name in own)
    assert any(name.endswith(".pyc") for name in own)


def test_tests_are_left_out_and_what_no_stage_imports_has_no_byte_code(tmp_path: Path) -> None:
    made = names(stack_of(tmp_path).shared)
    assert not any("test_a" in name for name in made)
    assert [name for name in made if "stats/" in name and name.endswith(".py")]
    assert not [name for name in made if "stats/" in name and name.endswith(".pyc")]


def test_the_same_packages_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine stores a layer once only if no byte of it differs."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    found = []
    for moment in (1e9, 2e9):
        made = stack_of(tmp_path / "same", moment)
        found.append({name: (made.shared / name).read_bytes() for name in names(made.shared)})
        shutil.rmtree(tmp_path / "same")
    assert found[0] == found[1]
