"""Imported when the stand-in's Python starts: ODD_MACA=fallback makes MACA leave its work to the host."""

import os

from assay_standin import maca

if os.environ.get("ODD_MACA") == "fallback":
    maca.MacaSession.get_providers = lambda self: ["CPUExecutionProvider"]
