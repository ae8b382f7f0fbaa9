"""What the engines of ONNX Runtime's providers for NVIDIA share."""

from harness.engines.onnxruntime_device import DeviceOnnxRuntime
from hook import graph_types


class NvidiaOnnxRuntime(DeviceOnnxRuntime):
    """Shapes may be computed on the CPU.

    CUDA's provider leaves a node to it whose inputs are all there, such as what Shape returns: copying them to the
    device would take longer (ONNX Runtime, core/framework/fallback_cpu_capability.cc). Nodes of whole numbers alone
    are such; any other one on the CPU is none.
    """

    def _shape_nodes(self):
        with self.graph() as path:
            return graph_types.whole_number_nodes(path)
