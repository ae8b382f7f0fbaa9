"""Stand-in of IxRT (1.1, CoreX 4.3) under TensorRT's name; see tests/standins/README.md."""

from assay_standin import corex  # noqa: F401 - before what it changes
from assay_standin.tensorrt_api import *  # noqa: F403
from assay_standin.tensorrt_api import __version__  # noqa: F401

__assay_standin__ = True
