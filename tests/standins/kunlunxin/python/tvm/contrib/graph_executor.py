"""tvm.contrib.graph_executor."""

from assay_standin.xtcl import GraphModule, create

__all__ = ["GraphModule", "create"]
