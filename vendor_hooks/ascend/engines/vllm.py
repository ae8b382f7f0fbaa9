"""vLLM with the plug-in vLLM Ascend, for language models: the harness's engine."""

from harness.engines.serving.vllm import Vllm

ENGINE = Vllm
