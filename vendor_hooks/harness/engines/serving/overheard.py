"""What an SDK's processes write to standard error while it starts: where they say why they failed."""

import collections
import contextlib
import os
import threading
from typing import Deque, Iterator, List

#: Lines that are remembered; a traceback and the messages around it.
KEPT_LINES = 400
#: Seconds to wait for the rest of it after a failure; processes that are still there keep it open.
SETTLED_S = 1.0


class Overheard:
    """Standard error of this process and of those that it starts, remembered and passed on to the stage's log."""

    def __init__(self) -> None:
        self._lines: Deque[str] = collections.deque(maxlen=KEPT_LINES)

    def lines(self) -> List[str]:
        """What was written last."""
        return list(self._lines)

    def errors(self) -> List[str]:
        """Lines that end a traceback (``ValueError: …``), the first one first; vLLM puts a process's name before it."""
        found = []
        for line in self.lines():
            words = line.split(" ")
            named = next((word for word in words if word.endswith(("Error:", "Exception:"))), None)
            if named is not None:
                found.append(line[line.index(named) :].strip())
        return found

    def follow(self, reading: int, passed_on: int) -> None:
        """Read lines until the last writer is gone."""
        with os.fdopen(reading, "rb", 0) as stream:
            rest = b""
            while True:
                part = stream.read(65536)
                if not part:
                    self._lines.append(rest.decode("utf-8", "replace"))
                    break
                with contextlib.suppress(OSError):
                    os.write(passed_on, part)
                *lines, rest = (rest + part).split(b"\n")
                self._lines.extend(line.decode("utf-8", "replace") for line in lines)


@contextlib.contextmanager
def overhearing() -> Iterator[Overheard]:
    """Remember standard error inside the block; what is started there is followed to its end."""
    found = Overheard()
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    follower = threading.Thread(target=found.follow, args=(reading, before), daemon=True)
    follower.start()
    try:
        yield found
    except BaseException:
        os.dup2(before, 2)
        # What a process wrote before it died may still be on its way.
        follower.join(SETTLED_S)
        raise
    os.dup2(before, 2)
