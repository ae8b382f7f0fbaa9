"""cuda-python's runtime before 12.8 (``from cuda import cudart``)."""

from assay_standin.cuda_runtime import *  # noqa: F403

__assay_standin__ = True
