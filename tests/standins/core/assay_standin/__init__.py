"""What the stand-ins share: reading ONNX, lowering precision, running through ONNX Runtime, faults."""

__assay_standin__ = True
