"""The state behind the stand-in of pyACL: memory that is checked, streams, models, descriptions."""

import numpy as np

INVALID_PARAM = 100000
UNINITIALIZE = 100001
REPEAT_INITIALIZE = 100002
INVALID_MODEL_ID = 100008
INVALID_DEVICE = 107001
CONTEXT_NULL = 107002
MEMORY_ALLOCATION = 207001
# numpy's names of acl's data types, aclDataType in acl_base.h
DATA_TYPES = {"float32": 0, "float16": 1, "int8": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 12}


class State:
    """Everything that one process holds."""

    def __init__(self):
        self.clear()

    def clear(self):
        """Begin anew."""
        self.ready = False
        self.context = None
        self.device_memory, self.host_memory = {}, {}
        self.objects, self.models, self.streams = {}, {}, {}
        self._next = 0x1000

    def keep(self, thing):
        """Return a handle of ``thing``."""
        self._next += 0x10
        self.objects[self._next] = thing
        return self._next

    def allocate(self, size, pool):
        """Return an address in ``pool``."""
        buffer = np.full(max(1, int(size)), 0xFF, dtype=np.uint8)
        pool[buffer.ctypes.data] = buffer
        return buffer.ctypes.data

    def on_device(self, address, size):
        """Whether the stretch lies inside one allocation of the device."""
        return any(
            base <= address and address + size <= base + buffer.nbytes
            for base, buffer in self.device_memory.items()
        )


state = State()
