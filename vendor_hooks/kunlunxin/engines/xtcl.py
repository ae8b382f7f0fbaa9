"""XTCL: a program with static shapes, compiled ahead of time, cached, and run on an XPU."""

import os
import re
import zipfile
from typing import Dict, NamedTuple

import numpy as np
from harness import clock
from harness.engine import Engine
from harness.engines.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure, one_line
from hook import compiler, executors, precision

#: What reading a damaged program raises: TVM's error, a missing file, a damaged .npz.
UNREADABLE = (RuntimeError, OSError, ValueError, zipfile.BadZipFile)
#: What saving one raises if the C++ compiler is missing or fails. A full disk is a failure instead.
UNWRITTEN = (RuntimeError, ValueError, FileNotFoundError)


class Call(NamedTuple):
    """A finished batch: its outputs in host memory, and the duration of its three phases."""

    outputs: Dict[str, np.ndarray]
    h2d_ns: int
    compute_ns: int
    d2h_ns: int


class Xtcl(Engine):
    """One program, one batch at a time: XTCL's executors are synchronous."""

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []
        self._device = None
        self._executor = executors.EXECUTORS[job.engine_options.get("executor", "vm")]()
        self._model = job.chip_options.get("device_model", "KUNLUN2")

    def compile(self):
        """Compile, unless the cache has the program for this graph, precision, chip and version."""
        self._open()
        file = self._program_file()
        if file.usable:
            self.cached = True
            return file.settings
        return self._make(file)

    def load(self):
        """Load the program; if it was made for another configuration, or is damaged, compile it again."""
        self._open()
        file = self._program_file()
        settings = file.settings if file.usable and self._read(file) else self._make(file)
        shapes = compiler.static_shapes(self.job)
        self._executor.open(
            self._device, {spec.name: (shapes[spec.name], spec.dtype) for spec in self.job.inputs}
        )
        return dict(settings, in_flight=self.in_flight)

    def _open(self):
        """Import TVM, after setting the chip that it compiles for, and find the device."""
        os.environ["XPUSIM_DEVICE_MODEL"] = self._model
        import tvm

        self.simulated = bool(getattr(tvm, "__assay_standin__", False))
        # XPU_VISIBLE_DEVICES, or the container's device nodes, leave exactly one device.
        self._device = tvm.device("xpu", 0)
        if not self._device.exist:
            raise StageFailure(
                "host",
                "XTCL finds no XPU (device {} was asked for)".format(self.job.device),
                "make doctor VENDOR=kunlunxin checks driver, device nodes and permissions",
            )

    def _program_file(self):
        import tvm

        made_from = {
            "graph": graph_digest(self.job),
            "tvm": tvm.__version__,
            "target": self._executor.target(self._number()),
            "precision": self.job.precision,
            "batch_size": self.job.batch_size,
            "passes": sorted(
                self.job.engine_options.get("cases", {}).get(self.job.case, {}).items()
            ),
        }
        made_from.update(precision.read_back(self.job)["environment"])
        return EngineFile(self.job.cache_dir / "program", made_from)

    def _number(self):
        """The generation of the chip: 2 for KUNLUN2."""
        found = re.search(r"(\d+)$", self._model)
        if found:
            return int(found.group(1))
        raise StageFailure(
            "contract",
            "device_model {!r} of chip {} does not end with a number".format(
                self._model, self.job.chip
            ),
            "name it as XPUSIM_DEVICE_MODEL does (KUNLUN2) in vendor_hooks/kunlunxin/vendor.toml",
        )

    def _make(self, file):
        """Compile and save; the settings are read back from the environment and the passes."""
        stale = file.stale()
        if stale:
            self._warnings.append(stale)
        file.forget()
        settings = precision.read_back(self.job)
        settings.update(compiler.compile_graph(self.job, self._executor, self._number()))
        settings.update(
            executor=self.job.engine_options.get("executor", "vm"), device_model=self._model
        )
        self._keep(file, settings)
        return settings

    def _keep(self, file, settings):
        """Save the program; if that fails, the run continues, and every process compiles."""
        file.path.mkdir(parents=True, exist_ok=True)
        try:
            self._executor.save(file.path)
        except UNWRITTEN as error:
            self._warnings.append(
                (
                    "compiler_warning",
                    "XTCL's program could not be saved, so infer compiles it again: {}".format(
                        one_line(error, 300)
                    ),
                    "saving a library needs a C++ compiler in the image (c++ on PATH)",
                )
            )
            return
        file.record(settings)

    def _read(self, file):
        try:
            self._executor.read(file.path)
        except UNREADABLE as error:
            self._warnings.append(file.unreadable(one_line(error, 300)))
            return False
        return True

    def submit(self, inputs):
        """Copy in, run, copy out; the device is synchronised in between, so that each is timed separately."""
        started = clock.now_ns()
        for spec in self.job.inputs:
            self._executor.feed(spec.name, inputs[spec.name])
        self._device.sync()
        fed = clock.now_ns()
        self._executor.run()
        self._device.sync()
        computed = clock.now_ns()
        outputs = {
            spec.name: _as_declared(self._executor.output(index).numpy(), spec.dtype)
            for index, spec in enumerate(self.job.outputs)
        }
        return Call(outputs, fed - started, computed - fed, clock.now_ns() - computed)

    def wait(self, ticket):
        """Return the outputs: submit has done everything."""
        return ticket.outputs

    def phases(self, ticket):
        """Host time of copy in, computation and copy out."""
        return ticket.h2d_ns, ticket.compute_ns, ticket.d2h_ns

    def versions(self):
        """The versions of XTCL's TVM and of onnx, which reads the graph."""
        import onnx
        import tvm

        return {"xtcl": tvm.__version__, "onnx": onnx.__version__}

    def warnings(self):
        """Recompilations, and a program that could not be saved."""
        return self._warnings

    def close(self):
        """Release the program."""
        self._executor = self._device = None


def _as_declared(array, dtype):
    """XTCL's fp16 programs have fp16 outputs; the harness expects the dtypes of the graph."""
    return array.astype("float32" if dtype == "bfloat16" else dtype, copy=False)


ENGINE = Xtcl
