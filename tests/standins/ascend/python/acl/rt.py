"""acl.rt: device, context, stream, memory."""

import ctypes

from assay_standin import chips, faults
from assay_standin.acl_state import (
    CONTEXT_NULL,
    INVALID_DEVICE,
    INVALID_PARAM,
    MEMORY_ALLOCATION,
    UNINITIALIZE,
    state,
)

_TO_DEVICE, _TO_HOST, _ON_DEVICE = 1, 2, 3


def set_device(device_id):
    """Choose a device: there is the first, of a 310 card four."""
    if not state.ready:
        return UNINITIALIZE
    return (
        0 if 0 <= device_id < (4 if chips.chip("ascend").name == "310" else 1) else INVALID_DEVICE
    )


def reset_device(device_id):
    """Give the device back."""
    state.context = None
    return 0


def get_device_count():
    """Return (count, ret)."""
    return (4 if chips.chip("ascend").name == "310" else 1), 0


def get_run_mode():
    """Return (1, ret): the process runs on the host."""
    return 1, 0


def create_context(device_id):
    """Return (context, ret)."""
    if not state.ready:
        return None, UNINITIALIZE
    state.context = state.keep(("context", device_id))
    return state.context, 0


def set_context(context):
    """Use a context in this thread."""
    state.context = context
    return 0


def destroy_context(context):
    """Drop it."""
    return 0 if state.objects.pop(context, None) else INVALID_PARAM


def create_stream():
    """Return (stream, ret)."""
    handle = state.keep(("stream",))
    state.streams[handle] = []
    return handle, 0


def destroy_stream(stream):
    """Drop it; what is in it is done first."""
    ret = synchronize_stream(stream)
    state.streams.pop(stream, None)
    return ret


def synchronize_stream(stream):
    """Do what was put into the stream."""
    if stream not in state.streams:
        return INVALID_PARAM
    waiting, state.streams[stream] = state.streams[stream], []
    for work in waiting:
        ret = work()
        if ret:
            return ret
    return 0


def malloc(size, policy):
    """Return (address, ret) of device memory."""
    if state.context is None:
        return 0, CONTEXT_NULL
    used = sum(buffer.nbytes for buffer in state.device_memory.values())
    too_much = used + size > chips.chip("ascend").memory_mib << 20
    if "oom" in faults.asked("load") or size <= 0 or too_much:
        return 0, MEMORY_ALLOCATION if size > 0 else INVALID_PARAM
    return state.allocate(size, state.device_memory), 0


def _idle():
    """Fail if a stream still holds work: the real library would then use memory that is gone."""
    if any(state.streams.values()):
        raise RuntimeError("memory is freed while a stream still holds work on it")


def free(address):
    """Free device memory."""
    _idle()
    return 0 if state.device_memory.pop(address, None) is not None else INVALID_PARAM


def malloc_host(size):
    """Return (address, ret) of host memory."""
    return state.allocate(size, state.host_memory), 0


def free_host(address):
    """Free host memory."""
    _idle()
    return 0 if state.host_memory.pop(address, None) is not None else INVALID_PARAM


def memcpy(dst, dest_max, src, count, kind):
    """Copy now."""
    if count > dest_max or not _legal(dst, src, count, kind):
        return INVALID_PARAM
    ctypes.memmove(dst, src, count)
    return 0


def memcpy_async(dst, dest_max, src, count, kind, stream):
    """Copy when the stream is synchronised."""
    if stream not in state.streams or count > dest_max or not _legal(dst, src, count, kind):
        return INVALID_PARAM
    state.streams[stream].append(lambda: ctypes.memmove(dst, src, count) and 0)
    return 0


def _legal(dst, src, count, kind):
    if kind in (_TO_DEVICE, _ON_DEVICE) and not state.on_device(dst, count):
        return False
    return kind not in (_TO_HOST, _ON_DEVICE) or state.on_device(src, count)


def get_mem_info(attr):
    """Return (free, total, ret), bytes; a 910B has HBM (1) alone, the others DDR (0) alone."""
    chip = chips.chip("ascend")
    if attr != (1 if chip.name.startswith("910") else 0):
        return 0, 0, 0
    total = chip.memory_mib << 20
    used = sum(buffer.nbytes for buffer in state.device_memory.values())
    return total - used, total, 0
