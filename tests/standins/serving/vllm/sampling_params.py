"""SamplingParams and the kinds of outputs, with what they refuse."""

import enum


class RequestOutputKind(enum.Enum):
    """What a step's outputs hold: all tokens so far, the new ones, or nothing before the end."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


class SamplingParams:
    """The fields that hooks use, checked as vLLM checks them."""

    def __init__(
        self,
        *,
        temperature=1.0,
        max_tokens=16,
        ignore_eos=False,
        detokenize=True,
        logprobs=None,
        output_kind=RequestOutputKind.CUMULATIVE,
    ):
        if temperature < 0.0:
            raise ValueError("temperature must be non-negative, got {}.".format(temperature))
        if max_tokens is not None and max_tokens < 1:
            raise ValueError("max_tokens must be at least 1, got {}.".format(max_tokens))
        if logprobs is not None and logprobs != -1 and logprobs < 0:
            raise ValueError("logprobs must be non-negative or -1, got {}.".format(logprobs))
        self.temperature, self.max_tokens, self.ignore_eos = temperature, max_tokens, ignore_eos
        self.detokenize, self.logprobs, self.output_kind = detokenize, logprobs, output_kind
