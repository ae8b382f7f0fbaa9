"""Multiply-accumulates of one core item, counted from the model itself."""

from hook import module

SCOPE = "one item; matrix products, convolutions and attention products (torch FlopCounterMode / 2)"


def count(job):
    """Multiply-accumulates of one item; on the meta device, so that nothing is computed or held."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        # Eager attention is counted product by product; fused kernels need a formula each.
        network = module.case_model().skeleton("eager")
    counter = FlopCounterMode(display=False)
    with counter:
        network(*module.example_inputs(job, items=1, device="meta"))
    return counter.get_total_flops() // 2
