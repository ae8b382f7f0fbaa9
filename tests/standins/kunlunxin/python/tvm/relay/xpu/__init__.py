"""tvm.relay.xpu: Kunlunxin's passes."""

from tvm.relay.xpu import patterns

__all__ = ["patterns"]
