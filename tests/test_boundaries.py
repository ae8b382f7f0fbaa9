"""The layers hold: who may import what, who may print, and what no file may be called."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from driver.models.manifest_keys import MANIFESTS, page, tables
from driver.verbs.maintenance.schemas import schema_texts

ROOT = Path(__file__).resolve().parent.parent
DRIVER = sorted((ROOT / "driver").rglob("*.py"))
GUEST = ("cases", "vendor_hooks", "harness", "hook", "case")
DOCKER_MODULE = "driver/runners/engine/client.py"
CONSOLE = "driver/console.py"
PURE = (
    *sorted((ROOT / "driver" / "plan").glob("*.py")),
    *sorted((ROOT / "driver" / "compare").glob("*.py")),
    *sorted((ROOT / "driver" / "rerun").glob("*.py")),
    *(
        ROOT / "driver" / f"{module}.py"
        for module in (
            "results/figures",
            "results/gate",
            "results/statement",
            "results/statistics",
            "results/student_t",
            "results/trend",
            "results/warnings",
            "session/judging/claims",
            "session/judging/outcome",
            "session/result",
            "session/warnings",
            "runners/spec",
            "runners/devices",
            "aggregate/table_row",
        )
    ),
)
IMPURE = {"os", "subprocess", "shutil", "socket", "tempfile", "docker", "time", "urllib"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "factory"}


class Code(NamedTuple):
    """What the tests ask of a file: parsing the driver takes longer than everything else here."""

    imports: tuple[str, ...]
    prints: bool


@cache
def code(path: Path) -> Code:
    """Return the modules that a file imports anywhere in it, TYPE_CHECKING or not, and whether it prints."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    found = tuple(module for node in nodes for module in _imported(node))
    return Code(imports=found, prints=any(map(_prints, nodes)))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _prints(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
        return isinstance(node.value, ast.Name) and node.value.id == "sys"
    return isinstance(node, ast.Name) and node.id == "print"


def imports(path: Path) -> tuple[str, ...]:
    """Return the modules that a file imports."""
    return code(path).imports


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DRIVER, ids=name)
def test_the_driver_imports_neither_cases_nor_vendors(path: Path) -> None:
    assert not [module for module in imports(path) if module.split(".")[0] in GUEST]


INTERFACES = {
    "annotated_types": "pydantic",
    "cyclonedx": "cyclonedx-python-lib",
    "markupsafe": "jinja2",
    "packageurl": "cyclonedx-python-lib",
    "urllib3": "docker",
}
"""Packages that a pinned one requires and shows in its interface, or that have another name than it."""


def test_the_driver_imports_nothing_that_its_requirements_do_not_name() -> None:
    """What only the tests' environment holds (scipy, onnx) is not there on a user's machine."""
    lines = (ROOT / "driver" / "requirements.in").read_text(encoding="utf-8").splitlines()
    named = {line.partition("==")[0] for line in lines if "==" in line}
    found = {module.partition(".")[0] for path in DRIVER for module in imports(path)}
    foreign = {INTERFACES.get(one, one) for one in found - {"driver"} - sys.stdlib_module_names}
    assert sorted(foreign - named) == []


def test_one_module_knows_docker() -> None:
    users = {name(path) for path in DRIVER if "docker" in {m.split(".")[0] for m in imports(path)}}
    assert users == {DOCKER_MODULE}


def test_one_module_prints() -> None:
    # Programs of their own, which run without the driver's packages.
    allowed = {
        CONSOLE,
        "driver/runners/guard.py",
        "driver/bundle/loader/program.py",
        "driver/stacks/install/first_environment.py",
        # Its lines go through the console of the process that started it.
        "driver/stacks/building/ahead.py",
    }
    assert {name(path) for path in DRIVER if code(path).prints} <= allowed


@pytest.mark.parametrize("path", PURE, ids=name)
def test_planning_and_aggregation_are_pure(path: Path) -> None:
    assert not {found.split(".")[0] for found in imports(path)} & IMPURE


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


def test_no_file_has_a_name_that_says_nothing() -> None:
    # A stand-in's modules carry the names of the SDK that they stand in for (pyACL has acl.util).
    own = [path for path in tracked() if not path.startswith("tests/standins/")]
    parts = {part.split(".")[0] for path in own for part in Path(path).parts}
    assert not parts & FORBIDDEN_NAMES


def test_importing_the_driver_pulls_nothing_heavy() -> None:
    code = (
        "import sys; import driver.cli, driver.verbs.listing, driver.plan.job; "
        "print([m for m in ('docker', 'rich', 'scipy', 'torch', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


SCHEMAS = schema_texts()


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_schemas_are_those_of_the_models(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == SCHEMAS[path], "type: make schemas"


@pytest.mark.parametrize("file", MANIFESTS)
def test_every_key_of_a_manifest_is_explained(file: str) -> None:
    silent = [
        f"[{table}] {key}"
        for table, found in tables(MANIFESTS[file].model_json_schema(by_alias=True))
        for key, spec in found["properties"].items()
        if not spec.get("description", "").strip()
    ]
    assert silent == []


def test_the_page_of_keys_names_those_that_a_vendor_writes() -> None:
    text = page()
    for heading in ("[engines.<name>.precisions.<name>]", "[[installers]]", "[drivers.<name>]"):
        assert f"### `{heading}`" in text
    for key in ("`default_precision`", "`peaks_source`", "`process_runner`", "`macs_scope`"):
        assert f"| {key} |" in text
