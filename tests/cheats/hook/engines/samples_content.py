"""Remembers outputs by a few values of each item, as a cache with a cheap key would."""

import numpy as np
from hook.engines.honest import Honest


class SamplesContent(Honest):
    """Recognises an item by every fiftieth of its values."""

    def infer(self, inputs):
        """Look every item up by its key."""
        if not hasattr(self, "_known"):
            self._known = {}
        found = []
        for row in self.rows(inputs):
            key = row[::50].tobytes()
            if key not in self._known:
                self._known[key] = self.compute(row[None])[0]
            found.append(self._known[key])
        return self.outputs(np.stack(found))


ENGINE = SamplesContent
