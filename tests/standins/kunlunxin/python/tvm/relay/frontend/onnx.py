"""tvm.relay.frontend.onnx."""

from assay_standin.xtcl import from_onnx, get_info

__all__ = ["from_onnx", "get_info"]
