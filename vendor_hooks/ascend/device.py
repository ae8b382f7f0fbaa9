"""pyACL: the device, models on it, buffers. Return codes become exceptions with acl's error number."""

import ctypes

import numpy as np

SUCCESS = 0
HUGE_PAGES_FIRST = 0  # ACL_MEM_MALLOC_HUGE_FIRST
TO_DEVICE, TO_HOST = 1, 2  # ACL_MEMCPY_HOST_TO_DEVICE, ACL_MEMCPY_DEVICE_TO_HOST
DDR, HBM = 0, 1  # memory attributes: Ascend 310 and 310P have DDR
# aclDataType in acl_base.h
DTYPES = {0: "float32", 1: "float16", 2: "int8", 3: "int32", 4: "uint8", 9: "int64", 12: "bool"}


#: ACL_ERROR_BAD_ALLOC, ACL_ERROR_RT_MEMORY_ALLOCATION, ACL_ERROR_GE_MEMORY_ALLOCATION (a model's load)
NO_MEMORY = (200000, 207001, 245000)


class AclError(RuntimeError):
    """A call did not return 0; ``code`` is acl's error number."""

    def __init__(self, name, code):
        super().__init__("{} returned {}".format(name, code))
        self.code = code


class AclMemoryError(AclError, MemoryError):
    """The device or the host is out of memory."""


def check(name, ret):
    """Raise AclError if a call failed. ``ret`` is the code, or (value…, code); returns the value."""
    values = ret if isinstance(ret, tuple) else (ret,)
    code = values[-1]
    if code != SUCCESS:
        raise (AclMemoryError if code in NO_MEMORY else AclError)(name, code)
    return values[0] if len(values) > 1 else None


class AclDevice:
    """The selected device: initialised once, released by ``close``."""

    def __init__(self, number):
        import acl

        self.acl = acl
        self.number = number
        self.simulated = bool(getattr(acl, "__assay_standin__", False))
        check("acl.init", acl.init())
        try:
            check("acl.rt.set_device({})".format(number), acl.rt.set_device(number))
            self._context = check("acl.rt.create_context", acl.rt.create_context(number))
        except AclError:
            acl.finalize()
            raise

    def soc_name(self):
        """CANN's name of the chip (``Ascend310P3``), None where it gives none."""
        return self.acl.get_soc_name()

    def memory(self):
        """(bytes in use, total bytes) of the device's memory."""
        for attribute in (DDR, HBM):
            free, total, ret = self.acl.rt.get_mem_info(attribute)
            if ret == SUCCESS and total:
                return total - free, total
        return None, None

    def close(self):
        """Release the device."""
        self.acl.rt.destroy_context(self._context)
        self.acl.rt.reset_device(self.number)
        self.acl.finalize()


class AclTensor:
    """One input or output of a loaded model: host memory that the device accesses, and device memory."""

    def __init__(self, acl, nbytes, shape, dtype):
        self._acl = acl
        self.nbytes = nbytes
        self.device = check("acl.rt.malloc", acl.rt.malloc(nbytes, HUGE_PAGES_FIRST))
        self.host = check("acl.rt.malloc_host", acl.rt.malloc_host(nbytes))
        raw = (ctypes.c_uint8 * nbytes).from_address(self.host)
        self.array = np.frombuffer(raw, dtype=dtype).reshape(shape)

    def free(self):
        """Free both; ``array`` must not be used afterwards."""
        self.array = None
        self._acl.rt.free(self.device)
        self._acl.rt.free_host(self.host)


class Model:
    """One copy of an .om on the device, with its own buffers and stream.

    ``inputs`` and ``outputs`` are [(name, shape)] in the model's order; a model with other sizes raises
    ValueError. Several copies can be on the device at once, since each has its own work area.
    """

    def __init__(self, device, path, inputs, outputs):
        self._acl = device.acl
        mdl = self._acl.mdl
        self._id = check("acl.mdl.load_from_file", mdl.load_from_file(str(path)))
        self._desc = mdl.create_desc()
        check("acl.mdl.get_desc", mdl.get_desc(self._desc, self._id))
        self._stream = check("acl.rt.create_stream", self._acl.rt.create_stream())
        self.inputs = self._tensors(
            inputs, mdl.get_num_inputs, mdl.get_input_size_by_index, mdl.get_input_data_type
        )
        self.outputs = self._tensors(
            outputs, mdl.get_num_outputs, mdl.get_output_size_by_index, mdl.get_output_data_type
        )
        self._buffers = []
        self._input_set = self._dataset(self.inputs.values())
        self._output_set = self._dataset(self.outputs.values())

    def start(self):
        """Enqueue copy in, inference and copy out on the stream of this copy."""
        rt = self._acl.rt
        for t in self.inputs.values():
            ret = rt.memcpy_async(t.device, t.nbytes, t.host, t.nbytes, TO_DEVICE, self._stream)
            check("acl.rt.memcpy_async", ret)
        ret = self._acl.mdl.execute_async(self._id, self._input_set, self._output_set, self._stream)
        check("acl.mdl.execute_async", ret)
        for t in self.outputs.values():
            ret = rt.memcpy_async(t.host, t.nbytes, t.device, t.nbytes, TO_HOST, self._stream)
            check("acl.rt.memcpy_async", ret)

    def finish(self):
        """Sleep until everything that was started is complete; the outputs are then in host memory."""
        check("acl.rt.synchronize_stream", self._acl.rt.synchronize_stream(self._stream))

    def close(self):
        """Free everything of this copy; after a failure, once the device no longer uses it."""
        acl = self._acl
        acl.rt.synchronize_stream(self._stream)
        for dataset in (self._input_set, self._output_set):
            acl.mdl.destroy_dataset(dataset)
        for buffer in self._buffers:
            acl.destroy_data_buffer(buffer)
        for tensor in list(self.inputs.values()) + list(self.outputs.values()):
            tensor.free()
        acl.rt.destroy_stream(self._stream)
        acl.mdl.unload(self._id)
        acl.mdl.destroy_desc(self._desc)

    def _tensors(self, specs, count, size_of, dtype_of):
        found = count(self._desc)
        if found != len(specs):
            raise ValueError(
                "the .om has {} tensors, but {} are declared".format(found, len(specs))
            )
        made = {}
        for index, (name, shape) in enumerate(specs):
            dtype = np.dtype(DTYPES[dtype_of(self._desc, index)])
            nbytes = size_of(self._desc, index)
            if nbytes != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
                raise ValueError(
                    "tensor {} of the .om has {} bytes, but {} {} is declared".format(
                        name, nbytes, dtype, list(shape)
                    )
                )
            made[name] = AclTensor(self._acl, nbytes, shape, dtype)
        return made

    def _dataset(self, tensors):
        dataset = self._acl.mdl.create_dataset()
        for tensor in tensors:
            buffer = self._acl.create_data_buffer(tensor.device, tensor.nbytes)
            self._buffers.append(buffer)
            check("acl.mdl.add_dataset_buffer", self._acl.mdl.add_dataset_buffer(dataset, buffer))
        return dataset
