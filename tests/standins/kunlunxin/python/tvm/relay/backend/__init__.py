"""tvm.relay.backend."""

from tvm.relay.backend import vm

__all__ = ["vm"]
