"""Stand-in of pyACL (``import acl``), CANN 5.1; see tests/standins/README.md.

https://www.hiascend.com/document : most calls return (value, ret) or ret; 0 is success. Executions
and copies put into a stream happen when the stream is synchronised.
"""

from assay_standin import chips
from assay_standin.acl_state import (
    INVALID_PARAM,
    REPEAT_INITIALIZE,
    UNINITIALIZE,
    state,
)

from acl import mdl, rt, util  # noqa: F401

__assay_standin__ = True


def init(config_path=None):
    """Begin; once a process."""
    if state.ready:
        return REPEAT_INITIALIZE
    state.ready = True
    return 0


def finalize():
    """End."""
    if not state.ready:
        return UNINITIALIZE
    state.clear()
    return 0


def get_soc_name():
    """Return the name with its prefix."""
    return chips.chip("ascend").kind


def create_data_buffer(address, size):
    """Describe a stretch of device memory."""
    return state.keep(("buffer", address, size)) if address else None


def destroy_data_buffer(buffer):
    """Forget the description; the memory stays."""
    return 0 if state.objects.pop(buffer, None) else INVALID_PARAM


def get_data_buffer_addr(buffer):
    """Return the address."""
    return state.objects[buffer][1]


def get_data_buffer_size(buffer):
    """Return the size, bytes."""
    return state.objects[buffer][2]
