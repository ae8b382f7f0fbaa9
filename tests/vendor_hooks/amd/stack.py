"""The Python of amd's stack, where the processor is AMD's."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from driver.plan.processor import misfit
from driver.system.host.processor import read_identity
from tests.harness.interpreters import stack_python
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@cache
def zen_stack() -> tuple[Path | None, str]:
    """Return (the stack's Python, ""), or (None, why there is none)."""
    vendor = load_catalog(ROOT).vendors["amd"]
    unfit = misfit(vendor, read_identity())
    if unfit is not None:
        return None, unfit[0]
    return stack_python(vendor.stacks["zen"].folder, "ASSAY_ZEN_PYTHON", "zentorch")


def replaces_operators() -> bool:
    """Return whether zentorch has operators for this processor; without AVX-512 all is inductor's."""
    return "avx512f" in read_identity().flags
