"""Which devices a PyTorch was built for."""

from typing import Any, List

from harness.errors import StageFailure
from harness.job import Job

#: What a build of PyTorch that vendor.toml may ask for (``torch_build``) is for.
BUILDS = {"cuda": "CUDA", "hip": "ROCm", "corex": "CoreX"}


def require_build(job: Job, torch: Any) -> None:
    """Raise StageFailure (image) where ``options.torch_build`` of vendor.toml asks for another build."""
    wanted = job.engine_options.get("torch_build")
    # A build names itself in torch.version (hip) or in its own version (2.7.1+corex.4.4.0).
    if wanted is None or getattr(torch.version, wanted, None) or wanted in _local(torch):
        return
    raise StageFailure(
        "image",
        "PyTorch {} was not built for {}".format(torch.__version__, BUILDS.get(wanted, wanted)),
        "use the stack's image (RUNNER=docker), whose base image has that PyTorch; with STACK_PYTHON, "
        "an environment that has it",
    )


def _local(torch: Any) -> List[str]:
    """What follows the release in a version: ["corex", "4", "4", "0"] of 2.7.1+corex.4.4.0."""
    text: str = torch.__version__
    return text.partition("+")[2].split(".")
