"""out/progress.json: how far the stage is, for display only; replaced at most twice a second."""

import json
import threading

from harness import clock

INTERVAL_S = 0.5


class Progress:
    """Set ``done`` from the measuring thread (an attribute, no lock); a ticker thread writes the file."""

    def __init__(self, out_dir):
        self._path = out_dir / "progress.json"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._phase = ("start", None, "")
        self._since_ns = clock.now_ns()
        self.done = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._write()

    def phase(self, name, total=None, unit=""):
        """Begin a phase: its name, how many ``unit`` it has (None: unknown)."""
        self.done = 0
        self._since_ns = clock.now_ns()
        self._phase = (name, total, unit)

    def _tick(self):
        while not self._ended.wait(INTERVAL_S):
            self._write()

    def _write(self):
        name, total, unit = self._phase
        seconds = (clock.now_ns() - self._since_ns) / clock.NS_PER_S
        rate = round(self.done / seconds, 3) if self.done and seconds > 0 else None
        document = {"phase": name, "done": self.done, "total": total, "unit": unit, "rate": rate}
        temporary = self._path.with_name("progress.json.tmp")
        try:
            temporary.write_text(json.dumps(document), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            # A full disk must not end a measurement for the sake of its display.
            self._ended.set()
