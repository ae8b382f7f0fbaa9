"""tvm.runtime."""

from assay_standin.xtcl import load_module

from tvm.runtime import vm

__all__ = ["load_module", "vm"]
