"""PyTorch without a compiler on the host's CPU: the framework's own inference, fp32 or bf16."""

from harness.engines.torch_host import TorchHost


class Eager(TorchHost):
    """The case's own module, unchanged; it generates, too."""

    def __init__(self, job):
        super().__init__(job)
        self._past = None

    def prefill(self, tokens):
        """Begin new sequences; their keys and values stay torch tensors between steps."""
        import torch

        lengths = self.job.generation
        shape = (len(tokens), lengths.kv_heads, 0, lengths.head_size)
        self._past = [torch.empty(shape, dtype=self._dtype) for _ in range(2 * lengths.layers)]
        return self._step(tokens)

    def decode(self, tokens):
        """Append one token to each sequence."""
        return self._step(tokens[:, None])

    def _step(self, tokens):
        import torch

        with torch.inference_mode():
            logits, *self._past = self._call(torch.from_numpy(tokens), *self._past)
            return logits.float().numpy()

    def close(self):
        """Release the module and the past."""
        super().close()
        self._past = None


ENGINE = Eager
