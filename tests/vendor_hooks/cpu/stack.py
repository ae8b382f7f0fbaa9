"""The Pythons of cpu's other stacks: with IREE, and for torch.compile."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from tests.harness.interpreters import stack_python
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@cache
def iree_stack() -> tuple[Path | None, str]:
    """Return (the stack's Python, ""), or (None, how to have one)."""
    stack = load_catalog(ROOT).vendors["cpu"].stacks["iree3.13"]
    return stack_python(stack.folder, "ASSAY_IREE_PYTHON", "iree.compiler")


@cache
def inductor_stack() -> tuple[Path | None, str]:
    """Return (the stack's Python, ""), or (None, how to have one); its compiler is the system's."""
    if shutil.which("g++") is None:
        return None, "torch.compile needs a C++ compiler: apt-get install g++"
    stack = load_catalog(ROOT).vendors["cpu"].stacks["torch2.13-inductor"]
    return stack_python(stack.folder, "ASSAY_INDUCTOR_PYTHON", "torch")
