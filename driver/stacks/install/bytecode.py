"""Byte code of an environment: guests run with `python -B`, so it has to be there before they start.

Importing torch and transformers without it takes some 9 s longer, in every stage. Standard library only:
the driver's own environment is made with it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from driver.system.subprocesses import run_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEVER_IMPORTED = (
    r"/(tests?|testing)/"
    r"|^/transformers/models/(?!auto/)[^/]+/"
    r"|^/diffusers/(modular_)?pipelines/[^/]+/"
    r"|^/onnxruntime/(quantization|tools|transformers)/"
    r"|^/(pygments/(lexers|styles)|setuptools)/"
)
"""Of paths below site-packages: half of all files of a stack.

A fifth are tests. Of the libraries' 700 architectures a case imports one or two, whose few files are
compiled anew in each stage (0.05 s for a ViT): compiling all of them first takes 3 s of two cores.
"""


def compile_packages(venv: Path) -> None:
    """Compile the packages of ``venv``; byte code of a file that a sibling shares is linked."""
    site = next(venv.glob("lib/python3.*/site-packages"))
    for sibling in sorted(venv.parent.glob("*/lib/python3.*/site-packages")):
        if sibling != site and sibling.parent.name == site.parent.name:
            link_shared(sibling, site)
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
import concurrent.futures, importlib.util, os, py_compile, re, sys, warnings

def compile_files(paths):
    warnings.simplefilter("ignore")
    for path in paths:
        try:
            py_compile.compile(path, doraise=True)
        except (py_compile.PyCompileError, OSError, ValueError, RecursionError):
            pass  # not Python of this version: a template, a sample for Python 2

site, skipped = sys.argv[1], re.compile(sys.argv[2])
found = []
for folder, names, files in os.walk(site):
    if "__pycache__" in names:
        names.remove("__pycache__")
    for name in files:
        path = os.path.join(folder, name)
        if name.endswith(".py") and not skipped.search(path[len(site):]):
            if not os.path.exists(importlib.util.cache_from_source(path)):
                found.append(path)
# In shares of a few dozen: a task a file costs a quarter more than the compiling itself.
shares = [found[start:start + 40] for start in range(0, len(found), 40)]
with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    for _ in pool.map(compile_files, shares):
        pass
"""
