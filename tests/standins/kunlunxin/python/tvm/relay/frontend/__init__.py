"""tvm.relay.frontend."""

from tvm.relay.frontend import onnx
from tvm.relay.frontend.onnx import from_onnx

__all__ = ["from_onnx", "onnx"]
