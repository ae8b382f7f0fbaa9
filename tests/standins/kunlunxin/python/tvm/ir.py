"""tvm.ir."""

from assay_standin.xtcl import IRModule

__all__ = ["IRModule"]
