"""Weights that stay in the 16 bits in which they were published: a model of 7 billion parameters fits 16 GiB.

They are mapped from their safetensors files, so that several processes share one copy, which the system can drop
again. The module computes in the dtype of its normalisation layers, fp32 until an engine casts it: a matrix is
converted when it is used, one at a time. fp32 of a 16-bit weight is exact, so the reference is that of fp32 weights.
"""

import json
import pathlib
from typing import Any, Dict, List

from harness.errors import StageFailure
from harness.models import checkpoint
from harness.models.checkpoint import REMEDY, Folder

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: Normal numbers that all synthetic matrices are cut from: drawing billions would take minutes. It is prime, so that
#: no two rows of a matrix are equal.
POOL = 16_777_259
#: What old checkpoints hold besides, and the model computes itself.
COMPUTED = ".rotary_emb.inv_freq"


def skeleton(model_class: Any, config: Any) -> Any:
    """The network on the meta device, but for what its config alone decides."""
    import torch

    with torch.device("meta"):
        network = model_class(config).eval()
    rotary = network.model.rotary_emb
    network.model.rotary_emb = type(rotary)(config=config)
    return _converting(network)


def draw(network: Any, seed: int, dtype: str, spread: float) -> None:
    """Give a skeleton random weights of the torch dtype ``dtype``, so that each layer adds as much as its input.

    The logits of a token have about the norm ``spread``; its input is normalised.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    pool = torch.empty(POOL).normal_(generator=generator).to(getattr(torch, dtype))
    for name, parameter in list(network.named_parameters()):
        if parameter.dim() == 1:
            _assign(network, name, torch.ones(parameter.shape))
            continue
        scale = 1.0 if "embed" in name else parameter.shape[1] ** -0.5
        if name.startswith("lm_head"):
            scale *= spread
        _assign(network, name, _cut(pool, parameter.shape, scale, generator))


def load(network: Any, folder: Folder) -> None:
    """Give a skeleton the weights of a Hugging Face folder, mapped. Raises StageFailure (data)."""
    state = mapped(folder)
    expected = {name: parameter.shape for name, parameter in network.named_parameters()}
    checkpoint.require_state(str(folder), state, expected)
    for name in expected:
        tensor = state[name]
        # The dtype of normalisation layers is what the module computes in.
        _assign(network, name, tensor.float() if tensor.dim() == 1 else tensor)


def save(network: Any, folder: Folder) -> None:
    """Write config.json and model.safetensors, then map the weights from there: memory that held them is free again."""
    from safetensors.torch import save_file

    path = pathlib.Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    # A config that was made from its fields names no architecture, by which serving engines choose their model.
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(str(path))
    tensors = {name: parameter.data for name, parameter in network.named_parameters()}
    save_file(tensors, str(path / FILE), metadata={"format": "pt"})
    del tensors
    load(network, path)


def mapped(folder: Folder) -> Dict[str, Any]:
    """Name → tensor of the files that the index names, or of model.safetensors. Raises StageFailure (data)."""
    from safetensors import safe_open

    found: Dict[str, Any] = {}
    for path in _files(pathlib.Path(folder)):
        try:
            with safe_open(str(path), framework="pt") as file:
                names = file.keys()
                found.update((name, file.get_tensor(name)) for name in names)
        except Exception as error:
            raise checkpoint.unreadable(path, error) from error
    return {name: tensor for name, tensor in found.items() if not name.endswith(COMPUTED)}


def _files(folder: pathlib.Path) -> List[pathlib.Path]:
    index = folder / INDEX
    if not index.is_file():
        return [folder / FILE]
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise checkpoint.unreadable(index, error) from error
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        message = "{} names {}, which {} does not have".format(INDEX, ", ".join(missing), folder)
        raise StageFailure("data", message, REMEDY)
    return sorted(folder / name for name in names)


def _converting(network: Any) -> Any:
    """Let each linear layer convert its matrix to its input's dtype."""
    import torch

    class Converting(torch.nn.Linear):
        # Without types, which an exporter would read.
        def forward(self, inputs):  # type: ignore[no-untyped-def]
            return torch.nn.functional.linear(inputs, self.weight.to(inputs.dtype), self.bias)

    for layer in network.modules():
        if type(layer) is torch.nn.Linear:
            layer.__class__ = Converting
    return network


def _assign(network: Any, name: str, tensor: Any) -> None:
    import torch

    owner, _, last = name.rpartition(".")
    setattr(network.get_submodule(owner), last, torch.nn.Parameter(tensor, requires_grad=False))


def _cut(pool: Any, shape: Any, scale: float, generator: Any) -> Any:
    """A tensor of the pool's numbers from a random place on, round and round, times ``scale``."""
    import torch

    made = torch.empty(shape, dtype=pool.dtype)
    flat = made.view(-1)
    start = int(torch.randint(len(pool), (1,), generator=generator))
    place = 0
    while place < len(flat):
        part = pool[start : start + len(flat) - place]
        torch.mul(part, scale, out=flat[place : place + len(part)])
        place, start = place + len(part), 0
    return made
