"""Print how bert_large's tokenizer, windows and scores compare with transformers' and SQuAD's own."""

import json
import pathlib
import string
import tempfile
import types

import job_stub
import torch

MANIFEST = job_stub.enter("bert_large")

from case import model, squad, task, windows, word_pieces  # noqa: E402
from harness.errors import StageFailure  # noqa: E402
from harness.job import TensorSpec  # noqa: E402
from hook import macs  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordPiece  # noqa: E402
from tokenizers.normalizers import BertNormalizer  # noqa: E402
from tokenizers.pre_tokenizers import BertPreTokenizer  # noqa: E402
from tokenizers.processors import BertProcessing  # noqa: E402

CONSTANTS = MANIFEST["preprocess"]["default"]
TEXTS = (
    "Super Bowl 50 was an American football game; who won it (in 2016)?",
    "  two\ttabs &  3 numbers: 2,024!!\n\nA line\u00a0further\u2009on ",
    "Café № 7 — naïve façade, Ångström, İstanbul, Straße, ﬁne",
    "日本語の文章 and 漢字, 한국어, Ωmega ΑΣ",
    "soft\u00adhyphen zero\u200bwidth \ufeffmark \x00nul \ufffdgone \x1bescape",
    "don't they've \"quoted\" $5.00 #tag @home ~tilde^ `tick`",
    "unknown☃snowman 🎉 party",
    "x" * 101 + " " + "y" * 100,
    "",
)
ANSWERS = (
    ("The Denver Broncos!", ["Denver Broncos", "the Broncos"]),
    ("an  apple", ["Apple"]),
    ("", ["the"]),
    ("two of them", ["three of them", "of"]),
    ("none", ["all"]),
)


def vocabulary(folder):
    """A vocab.txt as large as BERT's: letters, some pieces of the texts, fillers."""
    lines = [f"[unused{number}]" for number in range(word_pieces.VOCABULARY_SIZE)]
    for name, number in word_pieces.SPECIAL.items():
        lines[number] = name
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = list(letters) + ["##" + one for one in letters]
    pieces += [
        "super",
        "bowl",
        "am",
        "##eric",
        "##an",
        "foot",
        "##ball",
        "cafe",
        "naive",
        "日",
        "本",
    ]
    pieces += ["ω", "##m", "##ega", "한", "##국", "the", "quoted", "##ed", "unknown"]
    known = list(dict.fromkeys(pieces))
    lines[word_pieces.FIRST_WORD : word_pieces.FIRST_WORD + len(known)] = known
    path = folder / "vocab.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def published(path):
    """BERT's tokenizer as Hugging Face's library has it, uncased."""
    model = WordPiece.from_file(str(path), unk_token="[UNK]", max_input_chars_per_word=100)
    made = Tokenizer(model)
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    made.post_processor = BertProcessing(
        ("[SEP]", word_pieces.SEPARATOR), ("[CLS]", word_pieces.START)
    )
    return made


def differing(path):
    """The texts whose tokens or places differ from the published tokenizer's."""
    ours, theirs = word_pieces.WordPieces(path), published(path)
    wrong = []
    for text in TEXTS:
        encoded = theirs.encode(text, add_special_tokens=False)
        expected = [
            (number, *place) for number, place in zip(encoded.ids, encoded.offsets, strict=True)
        ]
        found = word_pieces.tokenize(ours, text)
        if found != expected:
            wrong.append({"text": text, "found": found, "expected": expected})
    return wrong


def differing_windows(path):
    """The windows of a long text that differ from the published tokenizer's, and how many there are."""
    theirs = published(path)
    ours = windows.Windows(word_pieces.WordPieces(path), CONSTANTS)
    question, context = TEXTS[0], " ".join(TEXTS[:3]) * 12
    asked, length = len(theirs.encode(question).ids) - 2, CONSTANTS["window"]
    # The library counts the tokens that overlap, run_squad.py the step from window to window.
    overlap = length - asked - 3 - CONSTANTS["stride"]
    theirs.enable_truncation(length, stride=overlap, strategy="only_second")
    theirs.enable_padding(length=length)
    first = theirs.encode(question, context)
    encoded = [first, *first.overflowing]
    starts = ours.starts(question, context)
    wrong = []
    for start, window in zip(starts, encoded, strict=False):
        payload = json.dumps({"question": question, "context": context, "start": start}).encode()
        found = [array.tolist() for array in ours.arrays(payload).values()]
        places = {
            position: place
            for position, place in enumerate(window.offsets)
            if window.sequence_ids[position] == 1
        }
        expected = [window.ids, window.attention_mask, window.type_ids]
        if found != expected or ours.places(payload) != places:
            wrong.append(start)
    return {"wrong": wrong, "ours": len(starts), "theirs": len(encoded)}


def counted():
    """Parameters and multiply-accumulates, counted on the meta device."""
    specs = [TensorSpec.read(spec) for spec in MANIFEST["model"]["inputs"]]
    with torch.device("meta"):
        network = model.skeleton("sdpa")
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "macs": macs.count(types.SimpleNamespace(inputs=specs, generation=None)),
    }


def refused(folder, change):
    """The message with which a changed vocabulary is refused."""
    path = vocabulary(folder)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(change(lines)), encoding="utf-8")
    try:
        word_pieces.WordPieces(path)
    except StageFailure as failure:
        return failure.message
    return None


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    path = vocabulary(folder)
    print(  # noqa: T201
        json.dumps(
            {
                "counted": counted(),
                "differing": differing(path),
                "windows": differing_windows(path),
                "scores": [
                    [squad.exact_match(*pair), round(squad.f1(*pair), 4)] for pair in ANSWERS
                ],
                "span": task._span(
                    {
                        "starts": [[7, 3]],
                        "start_logits": [[2.0, 1.9]],
                        "ends": [[5, 9]],
                        "end_logits": [[4.0, 1.0]],
                    },
                    0,
                ),
                "short": refused(folder, lambda lines: lines[:-1]),
                "moved": refused(folder, lambda lines: [lines[-1], *lines[:-1]]),
            }
        )
    )
