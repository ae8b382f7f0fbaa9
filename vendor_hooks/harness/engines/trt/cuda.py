"""CUDA's runtime through cuda-python: errors become exceptions, buffers and streams become objects.

https://nvidia.github.io/cuda-python/: every call returns a tuple whose first item is the error. Iluvatar's CoreX
has the same module, cuda.cudart, for its own devices.
"""

import ctypes
from typing import Any, Dict, Sequence, Tuple

import numpy as np


class CudaError(RuntimeError):
    """A call of the runtime failed; the message has the name of the error and CUDA's text."""


def runtime() -> Any:
    """The Python binding: cuda.bindings.runtime since 12.8, cuda.cudart before."""
    try:
        from cuda.bindings import runtime as cudart
    except ImportError:
        from cuda import cudart
    found: Any = cudart
    return found


class Cuda:
    """The selected device; it is number 0, since CUDA_VISIBLE_DEVICES leaves only one."""

    def __init__(self) -> None:
        self.api = runtime()
        self.simulated = bool(getattr(self.api, "__assay_standin__", False))
        # Waiting threads sleep; spinning would take a core from decoding.
        self.check(self.api.cudaSetDeviceFlags(self.api.cudaDeviceScheduleBlockingSync))
        self.check(self.api.cudaSetDevice(0))

    def check(self, result: Sequence[Any]) -> Any:
        """The values that a call returned, without the error; CudaError if it failed."""
        error, values = result[0], result[1:]
        if int(error) != 0:
            text = self.api.cudaGetErrorString(error)[1]
            text = text.decode() if isinstance(text, bytes) else text
            raise CudaError("CUDA error {}: {}".format(getattr(error, "name", error), text))
        return values[0] if len(values) == 1 else values

    def device(self) -> Tuple[str, str]:
        """(name, compute capability such as "8.0") of the device."""
        properties = self.check(self.api.cudaGetDeviceProperties(0))
        name = properties.name
        name = name.decode() if isinstance(name, bytes) else name
        return name.rstrip("\0"), "{}.{}".format(properties.major, properties.minor)

    def memory(self) -> Tuple[int, int]:
        """(bytes in use by all processes, total bytes) of the device."""
        free, total = self.check(self.api.cudaMemGetInfo())
        return total - free, total

    def versions(self) -> Dict[str, str]:
        """Versions of runtime and driver, such as 12.1."""
        runtime_version = self.check(self.api.cudaRuntimeGetVersion())
        driver_version = self.check(self.api.cudaDriverGetVersion())
        return {"cuda_runtime": _dotted(runtime_version), "cuda_driver": _dotted(driver_version)}

    def stream(self) -> Any:
        """A stream that does not wait for the default one."""
        return self.check(self.api.cudaStreamCreateWithFlags(self.api.cudaStreamNonBlocking))

    def event(self) -> Any:
        """A timing event; a thread that synchronises on it sleeps."""
        return self.check(self.api.cudaEventCreateWithFlags(self.api.cudaEventBlockingSync))

    def record(self, event: Any, stream: Any) -> None:
        """Record an event in a stream."""
        self.check(self.api.cudaEventRecord(event, stream))

    def after(self, stream: Any, event: Any) -> None:
        """Make a stream wait for an event of another one."""
        self.check(self.api.cudaStreamWaitEvent(stream, event, 0))

    def elapsed_ns(self, start: Any, end: Any) -> int:
        """Device time between two events that have completed."""
        return int(self.check(self.api.cudaEventElapsedTime(start, end)) * 1e6)

    def copy_in(self, target: Any, source: Any, nbytes: int, stream: Any) -> None:
        """Enqueue host → device."""
        kind = self.api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.check(self.api.cudaMemcpyAsync(target, source, nbytes, kind, stream))

    def copy_out(self, target: Any, source: Any, nbytes: int, stream: Any) -> None:
        """Enqueue device → host."""
        kind = self.api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.check(self.api.cudaMemcpyAsync(target, source, nbytes, kind, stream))


class Buffer:
    """One tensor in pinned host memory and in device memory: allocated once, reused for every batch."""

    def __init__(self, cuda: Cuda, shape: Sequence[int], dtype: Any) -> None:
        self._cuda = cuda
        dtype = np.dtype(dtype)
        nbytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        self.device = cuda.check(cuda.api.cudaMalloc(nbytes))
        self.pinned = cuda.check(cuda.api.cudaMallocHost(nbytes))
        raw = (ctypes.c_uint8 * nbytes).from_address(int(self.pinned))
        self.array: Any = np.frombuffer(raw, dtype=dtype, count=nbytes // dtype.itemsize).reshape(
            shape
        )

    def free(self) -> None:
        """Free both; ``array`` must not be used afterwards."""
        self.array = None
        self._cuda.check(self._cuda.api.cudaFree(self.device))
        self._cuda.check(self._cuda.api.cudaFreeHost(self.pinned))


def _dotted(number: int) -> str:
    return "{}.{}".format(number // 1000, number % 1000 // 10)
