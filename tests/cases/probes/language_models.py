"""Print what the cases of generation compute with their models, texts and tokenizers."""

import importlib
import json
import pathlib
import sys
import tempfile

import job_stub
import numpy as np
import torch
from harness.errors import StageFailure
from harness.inputs import token_windows
from harness.job import Generation, TensorSpec
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

SMOL, PYDOC = "smollm2_135m", "llama_pydoc"


def entered(case):
    """(case.toml, model.py, dataset.py) of a case."""
    manifest = job_stub.enter(case)
    for name in ("case.model", "case.dataset"):
        sys.modules.pop(name, None)
    return manifest, importlib.import_module("case.model"), importlib.import_module("case.dataset")


def job(manifest, folder, *, prompt=4, tokens=4, **changes):
    """A job with these lengths."""
    sizes = {**manifest["generation"], "prompt": prompt, "tokens": tokens}
    return job_stub.job(
        {**manifest, "preprocess": {"default": {}}},
        folder,
        inputs=[TensorSpec.read(spec) for spec in manifest["model"]["inputs"]],
        outputs=[TensorSpec.read(spec) for spec in manifest["model"]["outputs"]],
        generation=Generation.read(sizes),
        **changes,
    )


def counted(case):
    """Parameters and multiply-accumulates, counted on the meta device."""
    manifest, model, _ = entered(case)
    from hook import macs

    with torch.device("meta"):
        network = model.skeleton("sdpa")
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "macs": macs.count(job(manifest, "/")),
    }


def empty_past(manifest, count):
    sizes = manifest["generation"]
    shape = (count, sizes["kv_heads"], 0, sizes["head_size"])
    return [torch.zeros(shape) for _ in range(2 * sizes["layers"])]


def trained():
    """(largest difference of steps and the whole sequence, bits per byte of the beginning of the text)."""
    manifest, model, _ = entered(PYDOC)
    folder = job_stub.CASES / PYDOC
    module = model.build(str(folder / "weights"), "huggingface", False, 0)
    text = (folder / "data" / "test.txt").read_bytes()[: 8 * 128]
    tokens = torch.tensor(list(text)).view(8, 128)
    whole = module.network(input_ids=tokens).logits
    made = module(tokens[:, :100], *empty_past(manifest, 8))
    apart = [(made[0] - whole[:, 99]).abs().max()]
    for place in range(100, 128):
        made = module(tokens[:, place : place + 1], *made[1:])
        apart.append((made[0] - whole[:, place]).abs().max())
    loss = torch.nn.functional.cross_entropy(
        whole[:, 31:-1].flatten(0, 1), tokens[:, 32:].flatten()
    )
    return float(max(apart)), loss.item() / float(np.log(2))


def without_past():
    """Cosine of the synthetic model's logits of a token with and without the tokens before it."""
    manifest, model, _ = entered(PYDOC)
    module = model.build(None, None, True, 0)
    tokens = torch.randint(256, (4, 20), generator=torch.Generator().manual_seed(0))
    long = module(tokens, *empty_past(manifest, 4))[0]
    short = module(tokens[:, -1:], *empty_past(manifest, 4))[0]
    return float(torch.nn.functional.cosine_similarity(long, short).max())


def tokenizer(path, words):
    """Write a tokenizer of these words."""
    made = Tokenizer(
        WordLevel({word: number for number, word in enumerate(words)}, unk_token="the")
    )
    made.save(str(path))


def windows():
    """The windows of a text as texts, and their labels."""
    manifest, _, dataset = entered(PYDOC)
    with tempfile.TemporaryDirectory() as name:
        source = pathlib.Path(name) / "a.txt"
        source.write_text("the cat sat é on bed", encoding="utf-8")
        items = list(dataset.read(source, job(manifest, name, prompt=4, tokens=4)))
    payloads = [np.frombuffer(item.payload, "<i4").astype(np.uint8).tobytes() for item in items]
    return [[one.decode("utf-8", "replace") for one in payloads], [item.label for item in items]]


def refused(make, case=PYDOC, **changes):
    """The message with which a dataset is refused; ``make`` writes files into a folder and returns the source."""
    manifest, _, dataset = entered(case)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "weights").mkdir()
        source = make(folder)
        try:
            list(dataset.read(source, job(manifest, folder, **{"weights": "published", **changes})))
        except StageFailure as failure:
            return failure.message
    return None


def text(folder, payload=b"a text that is long enough for a window"):
    path = folder / "a.txt"
    path.write_bytes(payload)
    return path


def other_tokenizer(folder):
    tokenizer(folder / "weights" / "tokenizer.json", ["the", *map(str, range(11))])
    return text(folder)


def two_files(folder):
    text(folder)
    (folder / "b.txt").write_bytes(b"b")
    return folder


apart, bits = trained()
print(  # noqa: T201
    json.dumps(
        {
            "counted": {case: counted(case) for case in (PYDOC, SMOL)},
            "steps_apart": apart,
            "bits_per_byte": bits,
            "without_past": without_past(),
            "windows": windows(),
            "refused": {
                "other_tokenizer": refused(other_tokenizer, SMOL),
                "no_tokenizer": refused(text, SMOL),
                "synthetic_weights": refused(text, SMOL, weights="synthetic"),
                "not_utf8": refused(lambda folder: text(folder, b"caf\xe9 au lait")),
                "empty": refused(lambda folder: text(folder, b" \n")),
                "short": refused(lambda folder: text(folder, b"short")),
                "two_files": refused(two_files),
            },
        }
    )
)
assert token_windows  # imported by the cases
