"""Weights as published: read, compared key by key, and never completed with random values.

torch and transformers are imported inside the functions: only the reference image and the engines that
run torch call them. Every failure here is of kind ``data``.
"""

import pathlib
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from harness.errors import StageFailure, one_line

NAMED = 5
Folder = Union[str, pathlib.Path]
STRIP = (
    "keep only its tensors, if you trust the file: python3 -c \"import torch; c = torch.load('{0}', "
    "weights_only=False, map_location='cpu'); torch.save(c.get('model', c.get('state_dict', c)), "
    "'only-{0}')\", then WEIGHTS=only-{0}"
)
REMEDY = "WEIGHTS=<the files that the case's README names>, or WEIGHTS=synthetic"


def only_file(folder: Folder, suffix: str) -> pathlib.Path:
    """The only file of ``folder`` with this suffix (".pth"); StageFailure when there are none or several."""
    # macOS adds "._name.pth" beside "name.pth" on foreign disks.
    visible = (one for one in pathlib.Path(folder).glob("*" + suffix) if one.name[0] != ".")
    found = sorted(visible)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        message = "{} must hold exactly one {} file, found: {}".format(folder, suffix, names)
        raise StageFailure("data", message, REMEDY)
    return found[0]


def read_pth(folder: Folder) -> Tuple[str, Dict[str, Any]]:
    """A .pth checkpoint: (file name, name → float32 tensor); may be nested in ``state_dict`` or ``model``.

    Only tensors are unpickled (``weights_only``), since a .pth may come from anywhere.
    """
    import torch

    path = only_file(folder, ".pth")
    try:
        state = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise unreadable(path, error) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            refuse_averages(path.name, state, wrapper)
            state = state[wrapper]
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise StageFailure("data", "{} is not a state dict of tensors".format(path.name), REMEDY)
    return path.name, state


def refuse_averages(origin: str, checkpoint: Mapping[str, Any], wrapper: str) -> None:
    """Raise StageFailure (data) if averaged weights (EMA) are beside ``wrapper``: which ones count?"""
    others = [
        name
        for name, value in checkpoint.items()
        if name != wrapper and isinstance(value, dict) and "ema" in str(name).lower().split("_")
    ]
    if others:
        message = "{} has two sets of weights, {} and {}, and they give different outputs".format(
            origin, wrapper, ", ".join(map(str, others))
        )
        remedy = (
            "keep the one that was published: python3 -c \"import torch; c = torch.load('{0}', "
            "weights_only=False); torch.save(c['{1}'], 'only-{0}')\", only for a file that you trust"
        ).format(origin, others[0])
        raise StageFailure("data", message, remedy)


def read_npz(folder: Folder) -> Tuple[str, Dict[str, np.ndarray]]:
    """An .npz checkpoint: (file name, name → float32 array); pickled objects are refused."""
    path = only_file(folder, ".npz")
    try:
        with np.load(str(path), allow_pickle=False) as archive:
            return path.name, {name: archive[name] for name in archive.files}
    except Exception as error:
        raise unreadable(path, error) from error


def require_state(
    origin: str, state: Mapping[str, Any], expected: Mapping[str, Sequence[int]]
) -> None:
    """Compare the keys and shapes of a state dict with ``expected`` (name → shape).

    Raises StageFailure (data) that names the first five missing, unexpected and misshapen keys.
    """
    missing = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    misshapen = [
        "{} {} instead of {}".format(name, list(state[name].shape), list(shape))
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != tuple(shape)
    ]
    refuse_differences(origin, missing, extra, misshapen)


def refuse_differences(
    origin: str, missing: List[str], extra: List[str], misshapen: List[str]
) -> None:
    """Raise StageFailure (data) unless all three lists of keys are empty."""
    found = (("missing", missing), ("unexpected", extra), ("with another shape", misshapen))
    parts = [
        "{} {}: {}{}".format(len(keys), word, ", ".join(keys[:NAMED]), " …" * (len(keys) > NAMED))
        for word, keys in found
        if keys
    ]
    if parts:
        message = "{} has the weights of another architecture: {}".format(origin, "; ".join(parts))
        raise StageFailure("data", message, REMEDY)


def load_pretrained(
    model_class: Any,
    folder: Folder,
    expected: Mapping[str, Any],
    attention: Optional[str] = None,
) -> Any:
    """``model_class.from_pretrained(folder)``: local files only, fp32, strict.

    ``expected`` has the values that config.json must have. Raises StageFailure (data) for another
    architecture, and for missing, unexpected and misshapen keys.
    """
    config = read_config(model_class, folder, expected)
    options = {} if attention is None else {"attn_implementation": attention}
    try:
        network, info = model_class.from_pretrained(
            str(folder),
            config=config,
            local_files_only=True,
            output_loading_info=True,
            # Wrong shapes are then listed in ``info``, to be reported with the other differences.
            ignore_mismatched_sizes=True,
            **options,
        )
    except Exception as error:
        raise unreadable(pathlib.Path(folder), error) from error
    misshapen = [
        "{} {} instead of {}".format(n, list(a), list(b)) for n, a, b in info["mismatched_keys"]
    ]
    refuse_differences(
        str(folder), sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), misshapen
    )
    return network.float().eval()


def read_config(model_class: Any, folder: Folder, expected: Mapping[str, Any]) -> Any:
    """The config of a Hugging Face folder; StageFailure (data) unless it has the ``expected`` values."""
    try:
        config = model_class.config_class.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        raise unreadable(pathlib.Path(folder) / "config.json", error) from error
    wrong = [
        "{} {!r} instead of {!r}".format(name, getattr(config, name, None), value)
        for name, value in expected.items()
        if _plain(getattr(config, name, None)) != _plain(value)
    ]
    if wrong:
        message = "{} describes another architecture: {}".format(folder, "; ".join(wrong[:NAMED]))
        raise StageFailure("data", message, REMEDY)
    return config


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def unreadable(path: pathlib.Path, error: Exception) -> StageFailure:
    """The failure (data) of a file that cannot be read; raises what is not the file's fault."""
    if isinstance(error, (MemoryError, ImportError)):
        raise error
    said = one_line(error, limit=300)
    pickled = re.search(r"GLOBAL ([\w.]+)", str(error))
    if pickled:
        message = "{} has an object of type {} beside its tensors".format(
            path.name, pickled.group(1)
        )
        return StageFailure("data", message, STRIP.format(path.name))
    return StageFailure("data", "{} cannot be read: {}".format(path.name, said), REMEDY)
