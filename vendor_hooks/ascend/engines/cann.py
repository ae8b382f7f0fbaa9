"""CANN: atc ahead of time, then pyACL; static batch, two copies of the model in flight."""

import collections
import contextlib

import numpy as np
from harness.engine import Engine
from harness.engines import vendor_tool
from harness.errors import StageFailure, out_of_memory
from hook import atc, device, soc
from hook.device_number import device_number


class Cann(Engine):
    """While one copy of the model computes, the batch of the other is staged and copied."""

    in_flight = 2
    #: Batches in flight in the loop that p_infer_core is from; a vendor's tool runs its own loop.
    core_in_flight = in_flight
    static_batch = True
    reuses_outputs = True

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []
        self._device = None
        self._chip = None
        self._models = []
        self._idle = collections.deque()

    def require(self):
        """Accept every model; the tools' engines refuse here what the tool cannot measure."""

    def compile(self):
        """Run atc, unless the cache has its .om for this graph, chip, version and mode."""
        self.require()
        self.simulated = vendor_tool.is_stand_in("atc")
        compiler = self._compiler()
        if compiler.file.usable:
            self.cached = True
            return compiler.file.settings
        return self._make(compiler)

    def load(self):
        """Load the .om; if it is for another chip or version, or damaged, compile it again."""
        self.require()
        self._open()
        compiler = self._compiler()
        settings = compiler.file.settings if compiler.file.usable else self._make(compiler)
        try:
            self._load(compiler.file.path)
        except device.AclError as error:
            self._unload()
            self._warnings.append(compiler.file.unreadable(str(error)))
            settings = self._make(compiler)
            self._load_again(compiler)
        return dict(
            settings,
            in_flight=self.core_in_flight,
            whole_in_flight=self.in_flight,
            model_copies=len(self._models),
            device=self.number(),
            chip_source=self._chip.source,
        )

    def _compiler(self):
        opened = None if self._device is None else self._device.soc_name()
        self._chip = soc.choose(self.job, opened)
        self._warnings.extend(self._chip.warnings)
        return atc.Atc(self.job, self._chip.soc_version)

    def _make(self, compiler):
        stale = compiler.file.stale()
        if stale:
            self._warnings.append(stale)
        settings, warnings = compiler.run()
        self._warnings.extend(warnings)
        return settings

    def number(self):
        """The number of the device in this process."""
        return device_number(self.job)

    @contextlib.contextmanager
    def lent(self):
        """Free the device's memory for a tool of the vendor, which loads the .om itself.

        The device stays open, since acl.init may be called only once in a process.
        """
        self._unload()
        yield
        self._load(self.om_path)

    @property
    def om_path(self):
        """The file that atc made."""
        return self.job.cache_dir / atc.FILE_NAME

    def _open(self):
        try:
            self._device = device.AclDevice(self.number())
        except device.AclError as error:
            raise StageFailure(
                "host",
                "device {} cannot be opened: {}".format(self.number(), error),
                "make doctor VENDOR=ascend checks driver, device nodes and permissions",
            ) from error
        self.simulated = self._device.simulated

    def _load(self, path):
        batch = self.job.batch_size
        inputs = [(spec.name, _shape(spec, batch)) for spec in self.job.inputs]
        outputs = [(spec.name, _shape(spec, batch)) for spec in self.job.outputs]
        try:
            while len(self._models) < self.in_flight:
                self._models.append(device.Model(self._device, path, inputs, outputs))
        except device.AclMemoryError as error:
            raise out_of_memory(
                "{} with {} copies of the model on the device".format(error, len(self._models))
            ) from error
        self._idle.extend(self._models)

    def _load_again(self, compiler):
        try:
            self._load(compiler.file.path)
        except device.AclError as error:
            raise StageFailure(
                "infer",
                "{} when loading a .om that was just compiled for {} (CHIP={}, chip taken from {})".format(
                    error, compiler.soc_version, self.job.chip, self._chip.source
                ),
                "name the chip of this device, such as CHIP=310P or CHIP=910B4 (npu-smi info on the host shows it); if "
                "it is right already, make doctor VENDOR=ascend checks whether the driver suits STACK",
            ) from error

    def submit(self, inputs):
        """Stage the batch in the memory that the device copies from, and start it, without waiting."""
        model = self._idle.popleft()
        for name, tensor in model.inputs.items():
            np.copyto(tensor.array, inputs[name], casting="same_kind")
        model.start()
        return model

    def wait(self, ticket):
        """Sleep until the copy out has finished; arrays are in the dtypes that the graph declares."""
        ticket.finish()
        self._idle.append(ticket)
        return {
            spec.name: _as_declared(ticket.outputs[spec.name].array, spec.dtype)
            for spec in self.job.outputs
        }

    def memory(self):
        """Device memory in use at the end of infer, which is the peak: nothing is allocated after load."""
        if not self._models:
            return None
        used, total = self._device.memory()
        return used, total, "acl.rt.get_mem_info at the end of the stage, all processes"

    def versions(self):
        """CANN's version, from its files."""
        return {"cann": atc.cann_version(self.job)}

    def warnings(self):
        """Recompilations, atc's warnings, and a chip that differs from CHIP."""
        return self._warnings

    def close(self):
        """Free the copies of the model, then the device."""
        self._unload()
        if self._device is not None:
            self._device.close()
            self._device = None

    def _unload(self):
        self._idle.clear()
        for model in self._models:
            model.close()
        self._models = []


def _shape(spec, batch_size):
    return ((batch_size * spec.rows_per_item,) if spec.batched else ()) + tuple(spec.shape)


def _as_declared(array, dtype):
    return array.astype("float32" if dtype == "bfloat16" else dtype, copy=False)


ENGINE = Cann
