"""The installed command: what of Assay works without a checkout. In a checkout, driver/assay is called instead."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE / "tree" if (HERE / "tree").is_dir() else HERE.parents[1]
"""The driver and the manifests, arranged as in a checkout; the checkout itself where it was installed from one with -e."""


def main() -> int:
    """Run one verb; return its exit code (docs/exit-codes.md)."""
    sys.path.insert(0, str(TREE))
    from driver.__main__ import main as driver_main

    return driver_main()
