"""CUDA's runtime on the host: allocations that are checked, streams that are truly asynchronous.

Nothing that was put into a stream happens before the stream, one of its events or the device is
synchronised. The functions are cuda-python's: each returns a tuple, the error first.
https://nvidia.github.io/cuda-python/cuda-bindings/latest/module/runtime.html
"""

import ctypes
import enum
import time

import numpy as np

from assay_standin import chips, faults, settings

__all__ = [
    "cudaDeviceProp", "cudaDeviceReset", "cudaDeviceScheduleBlockingSync", "cudaDeviceSynchronize",
    "cudaDriverGetVersion", "cudaError_t", "cudaEventBlockingSync", "cudaEventCreate",
    "cudaEventCreateWithFlags", "cudaEventDefault", "cudaEventDestroy", "cudaEventDisableTiming",
    "cudaEventElapsedTime", "cudaEventQuery", "cudaEventRecord", "cudaEventSynchronize", "cudaFree",
    "cudaFreeHost", "cudaGetDevice", "cudaGetDeviceCount", "cudaGetDeviceProperties",
    "cudaGetErrorName", "cudaGetErrorString", "cudaGetLastError", "cudaHostAlloc",
    "cudaHostAllocDefault", "cudaMalloc", "cudaMallocHost", "cudaMemGetInfo", "cudaMemcpy",
    "cudaMemcpyAsync", "cudaMemcpyKind", "cudaMemsetAsync", "cudaRuntimeGetVersion", "cudaSetDevice",
    "cudaSetDeviceFlags", "cudaStreamCreate", "cudaStreamCreateWithFlags", "cudaStreamDefault",
    "cudaStreamDestroy", "cudaStreamNonBlocking", "cudaStreamQuery", "cudaStreamSynchronize",
    "cudaStreamWaitEvent",
]  # fmt: skip

MIB = 1 << 20
cudaStreamDefault, cudaStreamNonBlocking = 0, 1
cudaEventDefault, cudaEventBlockingSync, cudaEventDisableTiming = 0, 1, 2
cudaDeviceScheduleBlockingSync = 4
cudaHostAllocDefault = 0


class cudaError_t(enum.IntEnum):
    """The errors that the stand-in returns."""

    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInvalidDevice = 101
    cudaErrorInvalidResourceHandle = 400
    cudaErrorNotReady = 600
    cudaErrorIllegalAddress = 700
    cudaErrorLaunchFailure = 719


class cudaMemcpyKind(enum.IntEnum):
    """From where to where."""

    cudaMemcpyHostToHost = 0
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3
    cudaMemcpyDefault = 4


_MESSAGES = {
    0: "no error",
    1: "invalid argument",
    2: "out of memory",
    101: "invalid device ordinal",
    400: "invalid resource handle",
    600: "device not ready",
    700: "an illegal memory access was encountered",
    719: "unspecified launch failure",
}
_OK = cudaError_t.cudaSuccess
_INVALID = cudaError_t.cudaErrorInvalidValue
_HANDLE = cudaError_t.cudaErrorInvalidResourceHandle


class _Handle:
    """A stream or event as cuda-python hands it out; int() gives the C handle."""

    _next = 0x10000

    def __init__(self, flags=0):
        _Handle._next += 0x10
        self._value = _Handle._next
        self.flags = flags

    def __int__(self):
        return self._value

    def getPtr(self):
        """Return the C handle."""
        return self._value


class _Stream(_Handle):
    def __init__(self, flags=0):
        super().__init__(flags)
        self.waiting = []
        self.error = _OK

    def put(self, work):
        self.waiting.append(work)

    def drain(self, until=None):
        """Do what was put in, in order, up to an event; an error sticks to the stream."""
        while self.waiting and self.error == _OK:
            work = self.waiting.pop(0)
            error = work() or _OK
            if error != _OK:
                self.error = error
            if until is not None and work is until.mark:
                break
        return self.error


class _Event(_Handle):
    def __init__(self, flags=0):
        super().__init__(flags)
        self.stream = self.mark = self.at_s = None


class cudaDeviceProp:
    """The properties that a hook reads."""

    def __init__(self, chip):
        self.name = chip.name.encode()
        self.totalGlobalMem = chip.memory_mib * MIB
        self.major, self.minor = (int(digit) for digit in chip.kind.split("."))
        self.multiProcessorCount = 108


class _Device:
    """All state of the one device."""

    def __init__(self):
        self.memory, self.pinned = {}, {}
        self.streams, self.events = {}, {}
        self.default = _Stream()
        self.last_error = _OK
        self.synchronisations = 0

    @property
    def used(self):
        return sum(buffer.nbytes for buffer in self.memory.values())

    def holds(self, pointer, size, pool):
        """Whether [pointer, pointer + size) lies inside one allocation of ``pool``."""
        return any(
            base <= pointer and pointer + size <= base + buffer.nbytes
            for base, buffer in pool.items()
        )


device = _Device()


def find_stream(handle):
    """Return the stream of a handle or of its int; 0 is the default stream, None no stream."""
    number = int(handle)
    return device.default if number in (0, 1, 2) else device.streams.get(number)


def _done(error, *values):
    if error != _OK:
        device.last_error = error
    return (error,) + values


# --- memory -----------------------------------------------------------------------------------
def cudaMalloc(size):
    """Allocate device memory."""
    total = chips.cuda_chip().memory_mib * MIB
    if "oom" in faults.asked("load") or device.used + size > total:
        return _done(cudaError_t.cudaErrorMemoryAllocation, None)
    return _done(_OK, _allocate(size, device.memory))


def cudaFree(pointer):
    """Free device memory."""
    if int(pointer) != 0 and device.memory.pop(int(pointer), None) is None:
        return _done(_INVALID)
    return _done(_OK)


def cudaMallocHost(size):
    """Allocate pinned host memory."""
    return _done(_OK, _allocate(size, device.pinned))


def cudaHostAlloc(size, flags):
    """Allocate pinned host memory."""
    return cudaMallocHost(size)


def cudaFreeHost(pointer):
    """Free pinned host memory."""
    return _done(_OK if device.pinned.pop(int(pointer), None) is not None else _INVALID)


def _allocate(size, pool):
    # Not zeroed: what nobody wrote is recognisable, and never a plausible output.
    buffer = np.full(max(1, int(size)), 0xFF, dtype=np.uint8)
    pool[buffer.ctypes.data] = buffer
    return buffer.ctypes.data


def cudaMemGetInfo():
    """Return (error, free bytes, total bytes)."""
    total = chips.cuda_chip().memory_mib * MIB
    return _done(_OK, total - device.used, total)


def cudaMemcpyAsync(dst, src, count, kind, stream):
    """Put a copy into a stream; a pageable source is read now, a pageable target written now."""
    found = find_stream(stream)
    if found is None:
        return _done(_HANDLE)
    dst, src, count = _pointer(dst), _pointer(src), int(count)
    if not _legal(dst, src, count, int(kind)):
        return _done(_INVALID)
    from_host = not device.holds(src, count, device.memory)
    if from_host and not device.holds(src, count, device.pinned):
        kept = ctypes.string_at(src, count)
        found.put(lambda: ctypes.memmove(dst, kept, count) and None)
        return _done(_OK)
    found.put(lambda: ctypes.memmove(dst, src, count) and None)
    to_host = not device.holds(dst, count, device.memory)
    if to_host and not device.holds(dst, count, device.pinned):
        return _done(found.drain())
    return _done(_OK)


def cudaMemcpy(dst, src, count, kind):
    """Copy, and wait for it."""
    (error,) = cudaMemcpyAsync(dst, src, count, kind, 0)
    return _done(error if error != _OK else device.default.drain())


def cudaMemsetAsync(pointer, value, count, stream):
    """Put a fill into a stream."""
    found = find_stream(stream)
    if found is None or not device.holds(int(pointer), int(count), device.memory):
        return _done(_INVALID if found else _HANDLE)
    found.put(lambda: ctypes.memset(int(pointer), value, int(count)) and None)
    return _done(_OK)


def _pointer(value):
    """Take an int, or anything with the buffer protocol, as cuda-python does."""
    if hasattr(value, "ctypes"):
        return value.ctypes.data
    return int(value)


def _legal(dst, src, count, kind):
    to_device, from_device = kind in (1, 3), kind in (2, 3)
    if to_device and not device.holds(dst, count, device.memory):
        return False
    return not from_device or device.holds(src, count, device.memory)


# --- streams and events -----------------------------------------------------------------------
def cudaStreamCreate():
    """Make a stream."""
    return cudaStreamCreateWithFlags(cudaStreamDefault)


def cudaStreamCreateWithFlags(flags):
    """Make a stream."""
    stream = _Stream(flags)
    device.streams[int(stream)] = stream
    return _done(_OK, stream)


def cudaStreamDestroy(stream):
    """Drop a stream; what is in it is done first."""
    found = device.streams.pop(int(stream), None)
    return _done(found.drain() if found else _HANDLE)


def cudaStreamSynchronize(stream):
    """Do all that was put into the stream."""
    found = find_stream(stream)
    device.synchronisations += 1
    return _done(found.drain() if found else _HANDLE)


def cudaStreamQuery(stream):
    """Tell whether a stream has nothing left to do."""
    found = find_stream(stream)
    if found is None:
        return _done(_HANDLE)
    return (cudaError_t.cudaErrorNotReady if found.waiting else found.error,)


def cudaStreamWaitEvent(stream, event, flags=0):
    """Have a stream wait for an event of another."""
    found = find_stream(stream)
    if found is None or int(event) not in device.events:
        return _done(_HANDLE)
    found.put(lambda: _reach(event))
    return _done(_OK)


def cudaEventCreate():
    """Make an event."""
    return cudaEventCreateWithFlags(cudaEventDefault)


def cudaEventCreateWithFlags(flags):
    """Make an event."""
    event = _Event(flags)
    device.events[int(event)] = event
    return _done(_OK, event)


def cudaEventRecord(event, stream):
    """Put an event into a stream."""
    found = find_stream(stream)
    if found is None or int(event) not in device.events:
        return _done(_HANDLE)

    def mark():
        event.at_s = time.perf_counter()

    event.stream, event.mark, event.at_s = found, mark, None
    found.put(mark)
    return _done(_OK)


def cudaEventSynchronize(event):
    """Do all that stands before the event in its stream."""
    device.synchronisations += 1
    if int(event) not in device.events:
        return _done(_HANDLE)
    return _done(_reach(event))


def _reach(event):
    if event.stream is None or event.mark not in event.stream.waiting:
        return event.stream.error if event.stream else _OK
    return event.stream.drain(event)


def cudaEventQuery(event):
    """Tell whether an event was reached."""
    waiting = event.stream is not None and event.mark in event.stream.waiting
    return (cudaError_t.cudaErrorNotReady if waiting else _OK,)


def cudaEventElapsedTime(start, end):
    """Return (error, milliseconds between two events that were reached)."""
    if (start.flags | end.flags) & cudaEventDisableTiming:
        return _done(_HANDLE, 0.0)
    if start.at_s is None or end.at_s is None:
        return (cudaError_t.cudaErrorNotReady, 0.0)
    return _done(_OK, (end.at_s - start.at_s) * 1e3)


def cudaEventDestroy(event):
    """Drop an event."""
    return _done(_OK if device.events.pop(int(event), None) is not None else _HANDLE)


# --- the device -------------------------------------------------------------------------------
def cudaDeviceSynchronize():
    """Do all that was put into all streams."""
    device.synchronisations += 1
    errors = [stream.drain() for stream in [device.default] + list(device.streams.values())]
    return _done(next((error for error in errors if error != _OK), _OK))


def cudaDeviceReset():
    """Drop everything."""
    device.__init__()
    return _done(_OK)


def cudaGetDeviceCount():
    """There is one."""
    return _done(_OK, 1)


def cudaGetDevice():
    """It is the first."""
    return _done(_OK, 0)


def cudaSetDevice(number):
    """Only the first can be chosen."""
    return _done(_OK if int(number) == 0 else cudaError_t.cudaErrorInvalidDevice)


def cudaSetDeviceFlags(flags):
    """Taken, without effect."""
    return _done(_OK)


def cudaGetDeviceProperties(number):
    """Return (error, properties)."""
    if int(number) != 0:
        return _done(cudaError_t.cudaErrorInvalidDevice, None)
    return _done(_OK, cudaDeviceProp(chips.cuda_chip()))


def cudaRuntimeGetVersion():
    """12.1 is 12010."""
    major, minor = settings.value("cuda").split(".")[:2]
    return _done(_OK, int(major) * 1000 + int(minor) * 10)


def cudaDriverGetVersion():
    """As new as the runtime."""
    return cudaRuntimeGetVersion()


def cudaGetErrorName(error):
    """Return (error, name as bytes)."""
    return _OK, cudaError_t(int(error)).name.encode()


def cudaGetErrorString(error):
    """Return (error, text as bytes)."""
    return _OK, _MESSAGES[int(error)].encode()


def cudaGetLastError():
    """Return the last error, and forget it."""
    error, device.last_error = device.last_error, _OK
    return (error,)
