"""The list of mutants, in the .toml files beside this module, and what is wrong with it."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MOST_SURVIVORS = 3


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """``old`` becomes ``new`` in ``file``, and one of ``tests`` (pytest's node ids) must fail.

    ``why`` says what would go wrong in use. ``survives`` is the reason why no test needs to notice it.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    why: str
    survives: str | None = None

    def changed(self, text: str) -> str:
        """Return the mutated file. Raises ValueError unless ``old`` occurs exactly once in ``text``."""
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: its old text occurs {count} times in {self.file}")
        return text.replace(self.old, self.new)


def read_mutants(folder: Path = HERE) -> list[Mutant]:
    """Return the mutants of every list in a folder, in the order of file names and lines."""
    return [
        Mutant(name=name, **{**entry, "tests": tuple(entry["tests"])})
        for path in sorted(folder.glob("*.toml"))
        for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
    ]


def problems(mutants: list[Mutant], root: Path) -> list[str]:
    """Return what is wrong with a list for the tree at ``root``: in words, none if it is sound."""
    found = [text for mutant in mutants for text in _problems(mutant, root)]
    names = [mutant.name for mutant in mutants]
    found += [f"{name}: twice in the list" for name in {n for n in names if names.count(n) > 1}]
    survivors = [mutant.name for mutant in mutants if mutant.survives is not None]
    if len(survivors) > MOST_SURVIVORS:
        found.append(f"{len(survivors)} may survive, at most {MOST_SURVIVORS}: {survivors}")
    return found


def _problems(mutant: Mutant, root: Path) -> Iterator[str]:
    try:
        text = mutant.changed((root / mutant.file).read_text(encoding="utf-8"))
        ast.parse(text)
    except (OSError, ValueError, SyntaxError) as error:
        yield str(error) if isinstance(error, ValueError) else f"{mutant.name}: {error}"
    if mutant.old == mutant.new:
        yield f"{mutant.name}: it changes nothing"
    if not mutant.tests or not mutant.why.strip():
        yield f"{mutant.name}: names no test, or says nothing"
    for test in mutant.tests:
        if not _exists(test, root):
            yield f"{mutant.name}: there is no test {test}"


def _exists(test: str, root: Path) -> bool:
    name, _, function = test.partition("::")
    path = root / name
    if not function:
        return path.exists()
    if not path.is_file():
        return False
    wanted = function.partition("[")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == wanted for node in tree.body)
