"""tvm.runtime.vm."""

from assay_standin.xtcl import Executable, VirtualMachine

__all__ = ["Executable", "VirtualMachine"]
