"""Jobs of llama_pydoc, with its own weights and text, for engines that run language models from a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import ROOT, write_files
from tests.vendor_hooks.vendor_job import run_as_driven, vendor_job

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.harness.job_folder import JobFolder, Outcome

CASE = ROOT / "cases" / "llama_pydoc"
PROMPT, TOKENS, COUNT, BATCH = 16, 4, 6, 4
VOCABULARY = 256
SIZES = {"context": 128, "hidden": 96, "layers": 4, "heads": 4, "kv_heads": 2, "head_size": 24}
#: Cosine of a step's logits in 16 bits and in fp32: the case's own bound.
COSINE = 0.999


def windows() -> NDArray[np.int32]:
    """Return the first windows of the case's text, [COUNT, PROMPT + TOKENS]."""
    text = (CASE / "data" / "test.txt").read_bytes()[: COUNT * (PROMPT + TOKENS)]
    return np.frombuffer(text, np.uint8).reshape(COUNT, -1).astype("<i4")


def language_job(
    folder: Path, vendor: str, engine: str, *, batch_size: int = BATCH, **changes: Any
) -> JobFolder:
    """Return a job of ``engine`` that generates with the case's weights."""
    settings = {
        "task": "text-generation",
        "weights": "trained-here",
        "weights_format": "huggingface",
        "golden_count": COUNT,
        "inputs": [{"name": "input_ids", "shape": [], "dtype": "int64"}],
        "outputs": [{"name": "logits", "shape": [VOCABULARY]}],
        "generation": {**SIZES, "prompt": PROMPT, "tokens": TOKENS},
        "preprocess": {},
    }
    job = vendor_job(folder, vendor, engine, batch_size=batch_size, **{**settings, **changes})
    (folder / "case").unlink()
    (folder / "case").symlink_to(CASE)
    (folder / "weights").symlink_to(CASE / "weights")
    write_files(job.data, [window.tobytes() for window in windows()])
    return job


def validated(folder: Path) -> Outcome:
    """Return what PyTorch on the host says for the same windows, in fp32."""
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    return run_as_driven(language_job(folder, "cpu", "eager"), "infer", python)


def assert_speaks(outcome: Outcome, expected: Outcome, atol: float | None = None) -> None:
    """Assert that all logits are those expected: within ``atol``, else as nearly as 16 bits have them."""
    ours, theirs = (one.npz("raw.npz")["logits"] for one in (outcome, expected))
    assert ours.shape == theirs.shape == (COUNT, TOKENS, VOCABULARY)
    if atol is not None:
        np.testing.assert_allclose(ours, theirs, atol=atol)
    dots = (ours * theirs).sum(axis=2)
    norms = np.linalg.norm(ours, axis=2) * np.linalg.norm(theirs, axis=2)
    assert (dots / norms).min() >= COSINE
