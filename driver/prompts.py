"""Datasets of prompts: a text file with one a line, or the captions of VizWiz."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import DataFault
from driver.layout import require_file, store, write_items, write_labels

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog import Case
    from driver.datasets import IndexedDataset

CAPTION_CHARACTERS = 75
"""Captions are shorter than this; FlagPerf inference/benchmarks/stable_diffusion_v1_4, its data loader."""

SAMPLE_SEED = 0
REMEDY = "DATA=<a UTF-8 text file with a prompt a line, or VizWiz's val.json>, or DATA=synthetic"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt, and where the user finds it."""

    text: str
    name: str


def index_prompts(
    source: Path, *, case: Case, cache: Path, wanted: int | None = None, limit: int | None = None
) -> IndexedDataset:
    """Lay prompts out, one an item: ``wanted`` of them (PROMPTS; default ``data.count``), then ``limit``.

    Of a text file the first ones are taken; of VizWiz's captions as many are drawn with the published
    seed. Raises DataFault for a file that is empty, not UTF-8, or has fewer prompts than were asked for.
    """
    prompts = read_prompts(source, wanted, default=case.manifest.data.count)[:limit]
    texts = [prompt.text for prompt in prompts]

    def write(folder: Path) -> None:
        write_items(folder / "data", [text.encode() for text in texts])
        write_labels(folder / "labels", texts, [prompt.name for prompt in prompts])

    parts = {"prompts": texts, "names": [prompt.name for prompt in prompts]}
    return store(cache, case.manifest.data.dataset, parts, write)


def read_prompts(source: Path, wanted: int | None, *, default: int) -> list[Prompt]:
    """Read ``wanted`` prompts from a file; None takes ``default``, or all where there are fewer."""
    text = _decoded(source)
    captions = source.suffix.lower() == ".json"
    found = _captions(source, text) if captions else _lines(source, text)
    if not found:
        what = f"caption shorter than {CAPTION_CHARACTERS} characters" if captions else "prompt"
        raise DataFault(f"{source} holds no {what}", REMEDY)
    if wanted is not None and wanted > len(found):
        raise DataFault(
            f"PROMPTS={wanted}, but {source} holds {len(found)}", f"PROMPTS={len(found)}, or fewer"
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
