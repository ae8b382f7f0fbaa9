"""Stage export: the case's torch module → one ONNX folder for every vendor, and fp32 golden outputs.

Writes ``out/model`` (model.onnx, model.data for large models, export.json, and torch/ if the weights are
not a Hugging Face folder) and ``out/golden`` (golden.npz, golden.json). What the job folder already has
(model/export.json, golden/golden.json) is not made again.
"""

import ctypes
import gc
import pathlib
import platform
import shutil
from contextlib import contextmanager

from harness import clock, files, log
from harness.plugins import load_task
from hook import (
    agreement,
    beside,
    companions,
    golden,
    graph,
    graph_macs,
    macs,
    module,
    onnx_export,
    quantize,
    stored_weights,
)

TORCH = "torch"
#: From so many MACs an item on, building and running the model takes longer than a second process needs to
#: import torch, which takes five seconds of a core.
BESIDE_MACS = 10**9


def run(job, report, progress):
    """Export, or only the part that is still missing."""
    stage = Export(job, report, progress)
    wants_model = not (job.model_dir / "export.json").is_file()
    wants_golden = not (job.path("golden") / "golden.json").is_file()
    if not wants_model:
        stage.reference(stage.build(), wants_golden)
        return
    counted = stage.count()
    with stage.beside(counted) as other:
        network = stage.build(with_companions=True)
        exported = stage.start_export(network, other)
        recorded = stage.reference(network, wants_golden)
        network = None
        described = exported()
    # From here on, only the graph's own copy of the weights is needed.
    exported = None
    _release()
    stage.finish(dict(described, macs=counted, macs_scope=macs.SCOPE), recorded)


class Export:
    """One export stage; the report's details have the time of each step."""

    def __init__(self, job, report, progress):
        self._job = job
        self._report = report
        self._progress = progress
        self._model = job.out_dir / "model"
        self._raw = job.out_dir / "raw"
        self._exporter = onnx_export.exporter(job.document["export"]["opset"])
        report.details["steps_ns"] = {}

    def count(self):
        """Count the model's multiply-accumulates per item."""
        with self._step("count"):
            return macs.count(self._job)

    @contextmanager
    def beside(self, counted):
        """Yield a second process that writes the graph of a large model, None where one is enough."""
        if self._job.threads < 2 or (counted or 0) < BESIDE_MACS:
            yield None
            return
        with beside.process(self._job, "the model") as other:
            other.start(prepare)
            yield other

    def build(self, with_companions=False):
        """Build the torch module (fp32, eval mode) and, in parallel, export the task's companions."""
        with companions.made_beside(self._job, self._model, with_companions) as made:
            with self._step("build"):
                network = module.build(self._job, attention=self._exporter.attention)
            self._report.versions.update(module.versions())
            with self._step("companions"):
                description = made()
        if description is not None:
            self._report.details["companions"] = description
        return network

    def reference(self, network, write):
        """Run the first items through torch; if ``write``, write the golden outputs."""
        with self._step("golden"):
            task = load_task(self._job)
            outputs, recorded = golden.run(self._job, task, network, self._progress)
            if write:
                golden.write(self._job.out_dir / "golden", outputs, self._job)
        return recorded

    def start_export(self, network, other):
        """Write the weights, and let ``other`` write the raw graph; return a callable that waits for it.

        The callable returns the first part of export.json. Without ``other``, it writes the graph itself.
        """
        job = self._job
        shutil.rmtree(str(self._raw), ignore_errors=True)
        self._raw.mkdir(parents=True)
        if job.document["weights_format"] != "huggingface" or job.weights == "synthetic":
            # Into the raw graph's folder, so that the graph can refer to these weights.
            with self._step("save"):
                module.case_model().save(network, self._raw / TORCH)
        if other is None:
            return lambda: self._timed(lambda: _write(job, network, self._raw))
        written = other.start(write_raw, str(self._raw))
        return lambda: self._timed(written)

    def _timed(self, written):
        with self._step("export"):
            _release()
            return written()

    def finish(self, described, recorded):
        """Simplify, check, compare with torch, and write export.json last."""
        job, needs = self._job, self._job.document["export"]
        with self._step("simplify"):
            self._model.mkdir(parents=True, exist_ok=True)
            simplified, reason = graph.finish(job, self._raw, self._model)
            if (self._raw / TORCH).is_dir():
                (self._raw / TORCH).rename(self._model / TORCH)
            shutil.rmtree(str(self._raw))
            _release()
        if reason:
            log.say("not simplified: {}".format(reason))
        if reason and needs["simplify"]:
            self._report.warn(
                "not_simplified", reason, "the graph is used as exported; compare with care"
            )
        with self._step("check"):
            opset = graph.check(self._model / "model.onnx", needs["opset"])
        with self._step("agree"):
            described["agreement"] = agreement.require(
                self._model / "model.onnx", recorded, job.threads
            )
        if described["macs"] is None:
            described["macs"] = graph_macs.count(self._model / "model.onnx", job)
            described["macs_scope"] = graph_macs.SCOPE
        if job.document.get("quantize"):
            with self._step("quantize"):
                described["quantized"] = quantize.write(job, self._model)
        described.update(
            opset=opset,
            batch=job.batch_size if needs["batch"] == "static" else "dynamic",
            simplified=simplified,
            simplify_reason=reason,
            inputs=job.document["inputs"],
            outputs=job.document["outputs"],
            versions=dict(self._report.versions, **graph.versions()),
        )
        self._describe(described)

    def _describe(self, described):
        self._report.versions = described["versions"]
        written = [self._model / name for name in ("model.onnx", "model.data")]
        artifacts = [files.artifact(path, self._job.folder) for path in written if path.exists()]
        described["onnx_sha256"] = artifacts[0]["sha256"]
        described["data_sha256"] = artifacts[1]["sha256"] if artifacts[1:] else None
        if "quantized" in described:
            name = quantize.file_name(described["quantized"]["precision"])
            artifacts.append(files.artifact(self._model / name, self._job.folder))
            described["quantized_sha256"] = artifacts[-1]["sha256"]
        if stored_weights.is_large(self._model / "model.onnx"):
            # The saved weights, to which a graph of their size refers.
            paths = sorted((self._model / TORCH).glob("*.safetensors"))
            saved = [files.artifact(path, self._job.folder) for path in paths]
            described["saved_sha256"] = {
                path.name: entry["sha256"] for path, entry in zip(paths, saved)
            }
            artifacts += saved
        described["machine"] = platform.machine()
        for path in self._model.rglob("*"):
            if path.is_file():
                # save_pretrained makes weights readable for their owner only; other stages may run as other users.
                path.chmod(0o644)
        self._report.artifacts += artifacts
        self._report.details["export"] = described
        files.write_json(self._model / "export.json", described)

    def _step(self, name):
        return _Step(name, self._report.details["steps_ns"], self._progress)


def prepare(_):
    """In the other process: import, while the first one builds the model, what its export needs."""
    import onnxscript.optimizer  # noqa: F401
    import torch

    with torch.device("meta"):
        module.case_model().skeleton()


def write_raw(job, folder):
    """In another process: write the graph of the job's model to ``folder``; return what export.json says of it.

    The weights are those that were saved in ``folder``, if any, else the user's.
    """
    raw = pathlib.Path(folder)
    attention = onnx_export.exporter(job.document["export"]["opset"]).attention
    saved = raw / TORCH
    loaded = module.load(job, saved, attention) if saved.is_dir() else module.build(job, attention)
    return _write(job, loaded, raw)


def _write(job, network, raw):
    exporter = onnx_export.exporter(job.document["export"]["opset"])
    exporter.write(network, job, raw)
    return {"exporter": exporter.name, "attention": exporter.attention}


def _release():
    """Return unused memory to the system, since the next step loads the weights again.

    After a graph's tensors are freed, glibc would keep gigabytes of free pages.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Step:
    """Records the time of a step in a dict and shows it as the stage's phase."""

    def __init__(self, name, steps_ns, progress):
        self._name = name
        self._steps_ns = steps_ns
        self._progress = progress

    def __enter__(self):
        self._progress.phase(self._name)
        self._started_ns = clock.now_ns()

    def __exit__(self, *_):
        self._steps_ns[self._name] = clock.now_ns() - self._started_ns
