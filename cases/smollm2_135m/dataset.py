"""A text in UTF-8 → windows of the tokens of the weights' tokenizer.json. Runs in the reference image alone."""

from harness.errors import StageFailure, one_line
from harness.inputs import token_windows

TOKENIZER = "tokenizer.json"


def read(source, job):
    """Yield the windows of a text. Raises StageFailure (data), also for a tokenizer of another vocabulary."""
    text = token_windows.read_text(source)
    if job.weights == "synthetic":
        raise StageFailure(
            "data",
            "synthetic weights have no tokenizer, which a text needs",
            "WEIGHTS=<a folder with {}>, or DATA=synthetic".format(TOKENIZER),
        )
    encoded = _tokenizer(job).encode(text, add_special_tokens=False)
    # Offsets are in characters; bytes are what texts of any tokenizer can be compared by.
    before = [0]
    for letter in text:
        before.append(before[-1] + len(letter.encode("utf-8")))
    ends = [before[end] for _, end in encoded.offsets]
    yield from token_windows.windows(encoded.ids, ends, job)


def synthetic(job, spec):
    """Yield ``spec["count"]`` windows of random tokens."""
    yield from token_windows.random_windows(job, spec)


def _tokenizer(job):
    import tokenizers

    path = job.weights_dir / TOKENIZER
    try:
        found = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        message = "{} cannot be read: {}".format(TOKENIZER, one_line(error))
        remedy = "WEIGHTS=<a folder with the {} that was published with the model>"
        raise StageFailure("data", message, remedy.format(TOKENIZER)) from error
    token_windows.require_vocabulary(found.get_vocab_size(), job, TOKENIZER)
    return found
