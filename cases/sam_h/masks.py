"""Boolean masks in the picture's size: made from logits, read, compared, written. Reference image only."""

import numpy as np
from harness.errors import StageFailure, one_line

COUNT = 3
SUFFIXES = (".pt", ".npy", ".png")


def upscaled(logits, size, side):
    """Logits float32 [3, 256, 256] → bool [3, height, width] of a picture of ``size`` (width, height).

    As in SamProcessor.post_process_masks: bilinear to ``side`` × ``side``, without the padding, bilinear to
    the picture's size, thresholded at 0.
    """
    import torch
    from case.task import resized_size

    width, height = size
    inner_width, inner_height = resized_size(size, side)
    # Copied, since the array may be a read-only view of a file.
    tensor = torch.from_numpy(np.array(logits, np.float32))[None]
    resize = torch.nn.functional.interpolate
    tensor = resize(tensor, (side, side), mode="bilinear", align_corners=False)
    tensor = tensor[..., :inner_height, :inner_width]
    tensor = resize(tensor, (height, width), mode="bilinear", align_corners=False)
    return (tensor[0] > 0).numpy()


def by_size(masks):
    """The numbers of the masks, smallest mask first: the order of sam_gt_0..2."""
    return np.argsort(masks.reshape(len(masks), -1).sum(axis=1), kind="stable")


def score(logits, expected, size, side):
    """Logits [N, 3, 256, 256] against ``expected`` bool [3, height, width] of the picture.

    ``mask_agreement``: share of pixels with the same value, averaged over the three masks, as published.
    ``iou_0..2``: intersection over union of each mask, smallest golden mask first; ``iou``: their mean.
    """
    order = by_size(expected)
    rows, previous, row = [], None, None
    for item in logits:
        # The dataset is one picture, repeated: most outputs are bit-identical to the previous ones.
        if previous is None or not np.array_equal(item, previous):
            row = _compared(upscaled(item, size, side), expected)
            previous = item
        rows.append(row)
    means = np.mean(rows, axis=0)
    overlaps = means[1:][order]
    values = {"mask_agreement": means[0], "iou": overlaps.mean()}
    values.update(("iou_{}".format(number), value) for number, value in enumerate(overlaps))
    return values


def read(folder, size):
    """The user's golden masks ``sam_gt_0..2`` (.pt, .npy, .png) as bool [3, height, width], or None.

    Raises StageFailure (data) if one is unreadable, missing, or not of the picture's size.
    """
    paths = [_path(folder, number) for number in range(COUNT)]
    if not any(paths):
        return None
    missing = ["sam_gt_{}".format(number) for number, path in enumerate(paths) if path is None]
    if missing:
        raise _refused("these golden masks are missing: {}".format(", ".join(missing)))
    masks = [_read(path) for path in paths]
    width, height = size
    for path, mask in zip(paths, masks):
        if mask.shape != (height, width):
            message = "golden mask {} is {} (height x width), but the picture is {} x {}".format(
                path.name, " x ".join(str(length) for length in mask.shape), height, width
            )
            raise _refused(message)
    return np.stack(masks)


def write(path, mask):
    """A boolean mask [height, width] as a black and white PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(str(path))


def _compared(found, expected):
    """float64 [4]: pixel agreement, then the intersection over union of each mask."""
    both = (found & expected).reshape(COUNT, -1).sum(axis=1)
    either = (found | expected).reshape(COUNT, -1).sum(axis=1)
    overlaps = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return np.concatenate([[np.mean(found == expected)], overlaps])


def _path(folder, number):
    for suffix in SUFFIXES:
        path = folder / "sam_gt_{}{}".format(number, suffix)
        if path.is_file():
            return path
    return None


def _read(path):
    try:
        array = _READERS[path.suffix](path)
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        message = "golden mask {} cannot be read: {}".format(path.name, one_line(error))
        raise _refused(message) from error
    return np.asarray(array) != 0


def _read_tensor(path):
    import torch

    # Only a tensor is unpickled, since the file may come from anywhere.
    return torch.load(str(path), map_location="cpu", weights_only=True).numpy()


def _read_picture(path):
    from PIL import Image

    with Image.open(str(path)) as picture:
        return np.asarray(picture.convert("L"))


def _read_array(path):
    return np.load(str(path), allow_pickle=False)


_READERS = {".pt": _read_tensor, ".npy": _read_array, ".png": _read_picture}


def _refused(message):
    return StageFailure(
        "data",
        message,
        "make them from exactly this picture, or remove them, so that fp32's masks are used",
    )
