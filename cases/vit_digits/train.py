"""Train the digits classifier and write all generated files of this case.

    pip install -r ../../images/reference/torch2.13/requirements.lock scikit-learn==1.9.1
    python train.py            # writes weights/, data/val/ and calibration/ here; three minutes on one core

scikit-learn ships the 1,797 test digits of "Optical Recognition of Handwritten Digits" (E. Alpaydin
and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0): 8x8 pixels, 17 grey levels. They are
enlarged to 48x48, so that preprocessing has to resize them. The split is stratified: every fifth picture
of each digit is a test picture. Seeds are fixed and one thread is used, so that the same versions on the
same kind of processor give the same bytes.
"""

import argparse
import math
import pathlib
import shutil

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification

HERE = pathlib.Path(__file__).resolve().parent
PICTURE_PIXELS = 48
INPUT_PIXELS = 32
GREY_LEVELS = 16
TEST_EVERY = 5
#: Of the training pictures, for quantized graphs.
CALIBRATE_EVERY, CALIBRATION_PICTURES = 22, 64
SEED = 0
EPOCHS = 60
BATCH_SIZE = 64
PEAK_LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05


def pictures():
    """Return 1,797 Pillow images, 48x48, mode L, and their digits, int64 [N]."""
    digits = load_digits()
    size = (PICTURE_PIXELS, PICTURE_PIXELS)
    grey = np.round(digits.images * (255.0 / GREY_LEVELS)).astype(np.uint8)
    return [Image.fromarray(g).resize(size, Image.BICUBIC) for g in grey], digits.target


def test_mask(labels):
    """Return which pictures are test pictures: every fifth of each digit, in the order of the dataset."""
    mask = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        mask[np.flatnonzero(labels == digit)[::TEST_EVERY]] = True
    return mask


def as_inputs(images):
    """Preprocess as in case.toml: resize to 32 (bilinear), mean = std = 0.5; float32 [N,3,32,32]."""
    size = (INPUT_PIXELS, INPUT_PIXELS)
    small = [np.asarray(i.convert("RGB").resize(size, Image.BILINEAR)) for i in images]
    scaled = np.stack(small).astype(np.float32) / 255.0
    return torch.from_numpy(((scaled - 0.5) / 0.5).transpose(0, 3, 1, 2).copy())


def augment(batch, generator):
    """Rotate, scale and shift each picture a little; background is black (-1)."""
    count = len(batch)
    angle, scale, dx, dy = (
        torch.empty(count).uniform_(-span, span, generator=generator)
        for span in (0.2, 0.1, 0.12, 0.12)
    )
    cos, sin = torch.cos(angle) * (1 + scale), torch.sin(angle) * (1 + scale)
    theta = torch.stack([cos, -sin, dx, sin, cos, dy], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(theta, list(batch.shape), align_corners=False)
    return functional.grid_sample(batch + 1, grid, align_corners=False) - 1


def learning_rate_share(step, steps):
    """Warm up over a twentieth of the steps, then decay along a cosine to 0."""
    warmup = steps // 20
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train(inputs, labels, epochs):
    """Train a network; return it in eval mode."""
    from model import CONFIG

    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = ViTForImageClassification(ViTConfig(**CONFIG)).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    per_epoch = math.ceil(len(inputs) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_share(step, per_epoch * epochs)
    )
    for epoch in range(epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for chosen in order.split(BATCH_SIZE):
            logits = network(pixel_values=augment(inputs[chosen], generator)).logits
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print("epoch %d/%d  loss %.4f" % (epoch + 1, epochs, loss.item()), flush=True)  # noqa: T201
    return network.eval()


def write_test_pictures(images, labels, mask):
    """Write data/val/<digit>/<number>.png, in the layout of ImageNet's validation set."""
    root = HERE / "data" / "val"
    shutil.rmtree(root, ignore_errors=True)
    for number in np.flatnonzero(mask):
        folder = root / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        images[number].save(folder / ("%04d.png" % number), optimize=True)


def write_calibration_pictures(images, mask):
    """Write calibration/<number>.png: training pictures, none of which is a test picture."""
    folder = HERE / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in np.flatnonzero(~mask)[::CALIBRATE_EVERY][:CALIBRATION_PICTURES]:
        images[number].save(folder / ("%04d.png" % number), optimize=True)


def main():
    """Write the test pictures, train, print the accuracy, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, digits = pictures()
    mask = test_mask(digits)
    write_test_pictures(images, digits, mask)
    write_calibration_pictures(images, mask)
    inputs, labels = as_inputs(images), torch.from_numpy(digits)
    network = train(inputs[~mask], labels[~mask], epochs)
    with torch.no_grad():
        correct = (network(pixel_values=inputs[mask]).logits.argmax(1) == labels[mask]).sum()
    print("test: %d of %d" % (correct, mask.sum()))  # noqa: T201
    network.save_pretrained(HERE / "weights")


if __name__ == "__main__":
    main()
