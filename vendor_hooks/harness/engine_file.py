"""A compiled engine on disk and what it was made from: another chip's or version's is made again."""

import json

from harness import files

REMEDY = "nothing to do; make clean removes engines that no longer fit"


class EngineFile:
    """``path`` (a file, or a folder of files) and ``<path>.json``, which says what it was made from.

    ``made_from`` maps a name to a text or number: the graph's sha256, the compiler's version, the chip,
    and every setting that the compiler was given. The file is usable exactly when all of it is the same.
    """

    def __init__(self, path, made_from):
        self.path = path
        self._record = path.with_name(path.name + ".json")
        self._made_from = {name: str(value) for name, value in sorted(made_from.items())}
        self._found = self._read()

    @property
    def usable(self):
        """It is there, finished, and made from just this."""
        return self.path.exists() and self._found.get("made_from") == self._made_from

    @property
    def settings(self):
        """The effective settings that were recorded with it (dict)."""
        return self._found.get("settings", {})

    def stale(self):
        """The warning (code, message, remedy) for a finished file made from something else, or None."""
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
        message = "the engine in the cache was made for something else ({}): it was compiled again".format(
            "; ".join(changes)
        )
        return ("recompiled", message, REMEDY)

    def unreadable(self, why):
        """The warning for a file that fits by its record, but that the runtime refused to load."""
        return (
            "recompiled",
            "the engine in the cache could not be loaded ({}): it was compiled again".format(why),
            REMEDY,
        )

    def record(self, settings):
        """Say that the file is finished; called last, so a compile that was killed leaves no record."""
        self._found = {"made_from": self._made_from, "settings": settings}
        files.write_json(self._record, self._found)

    def forget(self):
        """Take the record away before the file is overwritten."""
        self._found = {}
        if self._record.exists():
            self._record.unlink()

    def _read(self):
        try:
            found = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and isinstance(found.get("made_from"), dict) else {}


def graph_digest(job):
    """The exported graph's identity: sha256 of model.onnx and of its external data, from export.json."""
    try:
        described = json.loads((job.model_dir / "export.json").read_text(encoding="utf-8"))
        return "{}/{}".format(described["onnx_sha256"], described.get("data_sha256"))
    except (OSError, ValueError, KeyError):
        # A graph that was laid there by hand: its file decides, and size and date of its data.
        data = job.model_dir / "model.data"
        size = data.stat().st_size if data.exists() else None
        return "{}/{}".format(files.sha256(job.onnx_path), size)
