"""One loader over a dataset of pictures, for some seconds; run by `bench_loader.py`.

    python loader_side.py SIDE HARNESS DATASET WORKERS SECONDS BATCH_SIZE CONSTANTS

SIDE is ``assay`` (the harness' BatchLoader), ``pillow`` (threads, each picture by plain Pillow and numpy as
torchvision's transforms do it), ``torchvision`` (its transforms in torch's DataLoader, worker processes) or
``dali`` (NVIDIA's DALI without a GPU, its threads). Prints JSON: the SHA-256 of the first CHECKED batches'
tensors, in order, and of ``dali``, which resizes by its own arithmetic, by how much they differ from those of
``assay``; pictures, wall and processor seconds and page faults after them. The dataset should last longer than
SECONDS: at its end the workers run dry.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import itertools
import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Batches = Callable[[], Iterator[np.ndarray[Any, Any]]]


CHECKED = 2
DALIS_NAMES = {"bicubic": "CUBIC", "bilinear": "LINEAR"}
IN_FLIGHT = 2
"""Batches on the device of the overlap's bench at once: the loader keeps one more ready."""


def assay(dataset: Any, constants: dict[str, Any], workers: int, batch_size: int) -> Batches:
    """The harness' loader, as the whole loop uses it."""
    module = import_module("harness.inputs.batch_loader")
    classification = import_module("harness.tasks.classification")
    job: Any = SimpleNamespace(
        preprocess=constants,
        case="bench",
        inputs=[SimpleNamespace(name="input")],
        outputs=[SimpleNamespace(name="output")],
    )
    source = module.make_source(dataset, classification.ImageClassification(job))
    loader = module.BatchLoader(source, batch_size, workers, IN_FLIGHT)

    def batches() -> Iterator[np.ndarray[Any, Any]]:
        for batch in loader.batches(len(dataset)):
            yield batch.inputs["input"]
            loader.release(batch)

    return batches


def pillow(dataset: Any, constants: dict[str, Any], workers: int, batch_size: int) -> Batches:
    """Plain Pillow and numpy in threads; batches stacked, two of them ahead."""
    from PIL import Image

    mean, std = (
        np.asarray(constants[name], np.float32).reshape(3, 1, 1) for name in ("mean", "std")
    )
    size, crop = constants["resize"], constants["crop"]
    pool = concurrent.futures.ThreadPoolExecutor(workers)

    def prepare(position: int) -> np.ndarray[Any, Any]:
        picture = Image.open(io.BytesIO(dataset.read(position))).convert("RGB")
        width, height = picture.size
        shorter = min(width, height)
        width, height = size * width // shorter, size * height // shorter
        picture = picture.resize(
            (width, height), getattr(Image, constants["interpolation"].upper())
        )
        left, top = round((width - crop) / 2), round((height - crop) / 2)
        pixels = np.asarray(picture.crop((left, top, left + crop, top + crop)))
        tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)
        return (tensor / np.float32(255) - mean) / std

    def batches() -> Iterator[np.ndarray[Any, Any]]:
        starts = range(0, len(dataset), batch_size)
        ahead = [
            [pool.submit(prepare, n) for n in range(start, min(start + batch_size, len(dataset)))]
            for start in starts[:2]
        ]
        for start in starts:
            found = np.stack([future.result() for future in ahead.pop(0)])
            following = start + 2 * batch_size
            if following < len(dataset):
                rest = range(following, min(following + batch_size, len(dataset)))
                ahead.append([pool.submit(prepare, n) for n in rest])
            yield found

    return batches


def torchvision(dataset: Any, constants: dict[str, Any], workers: int, batch_size: int) -> Batches:
    """torchvision's transforms in torch's DataLoader with its own worker processes."""
    from PIL import Image

    torch = import_module("torch")
    transforms = _transforms()
    steps = transforms.Compose(
        [
            transforms.Resize(
                constants["resize"], transforms.InterpolationMode(constants["interpolation"])
            ),
            transforms.CenterCrop(constants["crop"]),
            transforms.ToTensor(),
            transforms.Normalize(constants["mean"], constants["std"]),
        ]
    )

    class Pictures(torch.utils.data.Dataset):  # type: ignore[name-defined, misc]
        """The dataset's pictures, transformed."""

        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, position: int) -> Any:
            return steps(Image.open(io.BytesIO(dataset.read(position))).convert("RGB"))

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(
        Pictures(), batch_size=batch_size, num_workers=workers, persistent_workers=True
    )
    return lambda: (batch.numpy() for batch in loader)


def dali(dataset: Any, constants: dict[str, Any], workers: int, batch_size: int) -> Batches:
    """DALI's operators for the processor, two batches ahead; the files' bytes are read in the main thread."""
    fn, types = import_module("nvidia.dali.fn"), import_module("nvidia.dali.types")
    pipeline = import_module("nvidia.dali.pipeline").Pipeline(
        batch_size=batch_size, num_threads=workers, device_id=None, prefetch_queue_depth=2
    )
    mean, std = ([255 * value for value in constants[name]] for name in ("mean", "std"))
    whole = len(dataset) // batch_size * batch_size
    places = itertools.cycle(range(whole))

    def read() -> list[np.ndarray[Any, Any]]:
        return [np.frombuffer(dataset.read(next(places)), np.uint8) for _ in range(batch_size)]

    with pipeline:
        encoded = fn.external_source(read, batch=True)
        # As the other sides round: resize_shorter rounds the longer side up from a half.
        shape = fn.peek_image_shape(encoded)
        height, width = shape[0], shape[1]
        shorter, size = import_module("nvidia.dali.math").min(height, width), constants["resize"]
        decoded = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        resized = fn.resize(
            decoded,
            resize_x=fn.cast(size * width // shorter, dtype=types.FLOAT),
            resize_y=fn.cast(size * height // shorter, dtype=types.FLOAT),
            interp_type=getattr(types, f"INTERP_{DALIS_NAMES[constants['interpolation']]}"),
            antialias=True,
        )
        prepared = fn.crop_mirror_normalize(
            resized,
            crop=(constants["crop"], constants["crop"]),
            mean=mean,
            std=std,
            dtype=types.FLOAT,
            output_layout="CHW",
        )
        pipeline.set_outputs(prepared)
    pipeline.build()
    # Without a copy: as_array makes one.
    return lambda: (
        np.array(pipeline.run()[0].as_tensor(), copy=False) for _ in range(0, whole, batch_size)
    )


def _transforms() -> Any:
    torch = import_module("torch")
    try:
        import_module("torchvision")
    except RuntimeError:
        # torchvision built for another torch lacks its operators, which no transform needs.
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define("torchvision::" + name, signature)
    return import_module("torchvision.transforms")


def used() -> tuple[float, float, int]:
    """Wall seconds, processor seconds of this process, its page faults."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), own.ru_utime + own.ru_stime, own.ru_minflt


def main() -> None:
    """Run one side and print what it took."""
    side, harness, folder, workers, seconds, batch_size, constants = sys.argv[1:]
    sys.path.insert(0, harness)
    sides = {"assay": assay, "pillow": pillow, "torchvision": torchvision, "dali": dali}
    given = json.loads(constants), int(workers), int(batch_size)
    dataset = import_module("harness.inputs.dataset").Dataset(Path(folder))
    batches = sides[side](dataset, *given)
    endless = (batch for _ in iter(int, 1) for batch in batches())
    digest, first = hashlib.sha256(), []
    for _ in range(CHECKED):
        # Without a copy: freeing one raises the size up to which malloc keeps memory, and hides page faults.
        batch = next(endless)
        digest.update(np.ascontiguousarray(batch).data)
        if side == "dali":
            first.append(batch.copy())
    pictures, before = 0, used()
    while time.perf_counter() - before[0] < float(seconds):
        pictures += len(next(endless))
    after = used()
    wall_s, cpu_s, faults = (after[n] - before[n] for n in range(3))
    found = {"pictures": pictures, "wall_s": wall_s, "cpu_s": cpu_s, "faults": faults}
    if side == "dali":
        pairs = zip(first, assay(dataset, *given)(), strict=False)
        found["off"] = max(float(np.abs(one - other).mean()) for one, other in pairs)
    sys.stdout.write(json.dumps({**found, "sha256": digest.hexdigest()}) + "\n")
    sys.stdout.flush()
    # Workers have batches ahead, which nobody will take.
    os._exit(0)


if __name__ == "__main__":
    main()
