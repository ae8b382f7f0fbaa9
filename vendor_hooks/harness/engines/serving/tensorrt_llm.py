"""TensorRT-LLM as an engine: its LLM API with the PyTorch backend, the default since release 1.0.

Interface: TensorRT-LLM's documentation of 1.2, "LLM API", "TorchLlmArgs", "KvCacheConfig", "SamplingParams",
"CompletionOutput", and its example of asynchronous streaming.
"""

import asyncio
import queue
import threading
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from harness.engines.serving.checkpoint_folder import checkpoint_folder
from harness.engines.serving.overheard import Overheard, overhearing
from harness.engines.serving.scheduling import (
    SchedulingEngine,
    longest,
    require_setting,
    require_uncached,
)
from harness.errors import StageFailure, one_line, out_of_memory, says_out_of_memory
from harness.job import Job
from harness.models import torch_module

#: The share of the memory that weights leave, which keys and values take: TensorRT-LLM's own default.
MEMORY_SHARE = 0.9
#: Tokens of a step: TensorRT-LLM's own default.
TOKENS_A_STEP = 8192
#: No id: the end of a sequence is its number of tokens.
NO_ID = -1
PRECISIONS = {"float16": "fp16", "bfloat16": "bf16"}
UNREAD = "the LLM API reports the dtype that it was asked for, not that of the kernels"


class TensorRtLlm(SchedulingEngine):
    """``tensorrt_llm.LLM`` with token ids in and out: greedy, without a tokenizer, and without reuse of blocks.

    ``engine_options`` in vendor.toml: ``arguments``, which are passed on to ``tensorrt_llm.LLM``.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._llm: Any = None
        self._loop: Any = None
        #: (number, id) of new tokens, or what ended a request.
        self._events: "queue.Queue[Any]" = queue.Queue()

    def compile(self) -> Dict[str, Any]:
        """Load once: a failure is then a compile failure. The PyTorch backend leaves no engine file."""
        return self.load()

    def load(self) -> Dict[str, Any]:
        """Start TensorRT-LLM on the case's weights; the settings are those of its arguments after the start."""
        import tensorrt_llm

        self.simulated = bool(getattr(tensorrt_llm, "__assay_standin__", False))
        self._require_device()
        folder = checkpoint_folder(self.job)
        try:
            with overhearing() as heard:
                self._llm = tensorrt_llm.LLM(**self._arguments(str(folder)))
        except Exception as error:
            raise self._failed(error, heard) from error
        settings = self._effective()
        require_setting(settings, "enable_block_reuse", False, "TensorRT-LLM")
        require_setting(settings, "max_batch_size", self.job.batch_size, "TensorRT-LLM")
        require_setting(settings, "backend", "pytorch", "TensorRT-LLM")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="requests", daemon=True).start()
        return settings

    def _require_device(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise StageFailure(
                "host",
                "PyTorch {} sees no device (torch.cuda.is_available() is False)".format(
                    torch.__version__
                ),
                "make doctor VENDOR={} checks driver, device nodes and container runtime".format(
                    self.job.vendor
                ),
            )

    def _arguments(self, folder: str) -> Dict[str, Any]:
        from tensorrt_llm.llmapi import KvCacheConfig

        length = longest(self.job)
        arguments = {
            "model": folder,
            "backend": "pytorch",
            "skip_tokenizer_init": True,
            "dtype": torch_module.DTYPES[self.job.precision],
            # A step advances at most a batch: what is added beyond it waits.
            "max_batch_size": self.job.batch_size,
            "max_seq_len": length,
            "max_num_tokens": max(TOKENS_A_STEP, length),
            # A prompt's keys and values must be computed: blocks of an earlier one would make prefill look faster.
            "kv_cache_config": KvCacheConfig(
                enable_block_reuse=False, free_gpu_memory_fraction=MEMORY_SHARE
            ),
            # For accuracy and checks; only requests that ask for logits get them.
            "gather_generation_logits": True,
        }
        arguments.update(self.job.engine_options.get("arguments", {}))
        arguments.update(self.job.precision_options)
        return arguments

    def _failed(self, error: BaseException, heard: Overheard) -> BaseException:
        """Why it did not start: its worker is a process of its own, which may say so on standard error alone."""
        said = one_line(error)
        for one in (said, *heard.errors()):
            if says_out_of_memory(one):
                return out_of_memory(one)
        return StageFailure(
            "compile" if self.job.stage == "compile" else "infer",
            "TensorRT-LLM did not start: {}".format(said),
            "read the full log beside the result: the first traceback of its worker says why",
        )

    def _effective(self) -> Dict[str, Any]:
        args = self._llm.args
        cache = args.kv_cache_config
        return {
            "precision": PRECISIONS.get(args.dtype, args.dtype),
            "arithmetic_unread": UNREAD,
            "dtype": args.dtype,
            "cache_dtype": str(getattr(cache, "dtype", None)),
            "backend": args.backend,
            "attn_backend": getattr(args, "attn_backend", None),
            "max_seq_len": args.max_seq_len,
            "max_batch_size": args.max_batch_size,
            "max_num_tokens": args.max_num_tokens,
            "enable_chunked_prefill": getattr(args, "enable_chunked_prefill", None),
            "overlap_scheduler": not getattr(args, "disable_overlap_scheduler", False),
            "cuda_graphs": getattr(args, "cuda_graph_config", None) is not None,
            "enable_block_reuse": cache.enable_block_reuse,
            "scheduling": "in-flight batching by TensorRT-LLM",
        }

    def add(self, numbers: Sequence[int], prompts: np.ndarray, tokens: int) -> None:
        """See Engine."""
        params = self._sampling(tokens)
        asked = [(number, prompt.tolist()) for number, prompt in zip(numbers, prompts)]
        self._loop.call_soon_threadsafe(self._begin, asked, params)

    def _begin(self, asked: List[Tuple[int, List[int]]], params: Any) -> None:
        for number, prompt in asked:
            self._loop.create_task(self._follow(number, prompt, params))

    async def _follow(self, number: int, prompt: List[int], params: Any) -> None:
        seen = 0
        try:
            async for output in self._llm.generate_async(prompt, params, streaming=True):
                require_uncached(getattr(output, "cached_tokens", 0), "TensorRT-LLM")
                ids = output.outputs[0].token_ids
                for token in ids[seen:]:
                    self._events.put((number, token))
                seen = len(ids)
        except Exception as error:  # whatever it was, advance() raises it
            self._events.put(error)

    def advance(self) -> Sequence[Tuple[int, int]]:
        """See Engine: what the requests' streams have brought since the last call."""
        pairs = [self._event(block=True)]
        while not self._events.empty():
            pairs.append(self._event(block=False))
        return pairs

    def _event(self, block: bool) -> Tuple[int, int]:
        found = self._events.get(block)
        if isinstance(found, BaseException):
            raise found
        number, token = found
        return number, token

    def _sampling(self, tokens: int, **more: Any) -> Any:
        from tensorrt_llm import SamplingParams

        return SamplingParams(
            max_tokens=tokens, top_k=1, ignore_eos=True, end_id=NO_ID, detokenize=False, **more
        )

    def last_logits(self, sequences: np.ndarray) -> np.ndarray:
        """See SchedulingEngine: a request of one token for each sequence, with the logits that chose it."""
        params = self._sampling(1, return_generation_logits=True)
        outputs = self._llm.generate([one.tolist() for one in sequences], params, use_tqdm=False)
        vocabulary = self.job.outputs[0].shape[0]
        found = np.empty((len(sequences), vocabulary), np.float32)
        for row, output in zip(found, outputs):
            logits = output.outputs[0].generation_logits
            row[...] = logits.float().cpu().numpy().reshape(-1)[:vocabulary]
        return found

    def versions(self) -> Dict[str, str]:
        """Versions of TensorRT-LLM, of torch and of CUDA."""
        import tensorrt_llm
        import torch

        found = {"tensorrt_llm": tensorrt_llm.__version__, "torch": torch.__version__}
        if torch.version.cuda:
            found["cuda"] = torch.version.cuda
        return found

    def close(self) -> None:
        """Shut TensorRT-LLM down."""
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)


ENGINE = TensorRtLlm
