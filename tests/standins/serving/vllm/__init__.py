"""vLLM's offline interface on the CPU: see tests/standins/README.md."""

from vllm.sampling_params import RequestOutputKind, SamplingParams

__assay_standin__ = True
__version__ = "0.29.0"
__all__ = ["LLM", "RequestOutputKind", "SamplingParams"]


def __getattr__(name):
    if name == "LLM":
        from vllm.entrypoints.llm import LLM

        return LLM
    raise AttributeError(name)
