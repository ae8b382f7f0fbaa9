"""The case's weights as the Hugging Face folder that serving engines read: config.json and safetensors."""

import pathlib
import shutil

from harness.errors import StageFailure
from harness.job import Job
from harness.models import torch_module

#: Below the cache folder, where compile writes it for weights that are no such folder.
FOLDER = "checkpoint"


def checkpoint_folder(job: Job) -> pathlib.Path:
    """The folder with the job's weights: the exported one, the user's own, or one that is written to the cache.

    Raises StageFailure (contract) for a case whose model.py cannot write one.
    """
    for folder in (job.model_dir / "torch", job.weights_dir):
        if _is_checkpoint(folder):
            return folder
    written = job.cache_dir / FOLDER
    if not _is_checkpoint(written):
        _write(job, written)
    return written


def _is_checkpoint(folder: pathlib.Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _write(job: Job, folder: pathlib.Path) -> None:
    from case import model

    if not hasattr(model, "save"):
        raise StageFailure(
            "contract",
            "engine {} reads weights as a Hugging Face folder, which the model.py of case {} cannot write".format(
                job.engine, job.case
            ),
            "add save(module, folder) to the case's model.py, as cases/llama_pydoc has it",
        )
    unfinished = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(str(unfinished), ignore_errors=True)
    model.save(model.build(**torch_module.weights(job)), str(unfinished))
    shutil.rmtree(str(folder), ignore_errors=True)
    unfinished.rename(folder)
