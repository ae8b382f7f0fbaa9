"""Byte code of an environment: guests run with `python -B`, so it has to be there before they start.

Importing torch and transformers without it takes some 7 s longer, in every stage.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from driver.child import run_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEVER_IMPORTED = r"/(tests?|testing)/"
"""A fifth of all files, which no guest imports."""


def compile_packages(venv: Path) -> None:
    """Compile every package of ``venv``; byte code of a file that a sibling shares is linked."""
    site = next(venv.glob("lib/python3.*/site-packages"))
    for sibling in sorted(venv.parent.glob("*/lib/python3.*/site-packages")):
        if sibling != site and sibling.parent.name == site.parent.name:
            link_shared(sibling, site)
    # It ends with 1 where one file is not Python of this version (templates, Python 2 samples).
    command = [str(venv / "bin" / "python3"), "-I", "-c", _COMPILE, str(site), NEVER_IMPORTED]
    run_child(command)


def link_shared(done: Path, site: Path) -> int:
    """Link byte code from ``done`` to ``site`` where both have the same source file; return how many.

    Byte code names the size and time of its source: one inode, hence one byte code.
    """
    linked = 0
    for pyc, source in _compiled(done):
        relative = pyc.relative_to(done)
        ours = site / source.relative_to(done)
        with suppress(OSError):
            if ours.samefile(source) and not (site / relative).exists():
                (site / relative).parent.mkdir(exist_ok=True)
                (site / relative).hardlink_to(pyc)
                linked += 1
    return linked


def _compiled(site: Path) -> Iterator[tuple[Path, Path]]:
    for cache in site.glob("**/__pycache__"):
        for entry in os.scandir(cache):
            module = entry.name.partition(".")[0]
            if entry.name.endswith(".pyc"):
                yield cache / entry.name, cache.parent / f"{module}.py"


_COMPILE = """
import compileall, os, re, sys
compileall.compile_dir(
    sys.argv[1], quiet=2, workers=len(os.sched_getaffinity(0)), rx=re.compile(sys.argv[2])
)
"""
