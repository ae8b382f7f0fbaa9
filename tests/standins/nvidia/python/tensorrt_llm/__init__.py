"""TensorRT-LLM's LLM API on the CPU: see tests/standins/README.md."""

from tensorrt_llm.llmapi import LLM, KvCacheConfig, SamplingParams

__assay_standin__ = True
__version__ = "1.2.1"
__all__ = ["LLM", "KvCacheConfig", "SamplingParams"]
