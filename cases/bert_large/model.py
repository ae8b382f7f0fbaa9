"""BERT-Large, uncased, with a head for the ends of an answer: Hugging Face's class and weights."""

import pathlib
import shutil

from harness.errors import StageFailure
from harness.models import checkpoint

CONFIG = {
    "vocab_size": 30522,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
#: Spread of a synthetic head's logits over positions; one of 1 would be within bf16's rounding errors.
SYNTHETIC_SPREAD = 4.0
#: Added to the attention of padding; its exponential is 0 in fp16 too, whose smallest number is -65504.
MASKED = -10000.0
VOCABULARY = "vocab.txt"


def build(weights_dir, weights_format, synthetic, seed, attention=None):  # noqa: ARG001
    """The module in eval mode, fp32, on the CPU.

    ``module(input_ids, attention_mask, token_type_ids) -> (start_logits, end_logits)``, each [B, 384].
    ``weights_dir`` is a folder of BertForQuestionAnswering; with ``synthetic``, ``seed`` determines the
    weights. ``attention``: ``eager``, ``sdpa`` or None (the library's choice). Raises StageFailure (data).
    """
    from transformers import BertForQuestionAnswering

    if synthetic:
        network = _initialised(seed, attention)
        _spread_logits(network)
    else:
        network = checkpoint.load_pretrained(
            BertForQuestionAnswering, weights_dir, CONFIG, attention
        )
    return _module(network).requires_grad_(False)


def skeleton(attention=None):
    """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
    return _module(_initialised(0, attention)).requires_grad_(False)


def save(module, folder):
    """Write the module as a Hugging Face folder: config.json and model.safetensors."""
    module.network.save_pretrained(str(folder))


def write_companions(job, folder):
    """Copy the vocabulary to tokenizer/; vendors' stages read texts, but not the weights' folder."""
    if job.weights == "synthetic":
        return {"tokenizer": "hashed words"}
    target = pathlib.Path(str(folder)) / "tokenizer"
    target.mkdir(parents=True)
    try:
        shutil.copyfile(
            str(pathlib.Path(str(job.weights_dir)) / VOCABULARY), str(target / VOCABULARY)
        )
    except OSError as error:
        raise StageFailure(
            "data",
            "{} cannot be read: {}".format(VOCABULARY, error.strerror),
            "WEIGHTS=<a folder with the vocab.txt that was published with the model>",
        ) from error
    return {"tokenizer": VOCABULARY}


def _initialised(seed, attention):
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    config = BertConfig(**CONFIG)
    if attention is not None:
        config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForQuestionAnswering(config).eval()


def _spread_logits(network):
    """Scale the head, whose input is normalised, so that its logits differ clearly between positions."""
    import torch

    head = network.qa_outputs
    with torch.no_grad():
        head.weight.mul_(SYNTHETIC_SPREAD / head.weight.norm(dim=1, keepdim=True))


def _module(network):
    import torch

    class Ends(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, input_ids, attention_mask, token_type_ids):
            # [B, 1, 1, 384], to be added: transformers' own mask would bring Range, GatherND and IsNaN into
            # the graph, which older parsers lack.
            mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * MASKED
            found = self.network(
                input_ids=input_ids,
                attention_mask=mask.to(self.network.dtype),
                token_type_ids=token_type_ids,
            )
            return (found.start_logits, found.end_logits)

    return Ends().eval()
