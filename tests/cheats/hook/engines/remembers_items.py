"""Remembers outputs by the content of each item."""

import hashlib

import numpy as np
from hook.engines.honest import Honest, in_core


class RemembersItems(Honest):
    """Computes each item once."""

    def infer(self, inputs):
        """Look every item up first."""
        if not hasattr(self, "_known"):
            self._known = {}
        rows = self.rows(inputs)
        found = []
        for row in rows:
            digest = hashlib.blake2b(row.tobytes()).digest()
            if digest not in self._known:
                self._known[digest] = self.compute(row[None])[0]
            elif in_core():
                self.hits += 1
            found.append(self._known[digest])
        return self.outputs(np.stack(found))


ENGINE = RemembersItems
