"""tvm.contrib."""

from tvm.contrib import graph_executor, xpu_config

__all__ = ["graph_executor", "xpu_config"]
