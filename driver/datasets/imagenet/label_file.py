"""``val_label.txt``: one picture per line, with its class number from 0 (layout of document 004)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import DataFault
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.datasets.imagenet.entries import Picture

LABEL_FILE = "val_label.txt"
NAMED_AT_MOST = 5


def read_labels(path: Path, pictures: Sequence[Picture], classes: int) -> tuple[int, ...]:
    """Return the class number of each picture; DataFault when file and pictures do not match."""
    labels = _parse(path, classes)
    if len(labels) != len(pictures):
        missing = [picture.name for picture in pictures if picture.name not in labels]
        raise DataFault(
            f"{path} has {counted(len(labels), 'label')} for {counted(len(pictures), 'picture')}{_some(missing)}",
            "use the complete pictures and labels of the same release",
        )
    unlabelled = [picture.name for picture in pictures if picture.name not in labels]
    if unlabelled:
        raise DataFault(
            f"{path} has no label for {counted(len(unlabelled), 'picture')}{_some(unlabelled)}",
            "use the pictures and labels of the same release",
        )
    return tuple(labels[picture.name] for picture in pictures)


def _parse(path: Path, classes: int) -> dict[str, int]:
    labels: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataFault(f"{path} cannot be read: {error}", "download it again") from error
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal() or words[0] in labels:
            raise DataFault(
                f"{path}, line {number}: {line[:60]!r} is not the name of a new picture and its class",
                "write a line as: ILSVRC2012_val_00000001.JPEG 65",
            )
        labels[words[0]] = int(words[1])
    beyond = [name for name, label in labels.items() if label >= classes]
    if beyond:
        raise DataFault(
            f"{path} gives {beyond[0]} the class {labels[beyond[0]]}, but the {classes} classes are "
            f"numbered 0 to {classes - 1}",
            "subtract 1 if your file counts from 1",
        )
    return labels


def _some(names: Sequence[str]) -> str:
    return f" (such as {', '.join(names[:NAMED_AT_MOST])})" if names else ""
