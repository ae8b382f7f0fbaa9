"""DLRM with the settings of Criteo's Kaggle challenge; facebookresearch/dlrm's names of tensors, and its weights."""

import json
import pathlib

from harness.errors import StageFailure, one_line
from harness.models import checkpoint

#: Rows of the 26 embedding tables: distinct values of each category in train.txt, the absent one included.
ROWS = (
    *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
)
WIDTH = 16
COUNTS = 13
BOTTOM = (COUNTS, 512, 256, 64, WIDTH)
TOP = (512, 256, 1)
CONFIG, WEIGHTS = "config.json", "model.safetensors"

#: Standard deviation of synthetic embeddings: with it, products of two tables, and those of a table and of the
#: counts, contribute about as much to the top MLP. Upstream's own initial values, at most 1 / sqrt(rows),
#: are so small in large tables that the output would not depend on these.
SYNTHETIC_EMBEDDING = 0.5
#: Standard deviation of the logits with synthetic weights: probabilities from 0.02 to 0.98.
SYNTHETIC_SPREAD = 2.0
#: Random samples from which the mean and the spread of the logits are taken.
SYNTHETIC_SAMPLES = 1024


def build(weights_dir, weights_format, synthetic, seed, attention=None):  # noqa: ARG001
    """The module in eval mode, fp32, on the CPU.

    ``module(dense [B, 13] float32, sparse [B, 26] int64) -> (probability [B, 1],)``: ``dense`` is log(count
    + 1), ``sparse`` a row of each table. ``weights_dir`` has a checkpoint of facebookresearch/dlrm
    (``pth``) or what ``save`` wrote (``huggingface``); with ``synthetic``, ``seed`` determines the weights.
    Raises StageFailure (data).
    """
    if synthetic:
        network = _synthetic(seed)
    else:
        origin, state = (_saved if weights_format == "huggingface" else checkpoint.read_pth)(
            weights_dir
        )
        network = _module("meta")
        expected = {name: value.shape for name, value in network.state_dict().items()}
        checkpoint.require_state(origin, state, expected)
        # Assigned rather than copied: mapped pages of a file stay no second copy in memory.
        network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return network.eval().requires_grad_(False)


def skeleton(attention=None):  # noqa: ARG001
    """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
    return _module().eval().requires_grad_(False)


def save(module, folder):
    """Write config.json and model.safetensors, with the names of the checkpoint."""
    from safetensors.torch import save_file

    folder = pathlib.Path(str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), str(folder / WEIGHTS))
    sizes = {"rows": ROWS, "width": WIDTH, "bottom": BOTTOM, "top": TOP}
    (folder / CONFIG).write_text(json.dumps(sizes), encoding="utf-8")


def _saved(folder):
    """(name of the file, name → tensor) of what ``save`` wrote."""
    from safetensors.torch import load_file

    path = pathlib.Path(str(folder)) / WEIGHTS
    try:
        return path.name, load_file(str(path))
    except Exception as error:
        if isinstance(error, (MemoryError, ImportError)):
            raise
        message = "{} cannot be read: {}".format(path.name, one_line(error, limit=300))
        raise StageFailure("data", message, checkpoint.REMEDY) from error


def _synthetic(seed):
    """The module with random weights, of which the output depends on counts and on every table."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    network = _module("cpu")
    with torch.no_grad():
        bound = SYNTHETIC_EMBEDDING * 3**0.5
        for table in network.emb_l:
            table.weight.uniform_(-bound, bound, generator=generator)
        for layer in (*network.bot_l, *network.top_l):
            if isinstance(layer, torch.nn.Linear):
                # He's initial values keep the spread from layer to layer.
                layer.weight.normal_(0, (2 / layer.in_features) ** 0.5, generator=generator)
                layer.bias.normal_(0, 0.1, generator=generator)
        _spread_logits(network, generator)
    return network


def _spread_logits(network, generator):
    """Scale and shift the last layer, so that random samples have logits of mean 0 and SYNTHETIC_SPREAD."""
    import torch

    dense = torch.empty(SYNTHETIC_SAMPLES, COUNTS).exponential_(0.5, generator=generator)
    sparse = torch.stack(
        [torch.randint(rows, (SYNTHETIC_SAMPLES,), generator=generator) for rows in ROWS], dim=1
    )
    # The last two layers are a Linear and the Sigmoid.
    last = network.top_l[-2]
    logits = network.top_l[:-1](network.interactions(dense, sparse))
    scale = SYNTHETIC_SPREAD / logits.std()
    last.weight.mul_(scale)
    last.bias.add_(-logits.mean()).mul_(scale)


def _module(device=None):
    """The module on a device (None: torch's default one), its tables not initialised."""
    import torch

    def mlp(sizes, last):
        layers = []
        for inside, outside in zip(sizes, sizes[1:]):
            layers += [torch.nn.Linear(inside, outside, device=device), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1], last)

    class Dlrm(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self):
            super().__init__()
            # A bag of one row is that row: an EmbeddingBag would export as a loop.
            self.emb_l = torch.nn.ModuleList(
                torch.nn.Embedding(rows, WIDTH, _weight=torch.empty(rows, WIDTH, device=device))
                for rows in ROWS
            )
            self.bot_l = mlp(BOTTOM, torch.nn.ReLU())
            vectors = 1 + len(ROWS)
            pairs = [vectors * i + j for i in range(vectors) for j in range(i)]
            self.top_l = mlp((WIDTH + len(pairs), *TOP), torch.nn.Sigmoid())
            # As positions in the flat matrix of products: one Gather, which every parser has. No checkpoint has
            # them, so they need values where the weights come later.
            where = None if device is None else "cpu"
            self.register_buffer("pairs", torch.tensor(pairs, device=where), persistent=False)

        def interactions(self, dense, sparse):
            """The bottom MLP's output and the dot product of every pair of vectors: [B, 367]."""
            bottom = self.bot_l(dense)
            rows = [table(sparse[:, number]) for number, table in enumerate(self.emb_l)]
            vectors = torch.stack([bottom, *rows], dim=1)
            products = torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1)
            return torch.cat([bottom, products.index_select(1, self.pairs)], dim=1)

        def forward(self, dense, sparse):
            return (self.top_l(self.interactions(dense, sparse)),)

    return Dlrm()
