"""tvm.relay.backend.vm: the compiler of the virtual machine."""

from assay_standin.xtcl import vm_compile as compile  # noqa: A004 - TVM's own name

__all__ = ["compile"]
