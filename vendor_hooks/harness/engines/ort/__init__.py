"""What the engines of ONNX Runtime share: tensors bound on a device, and which provider runs which node."""
