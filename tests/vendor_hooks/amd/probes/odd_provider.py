"""Imported when the stand-in's Python starts: ODD_PROVIDER=MatMul leaves an operator's nodes to the CPU, ``*`` all."""

import os

from assay_standin import migraphx_provider

odd = os.environ.get("ODD_PROVIDER", "")
if odd:
    migraphx_provider.MIGraphXSession.host_operators = (odd,)
