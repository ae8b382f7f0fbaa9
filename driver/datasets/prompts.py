"""Datasets of prompts: a text file with one per line, or the captions of VizWiz."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.datasets.store import require_file, store, write_items, write_labels
from driver.errors import DataFault

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.catalog import Case
    from driver.datasets.prepared import IndexedDataset

CAPTION_CHARACTERS = 75
"""Longer captions are skipped, as in the data loader of FlagPerf's stable_diffusion_v1_4 benchmark."""

SAMPLE_SEED = 0
REMEDY = "type DATA=<a UTF-8 text file with one prompt per line, or VizWiz's val.json>, or DATA=synthetic"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt, and its location in the user's file."""

    text: str
    name: str


def index_prompts(
    source: Path, *, case: Case, cache: Path, wanted: int | None = None, limit: int | None = None
) -> IndexedDataset:
    """Index prompts, one per item: ``wanted`` of them (default ``data.count``), cut to ``limit``.

    Takes the first prompts of a text file, or draws from VizWiz's captions with the published seed.
    Raises DataFault for a file that is empty, not UTF-8, or has fewer than ``wanted`` prompts.
    """
    option = (case.manifest.item_option or "limit").upper()
    default = case.manifest.data.count
    prompts = read_prompts(source, wanted, default=default, option=option)[:limit]
    texts = [prompt.text for prompt in prompts]

    def write(folder: Path) -> None:
        write_items(folder / "data", [text.encode() for text in texts])
        write_labels(folder / "labels", texts, [prompt.name for prompt in prompts])

    parts = {"prompts": texts, "names": [prompt.name for prompt in prompts]}
    return store(cache, case.manifest.data.dataset, parts, write)


def read_prompts(
    source: Path, wanted: int | None, *, default: int, option: str = "LIMIT"
) -> list[Prompt]:
    """Read ``wanted`` prompts from a file; None reads ``default``, or all if there are fewer.

    ``option`` is the variable that set ``wanted``, for the message.
    """
    text = _decoded(source)
    captions = source.suffix.lower() == ".json"
    found = _captions(source, text) if captions else _lines(source, text)
    if not found:
        what = f"caption shorter than {CAPTION_CHARACTERS} characters" if captions else "prompt"
        raise DataFault(f"{source} contains no {what}", REMEDY)
    if wanted is not None and wanted > len(found):
        raise DataFault(
            f"{option}={wanted}, but {source} has only {len(found)}",
            f"use at most {option}={len(found)}",
        )
    count = min(wanted or default, len(found))
    return random.Random(SAMPLE_SEED).sample(found, count) if captions else found[:count]


def _decoded(source: Path) -> str:
    payload = require_file(source, "a file of prompts", REMEDY)
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFault(
            f"{source} is not UTF-8 text: byte {error.start} is {payload[error.start]:#04x}",
            "save it as UTF-8 (iconv -t UTF-8)",
        ) from error


def _lines(source: Path, text: str) -> list[Prompt]:
    return [
        Prompt(text=line.strip(), name=f"{source.name}:{number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]


def _captions(source: Path, text: str) -> list[Prompt]:
    try:
        captions = [str(entry["caption"]) for entry in json.loads(text)["annotations"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataFault(
            f"{source} is not a file of VizWiz captions (annotations, each with a caption): {error!r}",
            REMEDY,
        ) from error
    return [
        Prompt(text=caption, name=f"{source.name}: annotation {number}")
        for number, caption in enumerate(captions)
        if len(caption) < CAPTION_CHARACTERS and caption.strip()
    ]
