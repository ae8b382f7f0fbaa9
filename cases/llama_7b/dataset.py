"""MMLU's folder → prompts of five examples and a question, as token ids. Runs in the reference image alone."""

import numpy as np
from case import mmlu
from case.task import LETTERS, payload
from harness.errors import StageFailure, one_line
from harness.inputs import token_windows
from harness.inputs.items import Item

TOKENIZER = "tokenizer.json"
REMEDY = "WEIGHTS=<a folder with the {} that was published with the model>".format(TOKENIZER)


def read(source, job):
    """Yield a prompt per question, by subject. Raises StageFailure (data), also for a tokenizer of another model."""
    if job.weights == "synthetic":
        raise StageFailure(
            "data",
            "synthetic weights have no tokenizer, which a question needs",
            "WEIGHTS=<a folder with {}>, or DATA=synthetic".format(TOKENIZER),
        )
    tokenizer = _tokenizer(job)
    letters = [_letter(tokenizer, letter) for letter in LETTERS]
    for question in mmlu.questions(source, job.case_options):
        tokens = _fitting(tokenizer, question, job.preprocess)
        yield Item(payload(letters, tokens), LETTERS.index(question.answer), question.name)


def synthetic(job, spec):
    """Yield ``spec["count"]`` prompts of random ids, of half of PROMPT to all of it, with four random letters."""
    random = np.random.RandomState(spec["seed"])
    longest = min(job.generation.prompt, job.preprocess["longest"])
    for item in token_windows.random_windows(job, spec):
        ids = np.frombuffer(item.payload, token_windows.STORED)
        length = random.randint(max(1, longest // 2), longest + 1)
        letters = random.choice(job.outputs[0].shape[0], size=len(LETTERS), replace=False)
        yield Item(payload(letters, ids[:length]), int(random.randint(len(LETTERS))), item.name)


def _fitting(tokenizer, question, constants):
    """The ids of a prompt, with as many of the last examples as fit into ``longest``."""
    for shots in range(constants["shots"], -1, -1):
        tokens = tokenizer.encode(question.prompt(shots)).ids
        if len(tokens) <= constants["longest"]:
            return tokens
    raise StageFailure(
        "data",
        "{} has {} tokens without any example, more than {}".format(
            question.name, len(tokens), constants["longest"]
        ),
        "remove it from its file, or raise `longest` in case.toml",
    )


def _tokenizer(job):
    import tokenizers

    path = job.weights_dir / TOKENIZER
    try:
        found = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        message = "{} cannot be read: {}".format(TOKENIZER, one_line(error))
        raise StageFailure("data", message, REMEDY) from error
    token_windows.require_vocabulary(found.get_vocab_size(), job, TOKENIZER)
    # Lengths are the prompts' own.
    found.no_truncation()
    found.no_padding()
    return found


def _letter(tokenizer, letter):
    """The id that follows "Answer:" for a letter, with its blank."""
    before = tokenizer.encode("Answer:", add_special_tokens=False).ids
    behind = tokenizer.encode("Answer: " + letter, add_special_tokens=False).ids
    if behind[:-1] != before:
        message = "{} does not have {!r} as one token".format(TOKENIZER, " " + letter)
        raise StageFailure("data", message, REMEDY)
    return behind[-1]
