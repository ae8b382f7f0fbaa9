"""Torch-TensorRT: the traced module with its subgraphs as TensorRT engines; fp32, tf32, fp16."""

from harness.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure
from harness.torch_cuda import TorchCuda
from hook import torchscript


class TorchTensorRt(TorchCuda):
    """The module stays fp32 outside; TensorRT lowers it inside, as ``enabled_precisions`` allows.

    What was compiled is saved as TorchScript, with TensorRT's engines in it, and loaded by infer, which
    then never builds the fp32 module. torch.jit.load knows the engines only once torch_tensorrt is imported:
    https://docs.pytorch.org/TensorRT/tutorials/getting_started_with_python_api.html
    """

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []
        self._file = None
        self._from_cache = False

    def compile(self):
        """Compile and save, unless it is there."""
        settings = self.load()
        self.cached = self._from_cache
        return settings

    def load(self):
        """Load what compile saved; made for another device or version, or damaged, it is made again."""
        settings = super().load()
        share = torchscript.Share(self._call)
        if share.left:
            self._warnings.append(self._partly(share, settings["arithmetic"]))
        settings.update(share.settings())
        settings["loaded_from_cache"] = self._from_cache
        # Of the engines, which tell no precision of their own; of the rest it is the warning's.
        settings["arithmetic"] = self.job.arithmetic
        settings["enabled_precisions"] = "float16" if self.job.precision == "fp16" else "float32"
        return settings

    def dtype_name(self):
        """fp32 outside, whatever runs inside."""
        return "float32"

    def _build(self, torch):
        """What was saved, else the case's module, which accelerate compiles."""
        import torch_tensorrt

        self.simulated = self.simulated or bool(getattr(torch_tensorrt, "__assay_standin__", False))
        path = self.job.cache_dir / "engine.ts"
        self._file = EngineFile(path, self._made_from(torch, torch_tensorrt))
        saved = self._saved(torch)
        self._from_cache = saved is not None
        return super()._build(torch) if saved is None else saved

    def _saved(self, torch):
        """The module that compile saved, None where it does not fit or cannot be loaded."""
        if not self._file.usable:
            return None
        try:
            loaded = torch.jit.load(str(self._file.path))
        # torch raises the first for a module of another ABI, the second for a file that is no archive.
        except (RuntimeError, ValueError) as error:
            self._warnings.append(self._file.unreadable(" ".join(str(error).split())[:200]))
            return None
        self._attention = self._file.settings.get("attention")
        return loaded

    def accelerate(self, module, examples):
        """What was loaded is ready; a new one is compiled and saved."""
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
                "Torch-TensorRT made no TensorRT engine, PyTorch would compute all of it: {}".format(
                    share.listed()
                ),
                "the stage's log says which operators it does not convert; use ENGINE=tensorrt, or "
                "ENGINE=eager for PyTorch's figure",
            )

    def _partly(self, share, arithmetic):
        message = (
            "Torch-TensorRT left to PyTorch what its {} engines do not hold, in {}: {}".format(
                share.engines, arithmetic, share.listed()
            )
        )
        return (
            "effective_differs",
            message,
            "use ENGINE=tensorrt for a graph that is TensorRT's alone",
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
        """Those of torch, and Torch-TensorRT's."""
        import torch_tensorrt

        return dict(super().versions(), torch_tensorrt=torch_tensorrt.__version__)

    def warnings(self):
        """What was compiled again, and what PyTorch computes."""
        return self._warnings


ENGINE = TorchTensorRt
