"""Weights of another architecture, cut or unreadable ones: kind data, keys named, never a traceback."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.forks import EXPORTING
from tests.vendor_hooks.reference.conftest import PROBES
from tests.vendor_hooks.reference.stack import CASES, probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.job_folder import JobFolder

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def outcomes(reference_python: Path) -> dict[str, Any]:
    """Return the failure of every kind of bad weights, None where they are good."""
    failures: dict[str, Any] = probe(reference_python, PROBES / "bad_weights.py")
    return failures


@pytest.mark.parametrize("name", ["good folder", "good pth", "good npz"])
def test_the_right_weights_are_taken(name: str, outcomes: dict[str, Any]) -> None:
    assert outcomes[name] is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing key", "1 missing: classifier.bias"),
        ("extra key", "1 unexpected: vit.pooler.dense.bias"),
        ("misshapen", "1 with another shape: classifier.bias [4] instead of [3]"),
        ("another architecture", "hidden_size 4 instead of 8; num_hidden_layers 3 instead of 2"),
        ("cut safetensors", "cannot be read"),
        ("no safetensors", "cannot be read"),
        ("unknown format", "'ckpt' cannot be read, only huggingface, npz, pth"),
        ("not a pth", "weights.pth cannot be read"),
        ("no tensors in pth", "weights.pth is not a state dict of tensors"),
        ("no pth", "must hold exactly one .pth file, found: none"),
        ("two pth", "found: second.pth, weights.pth"),
        ("another npz", "1 unexpected: pre_logits/bias; 1 with another shape: head/kernel [8, 4]"),
        ("pickled npz", "weights.npz cannot be read"),
    ],
)
def test_bad_weights_say_what_is_wrong(name: str, says: str, outcomes: dict[str, Any]) -> None:
    failure = outcomes[name]
    assert failure["kind"] == "data"
    assert says in failure["message"]
    assert "WEIGHTS=" in failure["remedy"]


def test_five_keys_are_named_of_more(outcomes: dict[str, Any]) -> None:
    message = outcomes["six missing in pth"]["message"]
    assert (
        "6 missing: cls_token, pos_embed, patch_embed.proj.weight, patch_embed.proj.bias, norm.weight …"
        in message
    )


def test_the_stage_ends_with_kind_data(
    make_digits: Callable[..., JobFolder], reference_python: Path, tmp_path: Path
) -> None:
    job = make_digits()
    wrong = tmp_path / "wrong"
    shutil.copytree(CASES / "vit_digits" / "weights", wrong)
    config = (wrong / "config.json").read_text(encoding="utf-8")
    (wrong / "config.json").write_text(config.replace('"patch_size": 4', '"patch_size": 8'))
    (job.folder / "weights").unlink()
    (job.folder / "weights").symlink_to(wrong)
    outcome = job.run_forked("export", python=reference_python, modules=EXPORTING)
    assert "patch_size 8 instead of 4" in outcome.failed("data")
    assert "Traceback" not in outcome.log
