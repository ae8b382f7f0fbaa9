"""Torch-TensorRT: the traced module, with subgraphs as TensorRT engines; fp32, tf32, fp16."""

from harness.engines.engine_file import EngineFile, graph_digest
from harness.engines.torch_cuda import TorchCuda
from harness.errors import StageFailure
from hook import engine_layers, torchscript


class TorchTensorRt(TorchCuda):
    """The module has an fp32 interface; TensorRT computes inside as ``enabled_precisions`` allows.

    The compiled module is saved as TorchScript, including TensorRT's engines; infer loads it and never builds
    the fp32 module. torch.jit.load can read the engines only after torch_tensorrt was imported:
    https://docs.pytorch.org/TensorRT/tutorials/getting_started_with_python_api.html
    """

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []
        self._file = None
        self._from_cache = False

    def compile(self):
        """Compile and save, unless the cache has the module."""
        settings = self.load()
        self.cached = self._from_cache
        return settings

    def load(self):
        """Load what compile saved; if it is for another device or version, or damaged, compile again."""
        settings = super().load()
        share = torchscript.Share(self._call)
        if share.left:
            self._warnings.append(self._partly(share, settings["arithmetic"]))
        settings.update(share.settings())
        settings["loaded_from_cache"] = self._from_cache
        # So far, the arithmetic is PyTorch's; the engines have their own.
        del settings["arithmetic"]
        settings.update(self._read_back())
        settings["enabled_precisions"] = "float16" if self.job.precision == "fp16" else "float32"
        return settings

    def _read_back(self):
        """The engines' arithmetic; without it, the result warns, and MFU uses the one that was requested."""
        found, counts, why = engine_layers.read_back(torchscript.layer_information(self._call))
        if found is None:
            return {"arithmetic_unread": why, "layer_arithmetic": None}
        if found != self.job.arithmetic:
            self._warnings.append(
                engine_layers.differs("Torch-TensorRT", self.job.arithmetic, counts)
            )
        return {"arithmetic": found, "layer_arithmetic": counts}

    def dtype_name(self):
        """fp32, for the interface; the engines may compute in fp16."""
        return "float32"

    def _build(self, torch):
        """The saved module, else the case's module, which accelerate compiles."""
        import torch_tensorrt

        self.simulated = self.simulated or bool(getattr(torch_tensorrt, "__assay_standin__", False))
        path = self.job.cache_dir / "engine.ts"
        self._file = EngineFile(path, self._made_from(torch, torch_tensorrt))
        saved = self._saved(torch)
        self._from_cache = saved is not None
        return super()._build(torch) if saved is None else saved

    def _saved(self, torch):
        """The module that compile saved; None if it does not match or cannot be loaded."""
        if not self._file.usable:
            return None
        try:
            loaded = torch.jit.load(str(self._file.path))
        # torch raises RuntimeError for a module of another ABI, ValueError for a file that is not an archive.
        except (RuntimeError, ValueError) as error:
            self._warnings.append(self._file.unreadable(" ".join(str(error).split())[:200]))
            return None
        self._attention = self._file.settings.get("attention")
        return loaded

    def accelerate(self, module, examples):
        """A loaded module is ready; a new one is compiled and saved."""
        if self._from_cache:
            return module
        import torch
        import torch_tensorrt

        stale = self._file.stale()
        if stale:
            self._warnings.append(stale)
        self._file.forget()
        compiled = self._compiled(torch, torch_tensorrt, module, examples)
        self._require_engine(torchscript.Share(compiled))
        torch.jit.save(compiled, str(self._file.path))
        self._file.record({"attention": self._attention})
        return compiled

    def _compiled(self, torch, torch_tensorrt, module, examples):
        traced = torch.jit.trace(module, examples, strict=False)
        precision = torch.float16 if self.job.precision == "fp16" else torch.float32
        return torch_tensorrt.compile(
            traced,
            ir="ts",
            inputs=[self._input(torch_tensorrt, spec) for spec in self.job.inputs],
            enabled_precisions={torch.float32, precision},
            disable_tf32=self.job.precision == "fp32",
            truncate_long_and_double=True,
        )

    def _require_engine(self, share):
        if not share.engines:
            raise StageFailure(
                "compile",
                "Torch-TensorRT made no TensorRT engine, so PyTorch would compute everything: {}".format(
                    share.listed()
                ),
                "the stage's log names the operators that it cannot convert; use ENGINE=tensorrt, or "
                "ENGINE=eager for PyTorch's figure",
            )

    def _partly(self, share, arithmetic):
        message = "PyTorch, not Torch-TensorRT's {} engines, computes a part of the graph, in {}: {}".format(
            share.engines, arithmetic, share.listed()
        )
        return (
            "effective_differs",
            message,
            "use ENGINE=tensorrt to run the whole graph in TensorRT",
        )

    def _input(self, torch_tensorrt, spec):
        import torch

        dtype = getattr(torch, spec.dtype)
        if not spec.batched:
            return torch_tensorrt.Input(shape=spec.shape, dtype=dtype)
        one = (spec.rows_per_item,) + spec.shape
        full = (self.job.batch_size * spec.rows_per_item,) + spec.shape
        if one == full:
            return torch_tensorrt.Input(shape=full, dtype=dtype)
        return torch_tensorrt.Input(min_shape=one, opt_shape=full, max_shape=full, dtype=dtype)

    def _made_from(self, torch, torch_tensorrt):
        return {
            "graph": graph_digest(self.job),
            "torch": torch.__version__,
            "torch_tensorrt": torch_tensorrt.__version__,
            "device": torch.cuda.get_device_name(),
            "precision": self.job.precision,
            "batch_size": self.job.batch_size,
        }

    def versions(self):
        """Versions of torch and Torch-TensorRT."""
        import torch_tensorrt

        return dict(super().versions(), torch_tensorrt=torch_tensorrt.__version__)

    def warnings(self):
        """Recompilations, and what PyTorch computes."""
        return self._warnings


ENGINE = TorchTensorRt
