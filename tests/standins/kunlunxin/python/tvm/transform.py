"""tvm.transform."""

from assay_standin.xtcl import PassContext

__all__ = ["PassContext"]
