"""Print what llama_7b makes of MMLU's files, and what its decoder does with weights of 16 bits, at a tiny size."""

import importlib
import json
import pathlib
import sys
import tempfile

import job_stub
import numpy as np
import torch
from harness.errors import StageFailure
from harness.inputs.token_windows import STORED
from harness.job import Generation, TensorSpec
from harness.models import decoder, half_weights
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

VOCABULARY = 32000
half_weights.POOL = 10007
manifest = job_stub.enter("llama_7b")
for name in ("case.model", "case.dataset", "case.mmlu", "case.task"):
    sys.modules.pop(name, None)
model, dataset, mmlu, task = (
    importlib.import_module("case." + name) for name in ("model", "dataset", "mmlu", "task")
)
TINY = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
DECODER = decoder.HuggingFaceDecoder("Llama", TINY, stored="bfloat16")
ROW = ["What is {}?", "one", "two, three", "four", "five", "B"]


def job(folder, **changes):
    """A job of two subjects with three questions in all."""
    preprocess = {"shots": 5, "longest": 200, **changes.pop("preprocess", {})}
    options = {"subjects": 2, "questions": 3, **changes.pop("options", {})}
    found = job_stub.job(
        manifest,
        folder,
        inputs=[TensorSpec.read(spec) for spec in manifest["model"]["inputs"]],
        outputs=[TensorSpec.read(spec) for spec in manifest["model"]["outputs"]],
        generation=Generation.read({**manifest["generation"], "prompt": 8, "tokens": 4}),
        options=options,
        **{"weights": "published", **changes},
    )
    found.preprocess = preprocess
    return found


def row(text, answer="B"):
    """A line of a file: one of its choices has a comma."""
    return f'"What is {text}?",one,"two, three",four,five,{answer}\n'


def files(folder):
    """Write MMLU's folder and a tokenizer; return the folder."""
    words = [
        "<unk>",
        *[
            "What",
            "is",
            "?",
            ",",
            ".",
            ":",
            "\n",
            "A",
            "B",
            "C",
            "D",
            "Answer",
            "one",
            "two",
            "three",
            "four",
            "five",
        ],
    ]
    words += [f"w{number}" for number in range(VOCABULARY - len(words))]
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "weights").mkdir()
    made.save(str(folder / "weights" / "tokenizer.json"))
    for kind, counts in (("dev", (5, 5)), ("test", (1, 2))):
        (folder / "mmlu" / kind).mkdir(parents=True)
        for subject, count in zip(("a_b", "c"), counts, strict=True):
            text = "".join(row(f"{kind} {subject} {n}") for n in range(count))
            path = folder / "mmlu" / kind / f"{subject}_{kind}.csv"
            path.write_text(text, encoding="utf-8")
    (folder / "mmlu" / "test" / "._c_test.csv").write_bytes(b"\xff")
    return folder / "mmlu"


def items(change=lambda _: None, **changes):
    """The items of the folder after ``change`` of it, or why it is refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = files(folder)
        change(folder)
        try:
            return list(dataset.read(source, job(folder, **changes)))
        except StageFailure as failure:
            return failure.message


def changed(path, text):
    """A change of a file: its bytes become ``text``."""
    return lambda folder: (folder / path).write_bytes(text)


def prompts():
    """The whole prompt of the first question, with two examples, and its name and answer."""
    with tempfile.TemporaryDirectory() as name:
        found = list(mmlu.questions(files(pathlib.Path(name)), {"subjects": 2, "questions": 3}))
    return [found[0].prompt(2), found[0].name, found[0].answer, len(found)]


def ids(item):
    return np.frombuffer(item.payload, STORED).tolist()


def small_tokenizer(folder):
    Tokenizer(WordLevel({"A": 0, "B": 1}, unk_token="A")).save(
        str(folder / "weights" / "tokenizer.json")
    )


def scores():
    """Accuracy of two right letters out of three, and with the best id of all: one."""
    made = task.make_task(job("/"))
    logits = np.zeros((3, VOCABULARY), np.float32)
    letters = np.array([[7, 8, 9, 10]] * 3, np.int32)
    logits[0, 7], logits[1, 9], logits[2, 10] = 3, 2, 1
    logits[1, 100] = 5
    predictions = made.decode({"logits": logits, "letters": letters})
    return made.score(predictions, np.array([0, 2, 1])), float(predictions["log_likelihoods"][0, 0])


def grouped():
    """Calls of a batch of prompts of lengths 3, 5 and 3, and whether each item has its own logits."""
    made, calls = task.make_task(job("/")), []

    def infer(inputs):
        calls.append(list(inputs["input_ids"].shape))
        sums = inputs["input_ids"].sum(axis=1)
        return {"logits": np.repeat(sums[:, None], VOCABULARY, axis=1).astype(np.float32)}

    prepared = [made.prepare(task.payload([1, 2, 3, 4], range(n, n + n))) for n in (3, 5, 3)]
    batch = {name: np.stack([one[name] for one in prepared]) for name in prepared[0]}
    return (
        calls,
        made.run(infer, batch)["logits"][:, 0].tolist(),
        prepared[0]["input_ids"][:7].tolist(),
    )


def past(count, heads=4, size=8, layers=2):
    return [torch.zeros(count, heads, 0, size) for _ in range(2 * layers)]


def weights():
    """How modules from one set of weights differ, and what is refused."""
    tokens = torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
    drawn = DECODER.build(None, None, True, 0, "sdpa")
    logits = drawn(tokens, *past(2))[0]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        DECODER.save(drawn, folder)
        saved = DECODER.build(folder, "huggingface", False, 0, "sdpa")
        wide = DECODER.build(folder, "huggingface", False, 0, "sdpa").to(torch.float32)
        half = DECODER.build(folder, "huggingface", False, 0, "sdpa").to(torch.bfloat16)
        narrow = half(tokens, *(one.bfloat16() for one in past(2)))[0].float()
        usual = decoder.HuggingFaceDecoder("Llama", TINY).build(folder, "huggingface", False, 0)
        found = {
            "dtypes": sorted({str(one.dtype) for one in drawn.parameters()}),
            "half_dtypes": sorted({str(one.dtype) for one in half.parameters()}),
            "frequencies": str(half.network.model.rotary_emb.inv_freq.dtype),
            "mapped": _apart(logits, drawn(tokens, *past(2))[0]),
            "saved": _apart(logits, saved(tokens, *past(2))[0]),
            "fp32": _apart(logits, wide(tokens, *past(2))[0]),
            "usual": _apart(logits, usual(tokens, *past(2))[0]),
            "bf16": float(torch.nn.functional.cosine_similarity(narrow, logits).min()),
            "without_past": float(
                torch.nn.functional.cosine_similarity(
                    drawn(tokens[:, -1:], *past(2))[0], logits
                ).max()
            ),
        }
        _shard(folder)
        sharded = DECODER.build(folder, "huggingface", False, 0, "sdpa")
        found["sharded"] = _apart(logits, sharded(tokens, *past(2))[0])
        found["refused"] = _refused(folder)
    return found


def _apart(left, right):
    return float((left - right).abs().max())


def _shard(folder):
    """Cut the weights in two files, with what old checkpoints hold besides."""
    state = load_file(str(folder / half_weights.FILE))
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    names = sorted(state)
    parts = {"1.safetensors": names[:7], "2.safetensors": names[7:]}
    for file, part in parts.items():
        save_file({name: state[name] for name in part}, str(folder / file))
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / half_weights.INDEX).write_text(json.dumps(index), encoding="utf-8")
    (folder / half_weights.FILE).unlink()


def _refused(folder):
    said = {}
    other = decoder.HuggingFaceDecoder("Llama", {**TINY, "num_hidden_layers": 3}, stored="bfloat16")
    wider = decoder.HuggingFaceDecoder(
        "Llama", {**TINY, "intermediate_size": 50}, stored="bfloat16"
    )
    steps = {
        "other_config": (lambda: None, other),
        "other_tensors": (lambda: _configure(folder, 48, 50), wider),
        "cut_short": (lambda: _cut(folder / "2.safetensors"), wider),
        "missing_shard": ((folder / "2.safetensors").unlink, wider),
        "no_index": (lambda: (folder / half_weights.INDEX).write_text("{"), wider),
    }
    for name, (change, made) in steps.items():
        change()
        try:
            made.build(folder, "huggingface", False, 0)
        except StageFailure as failure:
            said[name] = failure.message
    return said


def _configure(folder, before, after):
    """Let config.json state another width than the tensors have."""
    path = folder / "config.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(str(before), str(after)), encoding="utf-8")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def counted():
    """Parameters and multiply-accumulates of the true size, on the meta device."""
    from hook import macs

    with torch.device("meta"):
        network = model.skeleton("sdpa")
    full = job("/", preprocess={"longest": 2048})
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "macs": macs.count(full),
    }


whole = items()
short = items(preprocess={"longest": 60})
synthetic = list(dataset.synthetic(job("/", weights="synthetic"), {"count": 20, "seed": 0}))
EMPTY_QUESTION = row("x").replace("What is x?", " ").encode()
print(  # noqa: T201
    json.dumps(
        {
            "counted": counted(),
            "prompts": prompts(),
            "labels": [item.label for item in whole],
            "lengths": [len(ids(item)) - 4 for item in whole],
            "letters": ids(whole[0])[:4],
            "short": [len(ids(item)) - 4 for item in short],
            "synthetic": [len(ids(item)) - 4 for item in synthetic],
            "scores": scores(),
            "grouped": grouped(),
            "weights": weights(),
            "refused": {
                "other_tokenizer": items(small_tokenizer),
                "no_tokenizer": items(lambda folder: (folder / "weights/tokenizer.json").unlink()),
                "synthetic_weights": items(weights="synthetic"),
                "too_long": items(preprocess={"longest": 10}),
                "cut_short": items(changed("mmlu/test/c_test.csv", row("x").encode()[:-4])),
                "open_quote": items(changed("mmlu/test/c_test.csv", b'"What is')),
                "fewer": items(changed("mmlu/test/c_test.csv", row("x").encode())),
                "empty_file": items(changed("mmlu/dev/c_dev.csv", b"")),
                "empty_question": items(changed("mmlu/test/c_test.csv", EMPTY_QUESTION)),
                "not_utf8": items(changed("mmlu/test/c_test.csv", b"caf\xe9,1,2,3,4,A\n")),
                "no_dev": items(lambda folder: (folder / "mmlu/dev/c_dev.csv").unlink()),
                "other_count": items(options={"subjects": 57}),
            },
        }
    )
)
