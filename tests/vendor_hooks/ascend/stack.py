"""The stand-in of each of Ascend's stacks: its CANN, and a chip that the stack's base image is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.standin import standin_python

if TYPE_CHECKING:
    from pathlib import Path

CHIPS = {"cann9.1-910b": "910B4"}
"""The chip by stack, as vendor.toml and the stand-in call it; the default chip for the others."""


def cann_python(stack: str, **settings: str) -> Path:
    """Return a Python with the stand-in of a stack, and with more settings."""
    versions = load_catalog(ROOT).vendor("ascend").stacks[stack].manifest.versions
    chip = {"chip": CHIPS[stack]} if stack in CHIPS else {}
    return standin_python("ascend", **{"cann": versions["cann"], **chip, **settings})
