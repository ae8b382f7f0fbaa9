"""tvm.contrib.xpu_config: which type comes out of each operator, which subgraphs are matched."""

from assay_standin.xtcl import XPUGraphMatchConfig, XPUOutDtypeConfig

__all__ = ["XPUGraphMatchConfig", "XPUOutDtypeConfig"]
