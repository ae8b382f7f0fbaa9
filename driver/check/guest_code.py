"""Checks guest code without running it: it must parse under the stack's Python and import nothing heavy."""

from __future__ import annotations

import ast
import sys
import warnings
from typing import TYPE_CHECKING

from driver.doctor.finding import failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from driver.doctor.finding import Finding

Python = tuple[int, int]
OLDEST: Python = (3, 7)
GUEST_PACKAGES = frozenset({"harness", "hook", "case", "numpy"})
"""What every stage has besides the standard library; an SDK must be imported inside methods."""

BUILTIN_GENERICS: Python = (3, 9)
GENERICS = frozenset({"list", "dict", "tuple", "set", "frozenset", "type"})


def python_of(version: str) -> Python:
    """Return major and minor version: ``"3.7.5"`` gives (3, 7)."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def check_module(path: Path, name: str, python: Python) -> Iterator[Finding]:
    """Yield what is wrong with one file of guest code, which findings call ``name``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=python)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        yield failed(
            name,
            f"{where}does not parse under Python {python[0]}.{python[1]}: {error}",
            "use only syntax of that Python (no :=, no match, no positional-only parameters)",
        )
        return
    for line, module in heavy_imports(tree):
        yield failed(
            name,
            f"line {line}: imports {module} at the top",
            "import it inside the method that uses it; other stages load this file without the SDK",
        )
    if python < BUILTIN_GENERICS:
        for line, text in builtin_generics(tree):
            yield failed(
                name,
                f"line {line}: {text}[…] fails at run time under Python {python[0]}.{python[1]}",
                "use List, Dict or Tuple from typing, or a comment",
            )


def heavy_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, package) of imports that run when the module is imported."""
    for node in _run_at_import(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            package = name.partition(".")[0]
            if package not in GUEST_PACKAGES and package not in sys.stdlib_module_names:
                yield node.lineno, package


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield child
        yield from _run_at_import(child)


def builtin_generics(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of ``list[int]`` and the like, which Python before 3.9 cannot evaluate."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id in GENERICS
        ):
            yield node.lineno, node.value.id


def defined_names(path: Path) -> frozenset[str]:
    """Return the names that a module binds at its top level; empty if it does not parse."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
        return frozenset()
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                name.id
                for target in targets
                for name in ast.walk(target)
                if isinstance(name, ast.Name)
            }
    return frozenset(found)
