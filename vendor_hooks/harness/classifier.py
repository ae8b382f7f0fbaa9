"""Hugging Face image classifiers: one way from any form of weights to a module that gives logits."""

from harness import checkpoint
from harness.errors import StageFailure


class HuggingFaceClassifier:
    """An architecture of transformers and the foreign checkpoints that map onto it.

    ``family`` is the class's name without its suffix (``ViT`` → ``ViTForImageClassification``);
    ``config`` are the arguments of its config class; ``checkpoints`` maps a weights format (``pth``,
    ``npz``) to a function ``(folder, config) -> state dict in Hugging Face's published names``.
    ``may_differ`` names entries of ``config`` that a folder's own config.json decides;
    ``residual_ends`` the batch norms that synthetic weights damp.
    """

    def __init__(self, family, config, checkpoints=None, may_differ=(), residual_ends=()):
        self._family = family
        self._config = config
        self._checkpoints = checkpoints or {}
        self._may_differ = may_differ
        self._residual_ends = residual_ends

    def build(self, weights_dir, weights_format, synthetic, seed, attention=None):
        """The module in eval mode, fp32, on the CPU: ``module(input) -> (logits [B, classes],)``.

        ``weights_dir`` and ``weights_format`` (``huggingface``, ``pth``, ``npz``) say what to load;
        with ``synthetic`` they are ignored and ``seed`` decides. ``attention`` is ``eager``, ``sdpa``
        or None (the library's choice). Raises StageFailure (data).
        """
        if synthetic:
            from harness import synthetic_weights

            module = self._module(self._initialised(seed, attention))
            image_size = self._config.get("image_size", 224)
            synthetic_weights.calibrate(
                module, module.network.classifier, seed, image_size, self._residual_ends
            )
        elif weights_format == "huggingface":
            module = self._module(self._pretrained(weights_dir, attention))
        else:
            module = self._module(self._converted(weights_dir, weights_format, attention))
        return module.requires_grad_(False)

    def skeleton(self, attention=None):
        """The module without meaningful weights, on torch's default device (``meta`` to count)."""
        return self._module(self._initialised(0, attention)).requires_grad_(False)

    @staticmethod
    def save(module, folder):
        """Write the module as a Hugging Face folder: config.json and model.safetensors."""
        module.network.save_pretrained(str(folder))

    def _classes(self):
        import transformers

        model_class = getattr(transformers, self._family + "ForImageClassification")
        return model_class, getattr(transformers, self._family + "Config")

    def _new_config(self, attention):
        config = self._classes()[1](**self._config)
        if attention is not None:
            config._attn_implementation = attention
        return config

    def _initialised(self, seed, attention):
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._classes()[0](self._new_config(attention)).eval()

    def _pretrained(self, folder, attention):
        expected = {k: v for k, v in self._config.items() if k not in self._may_differ}
        return checkpoint.load_pretrained(self._classes()[0], folder, expected, attention)

    def _converted(self, folder, weights_format, attention):
        convert = self._checkpoints.get(weights_format)
        if convert is None:
            known = ", ".join(["huggingface"] + sorted(self._checkpoints))
            message = "weights of format {!r} are not known here, only {}".format(
                weights_format, known
            )
            raise StageFailure("data", message, checkpoint.REMEDY)
        model_class = self._classes()[0]
        # from_pretrained also translates between the published names and those of its own version.
        network, info = model_class.from_pretrained(
            None,
            config=self._new_config(attention),
            state_dict=convert(folder, self._config),
            output_loading_info=True,
        )
        left = sorted(info["missing_keys"]) + sorted(info["unexpected_keys"])
        if left:
            raise RuntimeError("the mapping does not cover the architecture: {}".format(left[:5]))
        return network.float().eval()

    @staticmethod
    def _module(network):
        import torch

        class Logits(torch.nn.Module):
            """Positional input, a tuple of outputs in declared order: what exporters want."""

            def __init__(self):
                super().__init__()
                self.network = network

            def forward(self, pixels):
                return (self.network(pixel_values=pixels).logits,)

        return Logits().eval()
