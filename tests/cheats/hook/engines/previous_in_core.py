"""Returns the outputs of the previous batch in the core loop, as a pipeline off by one would."""

from hook.engines.honest import Honest, in_core


class PreviousInCore(Honest):
    """One batch late while the core loop runs."""

    same_process = True

    def infer(self, inputs):
        """Return what the call before computed."""
        computed = self.compute(self.rows(inputs))
        previous = getattr(self, "_previous", computed)
        self._previous = computed
        return self.outputs(previous if in_core() else computed)


ENGINE = PreviousInCore
