"""LLM: the configuration with its checks, and the engine behind it."""

import os
import types

from assay_standin import batching, faults, llama, settings

from vllm import platforms
from vllm.platforms import current_platform

#: vLLM's own, for an LLM on a large GPU.
BATCHED_TOKENS = 8192
BLOCK = 16
DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")
KNOWN = {
    "model": None,
    "skip_tokenizer_init": False,
    "dtype": "auto",
    "max_model_len": None,
    "max_num_seqs": 256,
    "max_num_batched_tokens": BATCHED_TOKENS,
    "gpu_memory_utilization": 0.9,
    "enable_prefix_caching": True,
    "enforce_eager": False,
    "max_logprobs": 20,
    "logprobs_mode": "raw_logprobs",
    "generation_config": "auto",
    "seed": 0,
    "disable_log_stats": False,
    "kv_cache_memory_bytes": None,
    "tensor_parallel_size": 1,
}
ELEMENT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
MODES = ("raw_logits", "raw_logprobs", "processed_logits", "processed_logprobs")


class LLM:
    """Offline inference: ``llm_engine`` has add_request and step."""

    def __init__(self, model, **options):
        unknown = sorted(set(options) - set(KNOWN))
        if unknown:
            raise TypeError(
                "EngineArgs.__init__() got an unexpected keyword argument {!r}".format(unknown[0])
            )
        rocm = current_platform.device_name == "rocm"
        if rocm:
            platforms.rocm.import_ray()
            platforms.rocm.name_device()
        if faults.strike("compile") & {"fail"}:
            _die("RuntimeError: CompilationError: at 12:4: tl.dot has no such shape")
        if faults.strike("load") & {"oom"}:
            _die(
                "torch.OutOfMemoryError: {} out of memory. Tried to allocate 2.00 GiB.".format(
                    "HIP" if rocm else "CUDA"
                )
            )
        self.llm_engine = LLMEngine(dict(KNOWN, model=model, **options))


def _die(said):
    """As vLLM's engine core does, which is another process: why is on standard error alone."""
    os.write(
        2, "(EngineCore pid=143) ERROR 11-29 22:00:00 [core.py:946] {}\n".format(said).encode()
    )
    raise RuntimeError(
        "Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    )


class LLMEngine:
    """Requests in, outputs of each step back."""

    def __init__(self, asked):
        dtype = _dtype(asked["dtype"])
        import torch

        config = llama.read_config(asked["model"])
        length = _length(asked["max_model_len"], config)
        if asked["logprobs_mode"] not in MODES:
            raise ValueError("Invalid logprobs_mode {!r}".format(asked["logprobs_mode"]))
        model = llama.Llama(asked["model"], getattr(torch, dtype))
        blocks = _blocks(asked, model, dtype, length)
        self._asked, self._length = asked, length
        self._vocabulary = model.vocabulary
        self._batching = batching.Batching(
            model, asked["max_num_seqs"], asked["max_num_batched_tokens"], (blocks - 1) * BLOCK
        )
        self._requests, self._delivered = {}, {}
        self.vllm_config = _configuration(asked, getattr(torch, dtype), length, blocks)

    def add_request(self, request_id, prompt, params):
        """Check a request as vLLM does, and let it wait for its step."""
        ids = prompt["prompt_token_ids"]
        if not ids:
            raise ValueError("The decoder prompt cannot be empty")
        if len(ids) > self._length - 1 and params.max_tokens:
            raise ValueError(
                "The decoder prompt (length {}) is longer than the maximum model length of {}. Make sure that "
                "`max_model_len` is no smaller than the number of text tokens.".format(
                    len(ids), self._length
                )
            )
        if max(ids) >= self._vocabulary:
            raise ValueError("Token id {} is out of vocabulary".format(max(ids)))
        if request_id in self._requests:
            raise ValueError("Request id {} already running.".format(request_id))
        most = self._asked["max_logprobs"]
        wanted = params.logprobs
        if wanted is not None and most != -1 and (wanted == -1 or wanted > most):
            raise ValueError(
                "Requested sample logprobs of {}, which is greater than max allowed: {}".format(
                    wanted, most
                )
            )
        if params.temperature or not params.ignore_eos:
            raise ValueError("the stand-in samples greedily, and knows no end of a sequence")
        self._requests[request_id] = params
        self._delivered[request_id] = 0
        count = min(params.max_tokens, self._length - len(ids))
        self._batching.add(request_id, ids, count)
        return request_id

    def has_unfinished_requests(self):
        """Whether a request waits or runs."""
        return bool(self._batching.unfinished)

    def step(self):
        """One step of the scheduler."""
        found = (self._output(one) for one in self._batching.step())
        return [one for one in found if one is not None]

    def _output(self, one):
        from vllm.sampling_params import RequestOutputKind as Kind

        params, finished = self._requests[one.name], one.finished
        if finished:
            del self._requests[one.name]
        kind = params.output_kind
        if kind is Kind.FINAL_ONLY and not finished:
            return None
        start = self._delivered[one.name] if kind is Kind.DELTA else 0
        self._delivered[one.name] = len(one.made)
        completion = types.SimpleNamespace(
            index=0,
            text="",
            token_ids=one.made[start:],
            logprobs=None if params.logprobs is None else [self._logprobs(one.logits)],
            finish_reason="length" if finished else None,
        )
        cached = BLOCK if "cached" in faults.asked("infer") else 0
        return types.SimpleNamespace(
            request_id=one.name,
            prompt_token_ids=one.prompt,
            outputs=[completion],
            finished=finished,
            num_cached_tokens=cached,
        )

    def _logprobs(self, logits):
        """Id → Logprob of a row, the most probable one first, in the mode that was asked for."""
        import numpy as np

        values = logits.astype(np.float64)
        if self._asked["logprobs_mode"].endswith("logprobs"):
            values = values - values.max()
            values = values - np.log(np.exp(values).sum())
        order = (-values).argsort(kind="stable")
        return {
            int(token): types.SimpleNamespace(
                logprob=float(np.float32(values[token])), rank=rank, decoded_token=None
            )
            for rank, token in enumerate(order, 1)
        }


def _dtype(name):
    if name not in DTYPES:
        raise ValueError("Unknown dtype: {!r}".format(name))
    return {"auto": "bfloat16", "half": "float16", "float": "float32"}.get(name, name)


def _length(asked, config):
    most = config["max_position_embeddings"]
    if asked is not None and asked > most:
        raise ValueError(
            "User-specified max_model_len ({}) is greater than the derived max_model_len (max_position_embeddings={} "
            "or model_max_length=None in model's config.json).".format(asked, most)
        )
    return asked or most


def _blocks(asked, model, dtype, length):
    """Blocks of the cache; the error of one that is too small for a sequence."""
    gib = float(settings.value("cache_gib", "1"))
    bytes_of_a_token = model.cached_elements() * ELEMENT_BYTES[dtype]
    needed = length * bytes_of_a_token / float(1 << 30)
    if needed > gib:
        _die(
            "ValueError: To serve at least one request with the models's max seq len ({}), ({:.2f} GiB KV cache is "
            "needed, which is larger than the available KV cache memory ({:.2f} GiB).".format(
                length, needed, gib
            )
        )
    return int(gib * (1 << 30) // (bytes_of_a_token * BLOCK))


def _configuration(asked, dtype, length, blocks):
    caching = asked["enable_prefix_caching"] or settings.value("prefix_caching") == "always"
    return types.SimpleNamespace(
        model_config=types.SimpleNamespace(
            dtype=dtype,
            max_model_len=length,
            enforce_eager=asked["enforce_eager"],
            quantization=None,
        ),
        cache_config=types.SimpleNamespace(
            num_gpu_blocks=blocks,
            block_size=BLOCK,
            cache_dtype="auto",
            enable_prefix_caching=caching,
        ),
        scheduler_config=types.SimpleNamespace(
            max_num_seqs=asked["max_num_seqs"],
            max_num_batched_tokens=asked["max_num_batched_tokens"],
            enable_chunked_prefill=True,
            async_scheduling=True,
        ),
        compilation_config=types.SimpleNamespace(
            cudagraph_mode="NONE" if asked["enforce_eager"] else "FULL_AND_PIECEWISE"
        ),
        speculative_config=None,
    )
