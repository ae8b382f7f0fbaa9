"""The plan of the driver holds: layers, no circle, no package too large, tests where their modules are."""

from __future__ import annotations

from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture import (
    DRIVER,
    NAMES,
    PAGE,
    ROOT,
    Import,
    dotted,
    imports,
    layer,
    modules,
    page,
)

MOST_IN_A_PACKAGE = 14
MOST_IN_THE_DRIVER = 6
PACKAGES = sorted({path.parent for path in modules() if path.parent != DRIVER})


@cache
def every_import() -> tuple[Import, ...]:
    """Return what the driver's modules import of each other."""
    return tuple(imports(modules()))


def own(package: Path) -> list[Path]:
    return [path for path in package.glob("*.py") if path.name != "__init__.py"]


def test_every_module_has_a_layer() -> None:
    assert {layer(dotted(path)) for path in modules()} <= {*NAMES, "driver"}


def test_each_layer_imports_only_from_those_below_it() -> None:
    place = {name: number for number, name in enumerate((*NAMES, "driver"))}
    upward = [
        f"{found.importer}:{found.line} imports {found.imported}"
        for found in every_import()
        if place[found.edge[0]] > place[found.edge[1]]
    ]
    assert upward == []


def test_no_module_imports_itself_by_a_detour() -> None:
    graph: dict[str, set[str]] = {}
    for found in every_import():
        graph.setdefault(found.importer, set()).add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_package_has_too_many_modules(package: Path) -> None:
    assert len(own(package)) <= MOST_IN_A_PACKAGE


def test_the_driver_itself_has_few_modules() -> None:
    assert len(own(DRIVER)) <= MOST_IN_THE_DRIVER


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        package
        for package in PACKAGES
        if not (package / "__init__.py").read_text(encoding="utf-8").startswith('"""')
    ]
    assert silent == []


def test_a_folder_of_tests_mirrors_a_folder_of_the_driver() -> None:
    tests = ROOT / "tests" / "driver"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    strange = [folder for folder in folders if not (DRIVER / folder).is_dir()]
    assert strange == []


def test_the_picture_of_the_layers_is_current() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "type: python -m tests.architecture"


def test_the_page_names_only_files_that_exist() -> None:
    words = PAGE.read_text(encoding="utf-8").replace("`", " ").split()
    named = [word.strip("(),.;:") for word in words if "/" in word]
    paths = [name for name in named if name.split("/")[0] in ("driver", "tests", "cases", "images")]
    missing = [name for name in paths if "<" not in name and not (ROOT / name).exists()]
    assert missing == []
