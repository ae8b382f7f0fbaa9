"""Writes predictions, samples and a report to the stage's out folder while it runs."""

from hook.engines.honest import Honest


class EditsOut(Honest):
    """Tries at every call; ``hits`` counts what it could write."""

    def infer(self, inputs):
        """Compute the batch, and try."""
        for name in ("predictions.npz", "core.npy", "report.json", "report.json.tmp"):
            try:
                (self.job.folder / "out" / name).write_bytes(b"better")
                self.hits += 1
            except OSError:
                continue
        return super().infer(inputs)


ENGINE = EditsOut
