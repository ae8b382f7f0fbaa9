"""ONNX Runtime with any execution provider; vendor.toml names it: ``harness_engine = "onnxruntime"``.

A vendor whose chip has a provider needs no Python. Keys of [engines.<name>.options]:

- ``provider``: its name for ONNX Runtime, by default CPUExecutionProvider
- ``provider_options``: a table, as the provider documents them; precisions may add to it by a table of the
  same name under their own options. In texts, ``{device}`` is DEVICE, ``{threads}`` the number of threads,
  ``{cache}`` a folder that is kept
- ``next_providers``: a table of providers that may take what the first one leaves, best first, each with a table
  of its options (precisions may add to these, too): TensorRT's leaves nodes to CUDA's. What they got is named
- ``session_config``: a table of session options
- ``cpu_operators``: operators that may run on the CPU instead, such as ``["Cast"]``
- ``host_memory = true``: the provider computes on the host's processor, in its memory
- ``device_type``: where the keys and values of a language model are, as IO binding names it (``cuda``, ``cann``,
  ``dml``, ``gpu``, ``npu``); known for the providers of ``graph_steps.DEVICE_TYPES``, else host memory
"""

import contextlib
import json
from pathlib import Path
from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from harness.engine import WarningEntry
from harness.engines.graph_steps import GraphSteps, device_of
from harness.engines.host_memory import host_memory
from harness.engines.ort.node_placements import (
    CPU,
    RECORD,
    Placements,
    arithmetic_counts,
    beyond,
    profile_placements,
    recorded_here,
    recorded_placements,
    totals,
)
from harness.engines.token_steps import StepEngine
from harness.errors import StageFailure
from harness.job import Arrays, Job, TensorSpec

#: Threads that keep spinning take the cores from decoding (p_infer_whole) and, on busy machines, from each
#: other. 50 µs are enough between two operators. Measured on two busy cores: twice the items/s.
SPINNING = {
    "session.force_spinning_stop": "1",
    "session.intra_op.spin_duration_us": "50",
}
UNREAD = "ONNX Runtime does not state in which arithmetic {} computes"


class OnnxRuntime(StepEngine):
    """One provider with job.threads threads beside it; synchronous, arrays are not copied by the engine.

    It generates, too: the same graph makes a language model's prefill and its decode steps. The graph is optimised while it is loaded, and compiled by providers that compile; those with a cache
    keep it in ``{cache}``. compile loads the graph once.

    ONNX Runtime gives the CPU every node that the provider does not take, silently. They are counted: any
    but ``cpu_operators`` is a warning in a smoke run and a failure from `standard` on; a graph of which the
    provider takes nothing is always one.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._session: Any = None
        self._steps: Any = None
        self._warnings: List[WarningEntry] = []
        self._names = [spec.name for spec in job.outputs]
        options = job.engine_options
        self._provider: str = options.get("provider", CPU)
        self._next: Mapping[str, Any] = options.get("next_providers", {})
        self._allowed: Sequence[str] = options.get("cpu_operators", ())
        self._on_host: bool = options.get("host_memory", self._provider == CPU)
        self.static_batch = job.document.get("export", {}).get("batch") == "static"

    def compile(self) -> Dict[str, Any]:
        """Load the graph once, so that a graph which ONNX Runtime refuses is a compile failure."""
        return self.load()

    def load(self) -> Dict[str, Any]:
        """Open the session; the settings are read back from it."""
        onnxruntime = self._import()
        self.simulated = bool(getattr(onnxruntime, "__assay_standin__", False))
        self._require_build(onnxruntime)
        placed: Placements = {}
        if self._provider == CPU:
            self._session = self._open(onnxruntime, {})
        else:
            placed = self._placed(onnxruntime)
            self._judge(placed)
            self._compare_options()
        if self.job.generation is not None:
            self._steps = self._graph_steps(self._session)
        return self._effective(placed)

    def _placed(self, onnxruntime: Any) -> Placements:
        """Open the session; return provider → operator → nodes, by the session, or by a profile of one call."""
        if recorded_here(onnxruntime.InferenceSession):
            self._session = self._open(onnxruntime, {RECORD: "1"})
            return recorded_placements(self._session, self._shape_nodes())
        placed = self._profiled(onnxruntime)
        self._session = self._open(onnxruntime, {})
        return placed

    def _shape_nodes(self) -> Collection[str]:
        """Names of nodes that compute shapes, which may run on the CPU; override it where they are known."""
        return ()

    def _open(self, onnxruntime: Any, config: Dict[str, str], profile: Optional[str] = None) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.job.threads
        options.inter_op_num_threads = 1
        chosen = self.job.engine_options.get("session_config", {})
        for key, value in {**SPINNING, **chosen, **config}.items():
            options.add_session_config_entry(key, str(value))
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        providers = [(self._provider, self._provider_options())]
        providers += [(name, self._next_options(name)) for name in self._next]
        with self.graph() as path:
            # Without the last argument, Python catches a provider's error and opens a session on the CPU instead.
            session = onnxruntime.InferenceSession(
                str(path), options, providers=providers, enable_fallback=0
            )
        for name, _ in providers:
            self._require_loaded(session, name)
        return session

    @contextlib.contextmanager
    def graph(self) -> Iterator[Path]:
        """The path of the graph to open; override it for a provider that wants another one than the exported."""
        yield self.job.graph_path

    def _require_loaded(self, session: Any, provider: str) -> None:
        """Raise StageFailure where ONNX Runtime left out a provider that was asked for, which it does silently."""
        if provider not in session.get_providers():
            raise StageFailure(
                "host",
                "ONNX Runtime did not load {}: its library or its driver is missing (the log has "
                "ONNX Runtime's own message)".format(provider),
                "make doctor VENDOR={} checks the device; the provider's document names the libraries "
                "that it needs".format(self.job.vendor),
            )

    def _require_build(self, onnxruntime: Any) -> None:
        """Raise StageFailure unless this build of ONNX Runtime has the providers."""
        available = onnxruntime.get_available_providers()
        missing = [name for name in (self._provider, *self._next) if name not in available]
        if missing:
            raise StageFailure(
                "image",
                "ONNX Runtime {} of stack {} has no {}; it has {}".format(
                    onnxruntime.__version__, self.job.stack, missing[0], ", ".join(available)
                ),
                "correct `provider` under [engines.{}.options] in vendor.toml, or take the provider's build "
                "of ONNX Runtime into requirements.in, then: make lock".format(self.job.engine),
            )

    def _provider_options(self) -> Dict[str, str]:
        given: Dict[str, Any] = dict(self.job.engine_options.get("provider_options", {}))
        given.update(self.job.precision_options.get("provider_options", {}))
        return self._filled(given)

    def _next_options(self, provider: str) -> Dict[str, str]:
        given: Dict[str, Any] = dict(self._next[provider])
        given.update(self.job.precision_options.get("next_providers", {}).get(provider, {}))
        return self._filled(given)

    def _filled(self, given: Dict[str, Any]) -> Dict[str, str]:
        """Options as ONNX Runtime takes them: texts, with what stands in braces put in."""
        cache = self.job.cache_dir / "onnxruntime"
        values = {
            key: json.dumps(value) if isinstance(value, (bool, dict, list)) else str(value)
            for key, value in given.items()
        }
        if any("{cache}" in value for value in values.values()):
            cache.mkdir(parents=True, exist_ok=True)
        return {
            key: value.replace("{device}", self.job.device)
            .replace("{cache}", str(cache))
            .replace("{threads}", str(self.job.threads))
            for key, value in values.items()
        }

    def _judge(self, placed: Placements) -> None:
        """Fail, or warn in a smoke run, if nodes run on the CPU that the manifest does not allow there.

        Nodes that a next provider got are no failure, but never silent.
        """
        on_cpu = placed.get(CPU, {})
        left = beyond(on_cpu, self._allowed)
        nodes = totals(placed)
        nothing = not nodes.get(self._provider)
        took = "{} took {} of {} nodes".format(
            self._provider, nodes.get(self._provider, 0), sum(nodes.values())
        )
        self._name_the_next(placed, took)
        if not left and not nothing:
            return
        message = "{}; ONNX Runtime gave the CPU {}".format(took, left or "none")
        remedy = (
            "change the graph or the provider's options until it takes them; if they may run on the CPU, name "
            "them: cpu_operators = {} under [engines.{}.options] in vendor.toml".format(
                json.dumps(sorted(on_cpu)), self.job.engine
            )
        )
        if nothing or self.job.tier != "smoke":
            raise StageFailure("compile", message, remedy)
        self._warnings.append(("effective_differs", message, remedy))

    def _reported_options(self) -> Dict[str, str]:
        """The provider's options as it reports them; some providers (OpenVINO) report none."""
        found: Dict[str, str] = self._session.get_provider_options().get(self._provider, {})
        return found

    def _compare_options(self) -> None:
        """Warn if the provider reports an option otherwise than it was given: a variable may go before it."""
        reported = self._reported_options()
        differing = [
            "{} is {}, not {}".format(name, reported[name], value)
            for name, value in sorted(self._provider_options().items())
            if name in reported and _plain(reported[name]) != _plain(value)
        ]
        if differing:
            self._warnings.append(
                (
                    "effective_differs",
                    "{} did not take its options: {}".format(self._provider, "; ".join(differing)),
                    "remove the variable that sets it from the environment, or correct provider_options of "
                    "[engines.{}.options] in vendor.toml".format(self.job.engine),
                )
            )

    def _name_the_next(self, placed: Placements, took: str) -> None:
        shares = [
            "{} {}".format(name, beyond(placed[name], ())) for name in self._next if name in placed
        ]
        if shares:
            remedy = "compare it with figures of the same engine only, or use an engine that runs the whole graph"
            message = "{}; ONNX Runtime gave {}".format(took, "; ".join(shares))
            self._warnings.append(("effective_differs", message, remedy))

    def _arithmetic(self) -> Dict[str, Any]:
        """What runs, for the report; override it for a provider that states it."""
        return {"arithmetic_unread": UNREAD.format(self._provider)}

    def _effective(self, placed: Placements) -> Dict[str, Any]:
        options = self._session.get_session_options()
        settings = {
            "precision": self.job.precision,
            "provider": self._session.get_providers()[0],
            "threads": options.intra_op_num_threads,
            "spinning": {key: options.get_session_config_entry(key) for key in SPINNING},
            "execution_mode": options.execution_mode.name,
            "graph_optimization": options.graph_optimization_level.name,
            "input_dtypes": {node.name: node.type for node in self._session.get_inputs()},
        }
        if self._provider == CPU:
            # Its kernels for x86 and Arm compute fp32 in fp32.
            settings["arithmetic"] = "fp32"
            if self.job.document.get("quantize"):
                settings.update(self._of_integers())
            return settings
        nodes = totals(placed)
        settings.update(
            self._arithmetic(),
            provider_options=self._reported_options(),
            requested_options=self._provider_options(),
            nodes=nodes,
            nodes_counted="assigned" if recorded_here(self._session) else "run, fused parts as one",
            share_of_nodes=round(nodes.get(self._provider, 0) / max(sum(nodes.values()), 1), 4),
            cpu_operators=placed.get(CPU, {}),
        )
        if self._next:
            settings["next_operators"] = {n: placed[n] for n in self._next if n in placed}
        return settings

    def _of_integers(self) -> Dict[str, Any]:
        """What a quantized graph computes in: of the fused kernels that one profiled call ran.

        Quantizers around an operator that has no kernel for whole numbers leave it in fp32.
        """
        counts = arithmetic_counts(self._profiled(self._import()))
        found = max(sorted(counts), key=lambda name: counts[name]) if counts else "fp32"
        if found != self.job.arithmetic:
            ran = ", ".join("{} in {}".format(counts[name], name) for name in sorted(counts))
            message = (
                "{} was requested, but of the operators that multiply, ONNX Runtime ran {}".format(
                    self.job.arithmetic, ran or "none that is known"
                )
            )
            remedy = "compare it only with figures of the arithmetic that ran"
            self._warnings.append(("effective_differs", message, remedy))
        return {"arithmetic": found, "layer_arithmetic": counts}

    def _profiled(self, onnxruntime: Any) -> Placements:
        """Provider → operator → nodes that one call ran, in a session of its own."""
        profiled = self._open(onnxruntime, {}, profile=str(self.job.out_dir / "profile"))
        self._run_zeros(profiled)
        return profile_placements(profiled.end_profiling())

    def _graph_steps(self, session: Any) -> GraphSteps:
        given = self.job.engine_options.get("device_type")
        return GraphSteps(session, *device_of(self._provider, self._provider_options(), given))

    def _run_zeros(self, session: Any) -> None:
        """One call: a batch of zeros, or one token of new sequences."""
        if self.job.generation is not None:
            steps = self._graph_steps(session)
            steps.begin(self.job.batch_size)
            steps.step(np.zeros((self.job.batch_size, 1), np.int64))
            return
        zeros = {
            # What the graph calls bfloat16 is float32 in numpy.
            spec.name: np.zeros(self._shape(spec), spec.dtype.replace("bfloat16", "float32"))
            for spec in self.job.inputs
        }
        session.run(self._names, zeros)

    def _shape(self, spec: TensorSpec) -> Tuple[int, ...]:
        rows = (self.job.batch_size * spec.rows_per_item,) if spec.batched else ()
        return rows + tuple(spec.shape)

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one batch; the session reads the arrays in place."""
        return dict(zip(self._names, self._session.run(self._names, inputs)))

    def begin(self, sequences: int) -> None:
        """Forget all keys and values; those of the new sequences stay in the session's memory between steps."""
        self._steps.begin(sequences)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append tokens to the sequences; returns the last one's logits."""
        logits: np.ndarray = self._steps.step(tokens)
        return logits

    def memory(self) -> Optional[Tuple[Optional[int], Optional[int], str]]:
        """Host memory where the host is the device; else None, for the monitor's figure."""
        return host_memory() if self._on_host else None

    def versions(self) -> Dict[str, str]:
        """The version of ONNX Runtime."""
        return {"onnxruntime": self._import().__version__}

    @staticmethod
    def _import() -> Any:
        import onnxruntime

        return onnxruntime

    def warnings(self) -> Sequence[WarningEntry]:
        """Nodes on the CPU, in a smoke run."""
        return self._warnings

    def close(self) -> None:
        """Release the session, its arena and the past."""
        self._session = self._steps = None


def _plain(value: str) -> str:
    """One spelling of a flag: providers report "1" for "true"."""
    return {"true": "1", "false": "0"}.get(value.lower(), value)


ENGINE = OnnxRuntime
