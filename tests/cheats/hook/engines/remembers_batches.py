"""Remembers outputs by the content of a batch."""

import hashlib

from hook.engines.honest import Honest, in_core


class RemembersBatches(Honest):
    """Computes each batch once."""

    def infer(self, inputs):
        """Look the batch up first."""
        if not hasattr(self, "_known"):
            self._known = {}
        rows = self.rows(inputs)
        digest = hashlib.blake2b(rows.tobytes()).digest()
        if digest not in self._known:
            self._known[digest] = self.compute(rows)
        elif in_core():
            self.hits += len(rows)
        return self.outputs(self._known[digest])


ENGINE = RemembersBatches
