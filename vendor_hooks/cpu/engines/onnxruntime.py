"""ONNX Runtime on the host's CPU, fp32: the harness's engine with the provider that every build has."""

from harness.engines.onnxruntime import OnnxRuntime

ENGINE = OnnxRuntime
