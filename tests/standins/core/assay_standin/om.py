"""Running an .om file: what pyACL, aclruntime, ais_bench and benchmark.x86_64 share."""

import numpy as np

from assay_standin import chips, clock, execution, faults, program

# 310P's older name means the same chip.
SAME_SOC = {"Ascend710": "Ascend310P3", "Ascend310P1": "Ascend310P3"}


class OmError(Exception):
    """The model cannot be loaded or run; ``code`` is pyACL's."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Om:
    """A loaded model of fixed shapes: ``inputs`` and ``outputs`` are [(name, dtype, shape)]."""

    def __init__(self, path):
        try:
            found = program.load(path)
        except OSError:
            raise OmError(145002, "model file {} is not there".format(path)) from None
        except program.NotAProgram as error:
            raise OmError(145006, "model file {}: {}".format(path, error)) from None
        if found.header.get("tool") != "atc":
            raise OmError(145006, "model file {} was not made by atc".format(path))
        soc = SAME_SOC.get(found.header["soc_version"], found.header["soc_version"])
        if soc != chips.chip("ascend").kind:
            raise OmError(500002, "the model is for {}, the device is {}".format(
                soc, chips.chip("ascend").kind))  # fmt: skip
        if "oom" in faults.asked("load"):
            raise OmError(245000, "[Alloc][Memory] for weight failed. size:1073741824")
        if "fail" in faults.asked("load"):
            raise OmError(545001, "[Load][Model] failed")
        self._execution = execution.Execution(found)
        self.inputs = [(n, np.dtype(t), tuple(s)) for n, t, s in found.header["inputs"]]
        self.outputs = self._output_shapes()

    def _output_shapes(self):
        declared = self._execution.outputs
        if all(isinstance(dim, int) for _, _, dims in declared for dim in dims):
            return declared
        zeros = {name: np.zeros(shape, dtype) for name, dtype, shape in self.inputs}
        arrays = self._execution.run(zeros)
        return [(port[0], port[1], a.shape) for port, a in zip(declared, arrays)]

    def run(self, arrays):
        """Return (outputs, seconds of compute) of one batch; arrays may have any shape of the size."""
        if len(arrays) != len(self.inputs):
            raise OmError(145000, "{} inputs were given, the model has {}".format(
                len(arrays), len(self.inputs)))  # fmt: skip
        feeds = {}
        for array, (name, dtype, shape) in zip(arrays, self.inputs):
            size = int(np.prod(shape)) * dtype.itemsize
            if array.nbytes != size:
                raise OmError(145000, "input {} has {} bytes, the model takes {}".format(
                    name, array.nbytes, size))  # fmt: skip
            feeds[name] = np.frombuffer(array.tobytes(), dtype=dtype).reshape(shape)
        began = clock.now_s()
        outputs = self._execution.run(feeds)
        return outputs, clock.now_s() - began
