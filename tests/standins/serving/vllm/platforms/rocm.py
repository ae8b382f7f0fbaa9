"""How devices are selected on ROCm: what vLLM, and Ray within it, refuse."""

import os


def match_selections():
    """Take one variable for both, as vLLM does when its platform is imported; two values are an error."""
    hip, cuda = (
        os.environ.get(name) or None for name in ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
    )
    if None not in (hip, cuda) and hip != cuda:
        raise ValueError(
            "Inconsistent GPU visibility env vars: HIP_VISIBLE_DEVICES='{}' vs CUDA_VISIBLE_DEVICES='{}'. Please set "
            "only one, or ensure they match.".format(hip, cuda)
        )
    if hip or cuda:
        os.environ["HIP_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"] = hip or cuda


def import_ray():
    """As Ray does when it is imported, which vLLM's engine arguments do to see whether Ray started this process."""
    if "HIP_VISIBLE_DEVICES" not in os.environ and "ROCR_VISIBLE_DEVICES" in os.environ:
        raise RuntimeError("Please use HIP_VISIBLE_DEVICES instead of ROCR_VISIBLE_DEVICES")


def name_device():
    """As vLLM finds the GPU's name, in a list of all: with the first number of the selection, which may be no UUID."""
    selected = os.environ.get("HIP_VISIBLE_DEVICES")
    return int(selected.split(",")[0]) if selected else 0
