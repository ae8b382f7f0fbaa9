"""What the cases' tests share: the reference stack's Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vendor_hooks.reference.stack import reference_stack, timm_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def reference_python() -> Path:
    """Return the reference stack's Python, or skip."""
    python, why = reference_stack()
    if python is None:
        pytest.skip(why)
    return python


@pytest.fixture(scope="session")
def timm() -> Path:
    """Return timm's folder, or skip."""
    folder, why = timm_folder()
    if folder is None:
        pytest.skip(why)
    return folder
