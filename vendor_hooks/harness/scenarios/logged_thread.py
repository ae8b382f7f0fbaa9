"""A thread that lasts for all tests of MLPerf's LoadGen, since LoadGen keeps a log of each thread that calls it.

A thread of LoadGen's own empties these logs every 10 ms. The first time that one holds more entries than it has reserved
memory for (1,024), that thread adds an entry of its own to it; but a log is made for one writer
(``TlsLogger::FinishReadingEntries`` of LoadGen 5.0.18 and 6.0.17). Where the other one writes in the same moment, what it
logs from then on is not read, and its test never ends. Some 20,000 queries a second are enough, or far fewer on a busy
machine. So there are few threads, and each has that first time behind it before a test counts: see ``loadgen.settle``.
"""

import queue
import threading
from typing import Any, Callable


class LoggedThread:
    """Runs what it is given, one after the other."""

    def __init__(self, name: str) -> None:
        self._tasks: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def start(self, task: Callable[[], Any]) -> None:
        """Have it run ``task``, which raises nothing."""
        self._idle.clear()
        self._tasks.put(task)

    def join(self) -> None:
        """Wait until what was started has returned."""
        self._idle.wait()

    def end(self) -> None:
        """End the thread, once what was started has returned."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            if task is None:
                return
            try:
                task()
            finally:
                self._idle.set()
