"""Train the byte-level language model and write all generated files of this case.

    pip install -r ../../images/reference/torch2.13/requirements.lock
    python train.py            # writes weights/ and data/test.txt beside this file; some ten minutes on two cores

The text is that of `help("TOPICS")` in CPython 3.11.7, which every installation has (pydoc_data/topics.py; Python
Software Foundation License 2). Paragraphs that occur in several topics count once. Of every 11 blocks of
about 2,048 bytes, one is test text. Seeds and the number of threads are fixed, so that the same versions on the same
kind of processor give the same bytes.
"""

import argparse
import hashlib
import math
import pathlib
import pydoc_data.topics

import numpy as np
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
TEXT_SHA256 = "7a9d3d577621ec17a6fc556725e6be74ae4d1981c47aaf6714dd72a14e86f0e5"
BLOCK_BYTES = 2048
TEST_EVERY = 11
SEED = 0
STEPS = 3000
BATCH_SIZE = 16
LENGTH = 128
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.1
DROPPED = 0.05


def text():
    """Return all topics as one text, each paragraph once. Raises SystemExit for another Python's."""
    topics = pydoc_data.topics.topics
    paragraphs = (part for name in sorted(topics) for part in topics[name].split("\n\n"))
    found = "\n\n".join(dict.fromkeys(part for part in paragraphs if part.strip())) + "\n"
    digest = hashlib.sha256(found.encode("utf-8")).hexdigest()
    if digest != TEXT_SHA256:
        raise SystemExit("the topics are not those of CPython 3.11.7: run this script with it")
    return found


def blocks(whole):
    """Cut a text after paragraphs into blocks of at least BLOCK_BYTES; return (training, test) bytes."""
    training, test, block, number = [], [], b"", 0
    for part in whole.split("\n\n"):
        block += part.encode("utf-8") + b"\n\n"
        if len(block) >= BLOCK_BYTES:
            (test if number % TEST_EVERY == TEST_EVERY - 1 else training).append(block)
            block, number = b"", number + 1
    return b"".join([*training, block]), b"".join(test)


def learning_rate_share(step):
    """Warm up over a fortieth of the steps, then decay along a cosine to a twentieth."""
    warmup = STEPS // 40
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (STEPS - warmup)))


def batches(training, steps):
    """Yield int64 [BATCH_SIZE, LENGTH + 1] of random places."""
    generator = np.random.RandomState(SEED)
    data = np.frombuffer(training, np.uint8).astype(np.int64)
    for _ in range(steps):
        starts = generator.randint(len(data) - LENGTH - 1, size=BATCH_SIZE)
        yield torch.from_numpy(np.stack([data[start : start + LENGTH + 1] for start in starts]))


def train(training, steps):
    """Train a network; return it in eval mode."""
    from model import CONFIG

    torch.manual_seed(SEED)
    network = LlamaForCausalLM(LlamaConfig(**CONFIG, attention_dropout=DROPPED)).train()
    matrices = [one for one in network.parameters() if one.dim() > 1]
    others = [one for one in network.parameters() if one.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0}],
        lr=PEAK_LEARNING_RATE,
        betas=(0.9, 0.95),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_share)
    for step, batch in enumerate(batches(training, steps)):
        logits = network(input_ids=batch[:, :-1]).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            bits = loss.item() / math.log(2)
            print("step %d/%d  %.3f bits per byte" % (step + 1, steps, bits), flush=True)  # noqa: T201
    return network.eval()


def bits_per_byte(network, test):
    """Return the mean over all bytes but the first of each window of LENGTH bytes."""
    data = torch.frombuffer(bytearray(test), dtype=torch.uint8).long()
    windows = data[: len(data) // LENGTH * LENGTH].view(-1, LENGTH)
    with torch.no_grad():
        logits = network(input_ids=windows).logits
    loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), windows[:, 1:].flatten())
    return loss.item() / math.log(2)


def main():
    """Write the test text, train, print the bits per byte, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    whole = text()
    training, test = blocks(whole)
    print("training %d, test %d bytes" % (len(training), len(test)))  # noqa: T201
    (HERE / "data").mkdir(exist_ok=True)
    (HERE / "data" / "test.txt").write_bytes(test)
    network = train(training, steps)
    print("test: %.4f bits per byte" % bits_per_byte(network, test))  # noqa: T201
    network.config.attention_dropout = 0.0
    network.save_pretrained(HERE / "weights")


if __name__ == "__main__":
    main()
