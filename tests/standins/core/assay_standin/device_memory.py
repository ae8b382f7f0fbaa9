"""Memory of a device in ONNX Runtime: what is there can be read and written only through copies."""

import numpy as np

HOST = "cpu"


class Value:
    """An OrtValue on a device, which IO binding names ``kind`` ("cuda")."""

    def __init__(self, kind, array):
        self._kind, self._array = kind, np.array(array)

    def device_name(self):
        """Return where it is."""
        return self._kind

    def shape(self):
        """Return the shape."""
        return list(self._array.shape)

    def update_inplace(self, np_arr):
        """Copy an array of the same size there."""
        if np_arr.size != self._array.size or np_arr.dtype != self._array.dtype:
            raise RuntimeError("The input size of numpy array does not match the size of OrtValue.")
        self._array[...] = np_arr.reshape(self._array.shape)

    def numpy(self):
        """Copy it to the host."""
        return self._array.copy()


class Binding:
    """What a session reads and writes, and in which memory; ``host`` makes an OrtValue of the host."""

    def __init__(self, kind, host):
        self._kind, self._host = kind, host
        self._inputs, self._places, self._outputs = {}, {}, []

    def bind_cpu_input(self, name, arr_on_cpu):
        """Bind an array of the host."""
        self._inputs[name] = arr_on_cpu

    def bind_ortvalue_input(self, name, ortvalue):
        """Bind a value, wherever it is."""
        self._inputs[name] = ortvalue

    def bind_output(self, name, device_type=HOST, device_id=0):
        """Have the session allocate an output there."""
        if device_type not in (HOST, self._kind) or device_id != 0:
            raise RuntimeError("Unsupported device type: {}".format(device_type))
        self._places[name] = device_type

    def synchronize_inputs(self):
        """Wait until the inputs are there."""

    def synchronize_outputs(self):
        """Wait until the outputs are there."""

    def get_outputs(self):
        """Return the last run's outputs."""
        return self._outputs

    def run(self, session, run_options):
        """Run a session once on what is bound."""
        feeds = {name: _array(value) for name, value in self._inputs.items()}
        arrays = session.run(list(self._places), feeds, run_options)
        self._outputs = [
            self._host(array) if place == HOST else Value(place, array)
            for place, array in zip(self._places.values(), arrays)
        ]


def _array(value):
    return value.numpy() if hasattr(value, "numpy") else value


def values_of(real, kind):
    """Return the class that goes in place of ONNX Runtime's OrtValue: the real one, but for values on a device."""

    class OrtValue(real):
        """The real one; on the device, its memory."""

        @classmethod
        def ortvalue_from_numpy(cls, numpy_obj, device_type=HOST, device_id=0, *others):
            """Make a value of an array."""
            if device_type != kind:
                return real.ortvalue_from_numpy(numpy_obj, device_type, device_id, *others)
            return Value(kind, numpy_obj)

    return OrtValue
