"""Overwrites each batch with one whose outputs it remembers, so that the samples are consistent."""

import ctypes

from hook.engines.honest import Honest


class SwapsInputs(Honest):
    """Writes to the inputs' memory, past the array's flag."""

    def infer(self, inputs):
        """Return remembered outputs, with the inputs that belong to them."""
        rows = self.rows(inputs)
        if getattr(self, "_rows", None) is None or self._rows.shape != rows.shape:
            self._rows, self._outputs = rows.copy(), self.compute(rows)
        ctypes.memmove(rows.ctypes.data, self._rows.ctypes.data, rows.nbytes)
        return self.outputs(self._outputs)


ENGINE = SwapsInputs
