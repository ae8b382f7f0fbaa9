"""tvm.relay.frontend."""

from assay_standin.xtcl import from_onnx

__all__ = ["from_onnx"]
