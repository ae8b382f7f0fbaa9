"""Hugging Face image classifiers: from any form of weights to a module that returns logits."""

from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from harness.errors import StageFailure
from harness.models import checkpoint
from harness.models.checkpoint import Folder

#: A checkpoint's folder and the architecture's config → state dict in Hugging Face's published names.
Convert = Callable[[Folder, Dict[str, Any]], Dict[str, Any]]


class HuggingFaceClassifier:
    """An architecture of transformers, and the checkpoints in other formats that map onto it.

    ``family`` is the name of the class without its suffix (``ViT`` → ``ViTForImageClassification``).
    ``config`` has the arguments of its config class. ``checkpoints`` maps a weights format (``pth``,
    ``npz``) to a function that reads such a checkpoint. ``may_differ`` names the entries of ``config``
    that a folder's own config.json decides; ``residual_ends`` the batch norms that synthetic weights damp.
    """

    def __init__(
        self,
        family: str,
        config: Dict[str, Any],
        checkpoints: Optional[Dict[str, Convert]] = None,
        may_differ: Sequence[str] = (),
        residual_ends: Sequence[str] = (),
    ) -> None:
        self._family = family
        self._config = config
        self._checkpoints = checkpoints or {}
        self._may_differ = may_differ
        self._residual_ends = residual_ends

    def build(
        self,
        weights_dir: Folder,
        weights_format: Optional[str],
        synthetic: bool,
        seed: int,
        attention: Optional[str] = None,
    ) -> Any:
        """The module in eval mode, fp32, on the CPU: ``module(input) -> (logits [B, classes],)``.

        ``weights_dir`` and ``weights_format`` (``huggingface``, ``pth``, ``npz``) name the weights; with
        ``synthetic`` they are ignored, and ``seed`` determines the weights. ``attention`` is ``eager``,
        ``sdpa`` (``eager`` where the architecture has no fused one) or None (the library's choice). Raises
        StageFailure (data).
        """
        attention = self._supported(attention)
        if synthetic:
            from harness.models import synthetic_weights

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

    def skeleton(self, attention: Optional[str] = None) -> Any:
        """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
        network = self._initialised(0, self._supported(attention))
        return self._module(network).requires_grad_(False)

    @staticmethod
    def save(module: Any, folder: Folder) -> None:
        """Write the module as a Hugging Face folder: config.json and model.safetensors."""
        module.network.save_pretrained(str(folder))

    def _classes(self) -> Tuple[Any, Any]:
        import transformers

        model_class = getattr(transformers, self._family + "ForImageClassification")
        return model_class, getattr(transformers, self._family + "Config")

    def _supported(self, attention: Optional[str]) -> Optional[str]:
        """``attention``, but ``eager`` where transformers has no fused one for the architecture (ResNet)."""
        fused = getattr(self._classes()[0], "_supports_sdpa", True)
        return "eager" if attention == "sdpa" and not fused else attention

    def _new_config(self, attention: Optional[str]) -> Any:
        config = self._classes()[1](**self._config)
        if attention is not None:
            config._attn_implementation = attention
        return config

    def _initialised(self, seed: int, attention: Optional[str]) -> Any:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._classes()[0](self._new_config(attention)).eval()

    def _pretrained(self, folder: Folder, attention: Optional[str]) -> Any:
        expected = {k: v for k, v in self._config.items() if k not in self._may_differ}
        return checkpoint.load_pretrained(self._classes()[0], folder, expected, attention)

    def _converted(
        self, folder: Folder, weights_format: Optional[str], attention: Optional[str]
    ) -> Any:
        convert = self._checkpoints.get(weights_format or "")
        if convert is None:
            known = ", ".join(["huggingface"] + sorted(self._checkpoints))
            message = "weights of format {!r} cannot be read, only {}".format(weights_format, known)
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
    def _module(network: Any) -> Any:
        import torch

        class Logits(torch.nn.Module):
            """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

            def __init__(self) -> None:
                super().__init__()
                self.network = network

            # Without types, which TorchScript would read.
            def forward(self, pixels):  # type: ignore[no-untyped-def]
                return (self.network(pixel_values=pixels).logits,)

        return Logits().eval()
