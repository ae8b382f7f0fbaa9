"""As ``colours``; says how often Python searches for garbage while it loads, and once it has run."""

import gc

from hook.engines.colours import Colours


class Garbage(Colours):
    """``engine_options`` may ask for the harness's own process."""

    def __init__(self, job):
        super().__init__(job)
        self.same_process = job.engine_options.get("same_process", False)

    def load(self):
        return dict(super().load(), loading=gc.get_threshold()[0])

    def versions(self):
        return {"measuring": str(gc.get_threshold()[0])}


ENGINE = Garbage
