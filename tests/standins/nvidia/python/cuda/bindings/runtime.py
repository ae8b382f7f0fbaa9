"""cuda-python's runtime since 12.8 (``from cuda.bindings import runtime``)."""

from assay_standin.cuda_runtime import *  # noqa: F403

__assay_standin__ = True
