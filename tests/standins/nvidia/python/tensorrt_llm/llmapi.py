"""LLM with the PyTorch backend: arguments, requests, and outputs that stream."""

import asyncio
import threading
import types

from assay_standin import batching, faults, llama, settings

DTYPES = ("auto", "float16", "bfloat16")
KNOWN = {
    "model": None,
    "backend": "pytorch",
    "skip_tokenizer_init": False,
    "dtype": "auto",
    "max_batch_size": 2048,
    "max_seq_len": None,
    "max_num_tokens": 8192,
    "kv_cache_config": None,
    "gather_generation_logits": False,
    "enable_chunked_prefill": False,
    "disable_overlap_scheduler": False,
    "attn_backend": "TRTLLM",
    "cuda_graph_config": "default",
}


class KvCacheConfig:
    """The fields that hooks use."""

    def __init__(
        self, enable_block_reuse=True, free_gpu_memory_fraction=0.9, max_tokens=None, dtype="auto"
    ):
        self.enable_block_reuse = enable_block_reuse
        self.free_gpu_memory_fraction = free_gpu_memory_fraction
        self.max_tokens, self.dtype = max_tokens, dtype


class SamplingParams:
    """The fields that hooks use."""

    def __init__(
        self,
        *,
        end_id=None,
        max_tokens=32,
        top_k=None,
        ignore_eos=False,
        detokenize=True,
        return_generation_logits=False,
    ):
        self.end_id, self.max_tokens, self.top_k, self.ignore_eos = (
            end_id,
            max_tokens,
            top_k,
            ignore_eos,
        )
        self.detokenize, self.return_generation_logits = detokenize, return_generation_logits


class RequestError(RuntimeError):
    """A request that the executor refuses."""


class LLM:
    """generate and generate_async; a worker thread steps the scheduler while requests are unfinished."""

    def __init__(self, model, **options):
        unknown = sorted(set(options) - set(KNOWN))
        if unknown:
            raise ValueError(
                "{} is not a valid argument of TorchLlmArgs: extra inputs are not permitted".format(
                    unknown[0]
                )
            )
        args = dict(KNOWN, model=model, **options)
        if args["dtype"] not in DTYPES:
            raise ValueError("Unsupported dtype of the PyTorch backend: {!r}".format(args["dtype"]))
        if faults.strike("compile") & {"fail"}:
            raise RuntimeError(
                "Executor worker returned error: CUDA driver version is insufficient"
            )
        if faults.strike("load") & {"oom"}:
            raise RuntimeError("Executor worker returned error: CUDA out of memory.")
        import torch

        dtype = "bfloat16" if args["dtype"] == "auto" else args["dtype"]
        self._model = llama.Llama(model, getattr(torch, dtype))
        args["kv_cache_config"] = args["kv_cache_config"] or KvCacheConfig()
        args["max_seq_len"] = args["max_seq_len"] or self._model.config["max_position_embeddings"]
        if settings.value("prefix_caching") == "always":
            args["kv_cache_config"].enable_block_reuse = True
        self.args = types.SimpleNamespace(**args)
        self._batching = batching.Batching(
            self._model, args["max_batch_size"], args["max_num_tokens"], 1 << 30
        )
        self._lock, self._more = threading.Lock(), threading.Event()
        self._outputs, self._next, self._over = {}, 0, False
        threading.Thread(target=self._work, name="executor", daemon=True).start()

    def generate(self, inputs, sampling_params=None, use_tqdm=True):
        """Run prompts (lists of ids) to their ends; return a RequestOutput for each."""
        outputs = [self.generate_async(one, sampling_params) for one in inputs]
        return [one.result() for one in outputs]

    def generate_async(self, inputs, sampling_params=None, streaming=False):
        """Begin one prompt; return its RequestOutput at once."""
        self._check(inputs, sampling_params)
        output = RequestOutput(inputs, sampling_params, streaming)
        with self._lock:
            name, self._next = self._next, self._next + 1
            self._outputs[name] = output
            self._batching.add(name, inputs, sampling_params.max_tokens)
        self._more.set()
        return output

    def _check(self, inputs, params):
        if params.end_id is None:
            raise ValueError(
                "tokenizer is required to reset end_id if it is None, or you can explicitly specify the end_id for "
                "sampling_params"
            )
        if not params.ignore_eos or params.top_k != 1:
            raise ValueError("the stand-in samples greedily, and knows no end of a sequence")
        if params.return_generation_logits and not self.args.gather_generation_logits:
            raise ValueError(
                "`sampling_params.return_generation_logits=True` requires `gather_generation_logits` to be enabled"
            )
        if len(inputs) + params.max_tokens > self.args.max_seq_len:
            raise RequestError(
                "The sum of prompt length ({}), query length (0) and max_tokens ({}) should not exceed max_seq_len "
                "({})".format(len(inputs), params.max_tokens, self.args.max_seq_len)
            )

    def shutdown(self):
        """End the worker."""
        self._over = True
        self._more.set()

    def _work(self):
        while not self._over:
            self._more.wait()
            with self._lock:
                advanced = self._batching.step() if self._batching.unfinished else []
                if not self._batching.unfinished:
                    self._more.clear()
            for one in advanced:
                output = self._outputs[one.name]
                output.take(one)
                if one.finished:
                    del self._outputs[one.name]


class RequestOutput:
    """A request's output: awaited step by step, or waited for."""

    def __init__(self, prompt, params, streaming):
        self.prompt_token_ids, self.cached_tokens = prompt, 0
        self.finished = False
        self.outputs = [
            types.SimpleNamespace(token_ids=[], generation_logits=None, finish_reason=None)
        ]
        self._params, self._streaming = params, streaming
        self._ended = threading.Event()
        self._loop = asyncio.get_running_loop() if streaming else None
        self._steps = asyncio.Queue() if streaming else None

    def take(self, one):
        """A token came, in the worker's thread."""
        if "cached" in faults.asked("infer"):
            self.cached_tokens = 32
        if self._streaming:
            self._loop.call_soon_threadsafe(self._steps.put_nowait, (list(one.made), one.finished))
        if one.finished:
            self._finish(one)

    def _finish(self, one):
        import torch

        if self._params.return_generation_logits:
            self.outputs[0].generation_logits = torch.from_numpy(one.logits.copy())[None]
        if not self._streaming:
            self.outputs[0].token_ids, self.finished = list(one.made), True
        self._ended.set()

    def result(self):
        """Wait for the end."""
        self._ended.wait()
        return self

    def __aiter__(self):
        """Iterate over steps."""
        return self

    async def __anext__(self):
        """Return this output as it is after the next step."""
        if self.finished:
            raise StopAsyncIteration
        self.outputs[0].token_ids, self.finished = await self._steps.get()
        return self
