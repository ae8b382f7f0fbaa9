"""tvm.contrib.xpu_config: which type comes out of each operator."""

from assay_standin.xtcl import XPUOutDtypeConfig

__all__ = ["XPUOutDtypeConfig"]
