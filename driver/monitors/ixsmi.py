"""Iluvatar's ``ixsmi --query-gpu=… --format=csv``: rows as nvidia-smi prints them.

Columns: ``ixsmi --help-query-gpu`` of CoreX 4.4, as probes of an MR-V100 print it. Power is ``gpu.power.draw`` since
CoreX 4 and ``power.draw`` in 3, and "N/A" for the second chip of a BI-V150, whose card measures it once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.monitors import nvidia_smi

if TYPE_CHECKING:
    from driver.monitors.reading import Readings

COLUMNS = tuple(
    {"power.draw": "gpu.power.draw", "clocks.sm": "clocks.current.sm"}.get(name, name)
    for name in nvidia_smi.COLUMNS
)
COMMAND = ("ixsmi", f"--query-gpu={','.join(COLUMNS)}", "--format=csv,noheader,nounits")


def parse(text: str) -> Readings:
    """Read rows with the columns of the header, else ``COLUMNS``; the device is the row's index."""
    return nvidia_smi.parse(text, tool="ixsmi")
