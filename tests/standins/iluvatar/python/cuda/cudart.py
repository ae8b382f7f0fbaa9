"""CoreX's cuda-python, of the generation before 12.8 (``from cuda import cudart``)."""

from assay_standin import corex  # noqa: F401 - before what it changes
from assay_standin.cuda_runtime import *  # noqa: F403

__assay_standin__ = True
