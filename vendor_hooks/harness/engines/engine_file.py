"""A compiled engine on disk and what it was made from; one for another chip or version is rebuilt."""

import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from harness import files
from harness.engine import WarningEntry
from harness.job import Job

REMEDY = "nothing to do; make clean removes outdated engines"


class EngineFile:
    """``path`` (a file, or a folder of files) and ``<path>.json``, which records what it was made from.

    ``made_from`` maps names to texts or numbers: the graph's sha256, the compiler's version, the chip, and
    every setting of the compiler. The file is usable only while all of them are the same.
    """

    def __init__(self, path: Path, made_from: Mapping[str, Any]) -> None:
        self.path = path
        self._record = path.with_name(path.name + ".json")
        self._made_from = {name: str(value) for name, value in sorted(made_from.items())}
        self._found = self._read()

    @property
    def usable(self) -> bool:
        """Whether the file exists, is complete, and was made from exactly this."""
        return self.path.exists() and self._found.get("made_from") == self._made_from

    @property
    def settings(self) -> Dict[str, Any]:
        """The effective settings that were recorded with the file."""
        return self._found.get("settings", {})

    def stale(self) -> Optional[WarningEntry]:
        """The warning for a complete file that was made from something else, or None."""
        before = self._found.get("made_from")
        if before is None or before == self._made_from or not self.path.exists():
            return None
        changes = [
            "{} was {}, now {}".format(
                name, before.get(name, "unknown"), self._made_from.get(name, "unset")
            )
            for name in sorted(set(before) | set(self._made_from))
            if before.get(name) != self._made_from.get(name)
        ]
        message = "the engine in the cache was made for another configuration ({}): it was compiled again".format(
            "; ".join(changes)
        )
        return ("recompiled", message, REMEDY)

    def unreadable(self, why: str) -> WarningEntry:
        """The warning for a file that matches its record, but that the runtime could not load."""
        return (
            "recompiled",
            "the engine in the cache could not be loaded ({}): it was compiled again".format(why),
            REMEDY,
        )

    def record(self, settings: Dict[str, Any]) -> None:
        """Mark the file as complete; called last, so that an interrupted compilation leaves no record."""
        self._found = {"made_from": self._made_from, "settings": settings}
        files.write_json(self._record, self._found)

    def forget(self) -> None:
        """Remove the record, before the file is overwritten."""
        self._found = {}
        if self._record.exists():
            self._record.unlink()

    def _read(self) -> Dict[str, Any]:
        try:
            found = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and isinstance(found.get("made_from"), dict) else {}


def graph_digest(job: Job) -> str:
    """The identity of the exported graph: sha256 of model.onnx, of its external data, and of a quantized one."""
    try:
        described = json.loads((job.model_dir / "export.json").read_text(encoding="utf-8"))
        exported = "{}/{}".format(described["onnx_sha256"], described.get("data_sha256"))
        quantized = described.get("quantized_sha256")
        return "{}/{}".format(exported, quantized) if quantized else exported
    except (OSError, ValueError, KeyError):
        # A graph that was put there by hand: the digest of its file, and the size of its data.
        data = job.model_dir / "model.data"
        size = data.stat().st_size if data.exists() else None
        return "{}/{}".format(files.sha256(job.onnx_path), size)
