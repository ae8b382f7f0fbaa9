"""What the driver hears of a stage while it runs: out/progress.json, for display only, and the time.

The file is replaced at most twice a second.
"""

import json
import threading
from pathlib import Path
from typing import Optional, Tuple

from harness import clock
from harness.outputs.time_answers import TimeAnswers

INTERVAL_S = 0.5


class ProgressFile:
    """The measuring thread sets ``done`` (no lock needed); a ticker thread writes the file."""

    def __init__(self, out_dir: Path, answers: Optional[TimeAnswers] = None) -> None:
        self._answers = answers
        self._path = out_dir / "progress.json"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._phase: Tuple[str, Optional[int], str] = ("start", None, "")
        self._since_ns = clock.now_ns()
        self.done = 0

    def __enter__(self) -> "ProgressFile":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._write()

    def phase(self, name: str, total: Optional[int] = None, unit: str = "") -> None:
        """Begin a phase with ``total`` units of work (None: unknown)."""
        self.done = 0
        self._since_ns = clock.now_ns()
        self._phase = (name, total, unit)

    def loop_began(self, name: str) -> None:
        """Let the driver stamp the begin of a timed loop, whose clock has just started."""
        if self._answers is not None:
            self._answers.loop_began(name)

    def loop_ended(self) -> None:
        """Let the driver stamp the end of the loop that began last."""
        if self._answers is not None:
            self._answers.loop_ended()

    def _tick(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self._write()

    def _write(self) -> None:
        name, total, unit = self._phase
        seconds = (clock.now_ns() - self._since_ns) / clock.NS_PER_S
        rate = round(self.done / seconds, 3) if self.done and seconds > 0 else None
        document = {"phase": name, "done": self.done, "total": total, "unit": unit, "rate": rate}
        temporary = self._path.with_name("progress.json.tmp")
        try:
            temporary.write_text(json.dumps(document), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            # A full disk must not end a measurement just for its display.
            self._ended.set()
