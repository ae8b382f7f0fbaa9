"""tvm.relay.backend.vm: the compiler of the virtual machine."""

from assay_standin.xtcl import vm_compile as compile

__all__ = ["compile"]
