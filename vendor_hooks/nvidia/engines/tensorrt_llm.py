"""TensorRT-LLM with its PyTorch backend, for language models: the harness's engine."""

from harness.engines.serving.tensorrt_llm import TensorRtLlm

ENGINE = TensorRtLlm
