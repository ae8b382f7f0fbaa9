"""Stand-in of TensorRT's Python API; see tests/standins/README.md."""

from assay_standin.tensorrt_api import *  # noqa: F403
from assay_standin.tensorrt_api import __version__  # noqa: F401

__assay_standin__ = True
