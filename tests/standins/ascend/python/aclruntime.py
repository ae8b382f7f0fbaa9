"""Stand-in of aclruntime, the C++ session under ais_bench; see tests/standins/README.md."""

from enum import Enum

import numpy as np
from assay_standin import clock, om

__assay_standin__ = True


class dtype(Enum):
    """Types as aclruntime names them."""

    float32 = 0
    float16 = 1
    int8 = 2
    int32 = 3
    uint8 = 4
    int64 = 9
    bool = 12


class session_options:
    """Options of a session."""

    def __init__(self):
        self.loop = 1
        self.log_level = 1
        self.acl_json_path = ""


class tensor_desc:
    """One input or output."""

    def __init__(self, name, kind, shape):
        self.name, self.shape = name, list(shape)
        self.datatype = dtype[kind.name]
        self.size = int(np.prod(shape)) if len(shape) else 1
        self.realsize = self.size * kind.itemsize
        self.format = 2


class _Summary:
    """Times of all executions, ms; ``exec_time_list`` is spelt so."""

    def __init__(self):
        self.exec_time_list = []


class InferenceSession:
    """One model on one device."""

    def __init__(self, model, device_id, options):
        if device_id != 0:
            raise RuntimeError("[-1][ACL: general failure] open device {} failed".format(device_id))
        try:
            self._om = om.Om(model)
        except om.OmError as error:
            raise RuntimeError(
                "[{}][ACL] load model {} failed: {}".format(error.code, model, error)
            ) from None
        self._options = options
        self._summary = _Summary()
        # One entry a copy, as MemorySummary of the real one keeps them.
        self.h2d_ms, self.d2h_ms = [], []

    def get_inputs(self):
        """Describe the inputs."""
        return [tensor_desc(*port) for port in self._om.inputs]

    def get_outputs(self):
        """Describe the outputs."""
        return [tensor_desc(*port) for port in self._om.outputs]

    def run(self, outnames, feeds):
        """Return the outputs of one batch: a copy in per input, ``loop`` executions, a copy out per output."""
        on_device = [_timed(self.h2d_ms, np.array, feed) for feed in feeds]
        try:
            for _ in range(self._options.loop):
                outputs, compute_s = self._om.run(on_device)
                self._summary.exec_time_list.append(compute_s * 1e3)
        except om.OmError as error:
            raise RuntimeError(
                "[{}][ACL: invalid parameter] {}".format(error.code, error)
            ) from None
        return [_timed(self.d2h_ms, np.copy, array) for array in outputs]

    def options(self):
        """Return the options, which can be changed between runs."""
        return self._options

    def sumary(self):
        """Return the times; spelt so."""
        return self._summary

    def reset_sumaryinfo(self):
        """Forget the times; spelt so."""
        self._summary = _Summary()
        self.h2d_ms, self.d2h_ms = [], []


def _timed(times_ms, copy, array):
    began = clock.now_s()
    made = copy(array)
    times_ms.append((clock.now_s() - began) * 1e3)
    return made
