"""vLLM as an engine (V1), for every device that it has a platform for: CUDA, ROCm, Ascend through vllm-ascend.

Interface: vLLM's documentation of 0.29, "LLM class", "Engine arguments", "SamplingParams" and "Outputs".
"""

import os
import sys
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from harness.engines.serving.checkpoint_folder import checkpoint_folder
from harness.engines.serving.overheard import Overheard, overhearing
from harness.engines.serving.scheduling import (
    SchedulingEngine,
    longest,
    require_room,
    require_setting,
    require_uncached,
)
from harness.engines.torch_build import require_build
from harness.errors import StageFailure, one_line, out_of_memory, says_out_of_memory
from harness.job import Job
from harness.models import torch_module

#: Texts of vLLM's errors about memory, besides those of CUDA: a cache too small for a sequence, memory in use.
OUT_OF_MEMORY = (
    "larger than the available KV cache memory",
    "No available memory for the cache blocks",
    "is less than desired GPU memory utilization",
)
#: The share of the device's memory that vLLM takes: its own default.
MEMORY_SHARE = 0.9
#: vLLM keeps one block of its cache for padding.
SPARE_BLOCKS = 1
PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


class Vllm(SchedulingEngine):
    """``vllm.LLM`` with token ids in and out: greedy, without a tokenizer, a cache of prompts or a logits processor.

    ``engine_options`` in vendor.toml: ``device_type`` (as vLLM's platform names it), ``torch_build`` (since ROCm's
    devices are "cuda", too), ``enforce_eager``, and ``arguments``, which are passed on to ``vllm.LLM``.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._llm: Any = None
        self._asked = 0

    def compile(self) -> Dict[str, Any]:
        """Load once: torch.compile's and Triton's kernels are then in the cache folder."""
        before = self._compiled_files()
        settings = self.load()
        self.cached = bool(before) and self._compiled_files() == before
        return settings

    def load(self) -> Dict[str, Any]:
        """Start vLLM on the case's weights; the settings are those of its configuration after the start."""
        self._set_variables()
        import vllm

        self.simulated = bool(getattr(vllm, "__assay_standin__", False))
        self._require_build()
        self._require_device(vllm)
        folder = checkpoint_folder(self.job)
        try:
            with overhearing() as heard:
                self._llm = vllm.LLM(**self._arguments(str(folder)))
        except Exception as error:
            raise self._failed(error, heard) from error
        settings = self._effective()
        self._require_as_asked(settings)
        return settings

    def _set_variables(self) -> None:
        """What vLLM reads while it is imported: no network, and caches where they are kept."""
        kept = {
            "VLLM_CACHE_ROOT": "vllm",
            "TORCHINDUCTOR_CACHE_DIR": "inductor",
            "TRITON_CACHE_DIR": "triton",
            "FLASHINFER_WORKSPACE_BASE": "flashinfer",
        }
        for name, folder in kept.items():
            os.environ[name] = str(self.job.cache_dir / folder)
        os.environ.setdefault("VLLM_HOST_IP", "127.0.0.1")
        os.environ["VLLM_NO_USAGE_STATS"] = "1"
        # A fork of this process would have its threads' locks.
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")

    def _compiled_files(self) -> List[str]:
        cache = self.job.cache_dir
        return sorted(str(path) for path in cache.rglob("*") if path.is_file())

    def _require_build(self) -> None:
        """Raise StageFailure (image) where PyTorch is for other devices than ``torch_build`` says."""
        import torch

        require_build(self.job, torch)

    def _require_device(self, vllm: Any) -> None:
        """Raise StageFailure (host) where vLLM found another kind of device, or none."""
        from vllm.platforms import current_platform

        found, wanted = current_platform.device_type, self.job.engine_options.get("device_type")
        if not found or (wanted is not None and found != wanted):
            raise StageFailure(
                "host",
                "vLLM {} finds {}, not the device {!r} of this engine".format(
                    vllm.__version__,
                    "the device {!r}".format(found) if found else "no device",
                    wanted,
                ),
                "make doctor VENDOR={} checks driver, device nodes and container runtime".format(
                    self.job.vendor
                ),
            )

    def _arguments(self, folder: str) -> Dict[str, Any]:
        options = self.job.engine_options
        arguments = {
            "model": folder,
            "skip_tokenizer_init": True,
            "dtype": torch_module.DTYPES[self.job.precision],
            "max_model_len": longest(self.job),
            # A step advances at most a batch: what is added beyond it waits.
            "max_num_seqs": self.job.batch_size,
            "gpu_memory_utilization": MEMORY_SHARE,
            # A prompt's keys and values must be computed: a cache of prompts would make prefill look faster.
            "enable_prefix_caching": False,
            "enforce_eager": bool(options.get("enforce_eager", False)),
            # Logits of a whole vocabulary, for accuracy and checks; the timed loops ask for none.
            "max_logprobs": -1,
            "logprobs_mode": "raw_logits",
            # The model's own defaults for sampling are not wanted.
            "generation_config": "vllm",
            "seed": 0,
            "disable_log_stats": True,
        }
        arguments.update(options.get("arguments", {}))
        arguments.update(self.job.precision_options)
        return arguments

    def _failed(self, error: BaseException, heard: Overheard) -> BaseException:
        """Why vLLM did not start: its engine is a process of its own, and the reason is on standard error alone."""
        said = one_line(error)
        if "initialization failed" in str(error):
            said = (heard.errors() or [said])[0]
        if says_out_of_memory(said) or any(text in said for text in OUT_OF_MEMORY):
            return out_of_memory(said)
        if "initialization failed" not in str(error):
            return error
        return StageFailure(
            "compile" if self.job.stage == "compile" else "infer",
            "vLLM did not start: {}".format(said),
            "read the full log beside the result: the first traceback of EngineCore says why",
        )

    def _effective(self) -> Dict[str, Any]:
        config = self._llm.llm_engine.vllm_config
        model, cache, scheduler = config.model_config, config.cache_config, config.scheduler_config
        dtype = str(model.dtype).replace("torch.", "")
        blocks = getattr(cache, "num_gpu_blocks", None)
        compilation = getattr(config, "compilation_config", None)
        return {
            "precision": PRECISIONS.get(dtype, dtype),
            "arithmetic": torch_module.arithmetic([dtype], tf32=self._allows_tf32()),
            "dtype": dtype,
            "quantization": getattr(model, "quantization", None),
            "cache_dtype": str(getattr(cache, "cache_dtype", None)),
            "max_model_len": model.max_model_len,
            "max_num_seqs": scheduler.max_num_seqs,
            "max_num_batched_tokens": scheduler.max_num_batched_tokens,
            "chunked_prefill": getattr(scheduler, "enable_chunked_prefill", None),
            "async_scheduling": getattr(scheduler, "async_scheduling", None),
            "enable_prefix_caching": cache.enable_prefix_caching,
            "enforce_eager": model.enforce_eager,
            "cudagraph_mode": str(getattr(compilation, "cudagraph_mode", None)),
            "speculative": getattr(config, "speculative_config", None) is not None,
            "cache_tokens": None if not blocks else (blocks - SPARE_BLOCKS) * cache.block_size,
            "block_size": cache.block_size,
            "scheduling": "continuous batching by vLLM",
        }

    def _allows_tf32(self) -> bool:
        """Whether products of fp32 may be TF32: vLLM's own switch, which is "highest" unless somebody sets it."""
        from vllm import envs

        switch = getattr(envs, "VLLM_FLOAT32_MATMUL_PRECISION", "highest")
        return bool(switch != "highest")

    def _require_as_asked(self, settings: Dict[str, Any]) -> None:
        require_setting(settings, "enable_prefix_caching", False, "vLLM")
        require_setting(settings, "max_num_seqs", self.job.batch_size, "vLLM")
        require_setting(settings, "speculative", False, "vLLM")
        if settings["cache_tokens"] is not None:
            require_room(self.job, settings["cache_tokens"])

    def add(self, numbers: Sequence[int], prompts: np.ndarray, tokens: int) -> None:
        """See Engine."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.0,
            max_tokens=tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        for number, prompt in zip(numbers, prompts):
            request = {"prompt_token_ids": prompt.tolist()}
            self._llm.llm_engine.add_request(str(number), request, params)

    def advance(self) -> Sequence[Tuple[int, int]]:
        """See Engine: one step of vLLM's scheduler."""
        pairs = []  # type: List[Tuple[int, int]]
        for output in self._llm.llm_engine.step():
            number = int(output.request_id)
            pairs.extend((number, token) for token in output.outputs[0].token_ids)
            if output.finished:
                require_uncached(output.num_cached_tokens, "vLLM")
        return pairs

    def last_logits(self, sequences: np.ndarray) -> np.ndarray:
        """See SchedulingEngine: a request of one token for each sequence, with the raw logits of the vocabulary."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.0,
            max_tokens=1,
            ignore_eos=True,
            detokenize=False,
            logprobs=-1,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        engine = self._llm.llm_engine
        for row, sequence in enumerate(sequences):
            name = "logits-{}-{}".format(self._asked, row)
            engine.add_request(name, {"prompt_token_ids": sequence.tolist()}, params)
        self._asked += 1
        found = np.zeros((len(sequences), self.job.outputs[0].shape[0]), np.float32)
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    row = int(output.request_id.rpartition("-")[2])
                    _fill(found[row], output.outputs[0].logprobs[0])
        return found

    def versions(self) -> Dict[str, str]:
        """Versions of vLLM, of torch and of the device's runtime below it."""
        import torch
        import vllm

        found = {"vllm": vllm.__version__, "torch": torch.__version__}
        for name in ("cuda", "hip"):
            if getattr(torch.version, name, None):
                found[name] = getattr(torch.version, name)
        # Of Ascend's platform, which has imported it.
        npu = sys.modules.get("torch_npu")
        if npu is not None:
            found["torch_npu"] = str(getattr(npu, "__version__", "unknown"))
        return found

    def close(self) -> None:
        """Release vLLM; its processes end with this one."""
        self._llm = None


def _fill(row: np.ndarray, logprobs: Any) -> None:
    """Write what vLLM returned of a position, id → Logprob, into its row of the vocabulary."""
    if len(logprobs) != len(row):
        raise StageFailure(
            "contract",
            "vLLM returned {} logits of a vocabulary of {}".format(len(logprobs), len(row)),
            "the weights' config.json must have the vocabulary of case.toml; for a release of vLLM without "
            'max_logprobs=-1 and logprobs_mode="raw_logits", use a newer one',
        )
    ids = np.fromiter(logprobs, np.int64, len(row))
    row[ids] = [one.logprob for one in logprobs.values()]


ENGINE = Vllm
