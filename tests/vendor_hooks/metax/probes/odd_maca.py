"""Imported when the stand-in's Python starts: ODD_MACA makes MACA leave work to the host.

``fallback``: the whole session, with a warning. ``host:MatMul``, ``host:*``: the nodes of an operator, or
all of them, in a session that lists MACA's provider first.
"""

import os

from assay_standin import maca

odd = os.environ.get("ODD_MACA", "")
if odd == "fallback":
    maca.MacaSession.get_providers = lambda self: ["CPUExecutionProvider"]
if odd.startswith("host:"):
    maca.MacaSession.host_operators = (odd[len("host:") :],)
