"""tvm.relay: the importer and the graph compiler."""

from assay_standin.xtcl import build

from tvm.relay import backend, frontend

__all__ = ["backend", "build", "frontend"]
