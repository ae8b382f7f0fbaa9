"""Decoder-only language models of Hugging Face, with the past's keys and values as inputs and outputs."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from harness.models import checkpoint, half_weights
from harness.models.checkpoint import Folder

#: Spread of the logits that synthetic weights give; a fresh head's would be within bf16's rounding errors.
SYNTHETIC_SPREAD = 4.0


class HuggingFaceDecoder:
    """An architecture of transformers. ``family``: the class without its suffix (``Llama`` → ``LlamaForCausalLM``).

    ``config`` has the arguments of its config class; ``may_differ`` names the entries that a folder's own
    config.json decides. ``stored`` is for large models: their weights stay in 16 bits, as ``half_weights`` says, and
    synthetic ones are of this torch dtype.
    """

    def __init__(
        self,
        family: str,
        config: Dict[str, Any],
        may_differ: Sequence[str] = (),
        stored: Optional[str] = None,
    ) -> None:
        self._family = family
        self._config = config
        self._may_differ = may_differ
        self._stored = stored

    def build(
        self,
        weights_dir: Folder,
        weights_format: Optional[str],  # noqa: ARG002
        synthetic: bool,
        seed: int,
        attention: Optional[str] = None,
    ) -> Any:
        """The module in eval mode, fp32, on the CPU: ``module(tokens, *past) -> (logits, *present)``.

        ``tokens``: int64 [B, S]. ``past``: key and value of each layer in turn, each [B, heads, P, size]; P may be 0.
        ``logits`` of the last token: [B, vocabulary]. ``present``: as ``past``, with P + S positions.
        With ``synthetic``, ``seed`` determines the weights; ``attention`` is ``eager``, ``sdpa`` or None (the
        library's choice). Raises StageFailure (data).
        """
        if self._stored is not None:
            network = self._half(weights_dir, synthetic, seed, attention)
        elif synthetic:
            network = self._initialised(seed, attention)
            _make_past_matter(network, seed)
        else:
            network = checkpoint.load_pretrained(
                self._classes()[0], weights_dir, self._expected(), attention
            )
        return _module(network).requires_grad_(False)

    def _half(
        self, weights_dir: Folder, synthetic: bool, seed: int, attention: Optional[str]
    ) -> Any:
        model_class, config_class = self._classes()
        if synthetic:
            config = config_class(**self._config)
        else:
            config = checkpoint.read_config(model_class, weights_dir, self._expected())
        if attention is not None:
            config._attn_implementation = attention
        network = half_weights.skeleton(model_class, config)
        if synthetic:
            half_weights.draw(network, seed, str(self._stored), SYNTHETIC_SPREAD)
        else:
            half_weights.load(network, weights_dir)
        return network

    def _expected(self) -> Dict[str, Any]:
        return {k: v for k, v in self._config.items() if k not in self._may_differ}

    def skeleton(self, attention: Optional[str] = None) -> Any:
        """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
        return _module(self._initialised(0, attention)).requires_grad_(False)

    def save(self, module: Any, folder: Folder) -> None:
        """Write the module as a Hugging Face folder: config.json and model.safetensors."""
        if self._stored is not None:
            half_weights.save(module.network, folder)
        else:
            module.network.save_pretrained(str(folder))

    def _classes(self) -> Tuple[Any, Any]:
        import transformers

        model_class = getattr(transformers, self._family + "ForCausalLM")
        return model_class, getattr(transformers, self._family + "Config")

    def _initialised(self, seed: int, attention: Optional[str]) -> Any:
        import torch

        model_class, config_class = self._classes()
        config = config_class(**self._config)
        if attention is not None:
            config._attn_implementation = attention
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return model_class(config).eval()


class Past:
    """The keys and values of earlier tokens, as the layers of transformers ask for them."""

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors: List[Any] = list(tensors)

    # What the library passes besides differs between its versions.
    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> Tuple[Any, Any]:
        """Append a layer's keys and values, each [B, heads, S, size]; returns all of them."""
        import torch

        for place, new in ((2 * layer, keys), (2 * layer + 1, values)):
            self.tensors[place] = torch.cat([self.tensors[place], new], dim=2)
        return self.tensors[2 * layer], self.tensors[2 * layer + 1]

    # A symbol while the model is exported, so no int.
    def get_seq_length(self, *_: Any) -> Any:
        """Tokens before those of this call."""
        return self.tensors[0].shape[2]


def causal_mask(positions: Any, count: int, dtype: Any) -> Any:
    """Added to attention, [1, 1, S, count]: 0 where a token sees another one, else very negative.

    ``positions`` of the tokens: int64 [S]; ``count`` of all tokens.
    """
    import torch

    keys = torch.arange(count, device=positions.device)
    # Not -inf: a row of it would be NaN. -65504 is the smallest number of fp16.
    return torch.where(keys[None, :] <= positions[:, None], 0.0, -65504.0).to(dtype)[None, None]


def _make_past_matter(network: Any, seed: int) -> None:
    """Draw the layers' weights so that each layer adds as much as its input: logits then depend on all tokens.

    With transformers' own, the last token alone decides, and an engine that lost its past would not be noticed. The
    head is scaled so that the logits of a token differ clearly; its input is normalised.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    head = network.lm_head.weight
    with torch.no_grad():
        for layer in network.model.layers.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.normal_(0.0, layer.in_features**-0.5, generator=generator)
        head.mul_(SYNTHETIC_SPREAD / head.norm(dim=1).mean())


def _module(network: Any) -> Any:
    import torch

    class Step(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def _apply(self, *given: Any, **options: Any) -> Any:
            # In bf16 the frequencies of positions would be wrong by whole turns after some hundred tokens.
            rotary = self.network.model.rotary_emb
            kept = rotary.inv_freq.float()
            super()._apply(*given, **options)
            rotary.inv_freq = kept.to(rotary.inv_freq.device)
            return self

        # Without types, which an exporter would read.
        def forward(self, tokens, *past):  # type: ignore[no-untyped-def]
            kept = Past(past)
            before = kept.get_seq_length()
            count = before + tokens.shape[1]
            positions = torch.arange(before, count, device=tokens.device)
            inner = self.network.model
            # Tables of 16 bits are converted too; what follows is computed in the dtype of this layer.
            embedded = inner.embed_tokens(tokens).to(inner.norm.weight.dtype)
            hidden = inner(
                inputs_embeds=embedded,
                attention_mask=causal_mask(positions, count, embedded.dtype),
                position_ids=positions[None, :],
                past_key_values=kept,
                use_cache=True,
            ).last_hidden_state
            return (self.network.lm_head(hidden[:, -1]), *kept.tensors)

    return Step().eval()
