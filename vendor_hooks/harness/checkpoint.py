"""Weights as their authors left them: read, compared key by key, and never filled up with chance.

torch, numpy's .npz and transformers are imported inside the functions: only the reference image and
the engines that run torch call them. Every failure here is of kind ``data``.
"""

import pathlib

import numpy as np

from harness.errors import StageFailure, one_line

NAMED = 5
REMEDY = "WEIGHTS=<the files that the case's README names>, or WEIGHTS=synthetic"


def only_file(folder, suffix):
    """The one file of ``folder`` with this suffix (".pth"); StageFailure when there is none or more."""
    found = sorted(pathlib.Path(folder).glob("*" + suffix))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        message = "{} must hold exactly one {} file, found: {}".format(folder, suffix, names)
        raise StageFailure("data", message, REMEDY)
    return found[0]


def read_pth(folder):
    """A .pth checkpoint: name → float32 tensor; the state may lie under ``state_dict`` or ``model``.

    Only tensors are unpickled (``weights_only``), since a .pth comes from anywhere.
    """
    import torch

    path = only_file(folder, ".pth")
    try:
        state = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise _unreadable(path, error) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise StageFailure("data", "{} is not a state dict of tensors".format(path.name), REMEDY)
    return path.name, state


def read_npz(folder):
    """An .npz checkpoint: name → float32 array (pickled objects are refused)."""
    path = only_file(folder, ".npz")
    try:
        with np.load(str(path), allow_pickle=False) as archive:
            return path.name, {name: archive[name] for name in archive.files}
    except Exception as error:
        raise _unreadable(path, error) from error


def require_state(origin, state, expected):
    """Compare a state's keys and shapes with ``expected`` (name → shape).

    Raises StageFailure (data) that names the first five missing, extra and misshapen keys.
    """
    missing = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    misshapen = [
        "{} {} instead of {}".format(name, list(state[name].shape), list(shape))
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != tuple(shape)
    ]
    refuse_differences(origin, missing, extra, misshapen)


def refuse_differences(origin, missing, extra, misshapen):
    """Raise StageFailure (data) when any of the three lists of keys holds something."""
    found = (("missing", missing), ("unexpected", extra), ("of another shape", misshapen))
    parts = [
        "{} {}: {}{}".format(len(keys), word, ", ".join(keys[:NAMED]), " …" * (len(keys) > NAMED))
        for word, keys in found
        if keys
    ]
    if parts:
        message = "{} holds the weights of another architecture: {}".format(
            origin, "; ".join(parts)
        )
        raise StageFailure("data", message, REMEDY)


def load_pretrained(model_class, folder, expected, attention=None):
    """``model_class.from_pretrained(folder)``, local files only, fp32, and strict.

    ``expected``: what config.json must say (name → value). Raises StageFailure (data) for another
    architecture, and for missing, unexpected and misshapen keys.
    """
    config = _read_config(model_class, folder, expected)
    options = {} if attention is None else {"attn_implementation": attention}
    try:
        network, info = model_class.from_pretrained(
            str(folder),
            config=config,
            local_files_only=True,
            output_loading_info=True,
            # Wrong shapes are then told in the info, in our words, with all the others.
            ignore_mismatched_sizes=True,
            **options,
        )
    except Exception as error:
        raise _unreadable(pathlib.Path(folder), error) from error
    misshapen = [
        "{} {} instead of {}".format(n, list(a), list(b)) for n, a, b in info["mismatched_keys"]
    ]
    refuse_differences(
        str(folder), sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), misshapen
    )
    return network.float().eval()


def _read_config(model_class, folder, expected):
    try:
        config = model_class.config_class.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        raise _unreadable(pathlib.Path(folder) / "config.json", error) from error
    wrong = [
        "{} {!r} instead of {!r}".format(name, getattr(config, name, None), value)
        for name, value in expected.items()
        if _plain(getattr(config, name, None)) != _plain(value)
    ]
    if wrong:
        message = "{} describes another architecture: {}".format(folder, "; ".join(wrong[:NAMED]))
        raise StageFailure("data", message, REMEDY)
    return config


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value


def _unreadable(path, error):
    if isinstance(error, (MemoryError, ImportError)):
        raise error
    message = "{} cannot be read: {}".format(path.name, one_line(error, limit=300))
    return StageFailure("data", message, REMEDY)
