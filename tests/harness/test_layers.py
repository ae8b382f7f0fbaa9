"""The plan of the harness holds: layers, no circle, no package too large, tests where their modules are."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

HARNESS = ROOT / "vendor_hooks" / "harness"
MOST_IN_A_PACKAGE = 14

LAYERS = (
    "__main__",
    "stages",
    "measured_stage",
    "scenarios",
    "loops",
    "boundary",
    "outputs",
    "plugins",
    "engines",
    "models",
    "tasks",
    "inputs",
    "engine",
    "task",
    "job",
    "files",
    "log",
    "clock",
    "garbage",
    "model_search",
    "errors",
)
"""Top to bottom: each imports only from those below it, type-only imports included."""

MODULES = sorted(HARNESS.rglob("*.py"))
PACKAGES = sorted({path.parent for path in MODULES})


def dotted(path: Path) -> str:
    name = path.relative_to(HARNESS.parent).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


KNOWN = {dotted(path) for path in MODULES}


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "the harness imports by full names"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the harness that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in names(node):
            module = name if name in KNOWN else name.rpartition(".")[0]
            if module.split(".")[0] == "harness":
                assert module in KNOWN, f"{dotted(path)} imports {name}, which does not exist"
                yield module


def test_every_module_has_a_layer_and_every_layer_a_module() -> None:
    assert {layer(module) for module in KNOWN} - {""} == set(LAYERS)


def test_each_layer_imports_only_from_those_below_it() -> None:
    place = {name: number for number, name in enumerate(LAYERS)}
    upward = [
        f"{dotted(path)} imports {found}"
        for path in MODULES
        for found in imports(path)
        if place[layer(dotted(path))] > place[layer(found)]
    ]
    assert upward == []


def test_no_module_imports_itself_by_a_detour() -> None:
    try:
        TopologicalSorter({dotted(path): set(imports(path)) for path in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_package_has_too_many_modules(package: Path) -> None:
    assert len(list(package.glob("[!_]*.py"))) <= MOST_IN_A_PACKAGE


def test_every_package_says_what_it_is_for() -> None:
    inits = [package / "__init__.py" for package in PACKAGES]
    assert [path for path in inits if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_a_folder_of_tests_mirrors_a_folder_of_the_harness() -> None:
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert [folder for folder in folders if not (HARNESS / folder).is_dir()] == []
