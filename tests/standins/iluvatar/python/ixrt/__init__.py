"""IxRT under its own name; see tests/standins/README.md."""

from tensorrt import *  # noqa: F403
from tensorrt import __version__  # noqa: F401

__assay_standin__ = True
