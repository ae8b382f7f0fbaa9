"""Stand-in of torch_npu 2.12; see tests/standins/README.md. Importing it gives torch the device ``npu``."""

import torch
from assay_standin import torch_npu as own

__assay_standin__ = True
__version__ = "2.12.0.post2"

npu = own.patch(torch)


def npu_fusion_attention(*_args, **_options):
    """Refuse: transformers imports it wherever torch_npu is, and no case asks for it."""
    raise NotImplementedError("the stand-in of torch_npu has no fused attention; use sdpa")
