"""Stand-in of XTCL, Kunlunxin's TVM fork (one imports ``tvm``); see tests/standins/README.md."""

from assay_standin import xtcl
from assay_standin.xtcl import Device as _Device

from tvm import contrib, ir, nd, relay, runtime, transform  # noqa: F401

__assay_standin__ = True
__version__ = "0.8.dev0+xtcl2.0.0.67"
TVMError = xtcl.TVMError


def device(dev_type, dev_id=0):
    """Return a device: ("xpu", 0), or the CPU."""
    if dev_type not in ("xpu", "cpu", "llvm"):
        raise ValueError("Unknown device type {}".format(dev_type))
    return _Device(dev_type, dev_id)


def cpu(dev_id=0):
    """Return the host."""
    return _Device("cpu", dev_id)
