"""Llama's architecture in torch on the CPU, from a Hugging Face folder: what serving engines' stand-ins compute with."""

import json
import os

from assay_standin import settings

#: Of each layer: keys and values, [heads, tokens, size] each.
NO_TOKENS = 0


class NoLlamaError(ValueError):
    """The folder has no model that can be read; the text says why."""


class Llama:
    """``folder`` with config.json and safetensors; parameters and activations in a torch dtype."""

    def __init__(self, folder, dtype):
        import torch

        torch.set_num_threads(settings.threads())
        self.config = read_config(folder)
        self.dtype = dtype
        self._weights = {name: tensor.to(dtype) for name, tensor in _tensors(folder).items()}
        heads = self.config["num_attention_heads"]
        self.layers = self.config["num_hidden_layers"]
        self.kv_heads = self.config.get("num_key_value_heads") or heads
        self.head_size = self.config.get("head_dim") or self.config["hidden_size"] // heads
        self.vocabulary = self.config["vocab_size"]

    def cached_elements(self):
        """Numbers that a token's keys and values take."""
        return 2 * self.layers * self.kv_heads * self.head_size

    def no_past(self):
        """The keys and values of a sequence without tokens."""
        import torch

        shape = (self.kv_heads, NO_TOKENS, self.head_size)
        return [torch.empty(shape, dtype=self.dtype) for _ in range(2 * self.layers)]

    def forward(self, tokens, pasts):
        """Append tokens (a list of lists of one length) to sequences whose pasts have one length, too.

        Returns the logits of each one's last token, float32 [n, vocabulary], and the new pasts.
        """
        import torch

        with torch.inference_mode():
            hidden = self._weights["model.embed_tokens.weight"][torch.tensor(tokens)]
            before = pasts[0][0].shape[1]
            rotary = self._rotary(before, hidden.shape[1])
            present = []
            for layer in range(self.layers):
                past = [torch.stack([one[2 * layer + n] for one in pasts]) for n in (0, 1)]
                hidden, keys, values = self._layer(layer, hidden, rotary, past)
                present += [keys, values]
            last = self._norm(hidden[:, -1], "model.norm")
            head = self._weights.get("lm_head.weight")
            if head is None or self.config.get("tie_word_embeddings"):
                head = self._weights["model.embed_tokens.weight"]
            logits = (last @ head.T).float()
        return logits, [[tensor[row] for tensor in present] for row in range(len(tokens))]

    def _layer(self, number, hidden, rotary, past):
        import torch

        prefix = "model.layers.{}.".format(number)
        attention = prefix + "self_attn."
        inner = self._norm(hidden, prefix + "input_layernorm")
        batch, count = inner.shape[:2]

        def heads(name):
            found = self._linear(inner, attention + name).view(batch, count, -1, self.head_size)
            return found.transpose(1, 2)

        query, key, value = (
            _turned(heads("q_proj"), rotary),
            _turned(heads("k_proj"), rotary),
            heads("v_proj"),
        )
        key, value = (torch.cat(pair, 2) for pair in zip(past, (key, value)))
        mask = torch.ones(count, key.shape[2], dtype=torch.bool).tril(key.shape[2] - count)
        found = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, enable_gqa=True
        )
        found = found.transpose(1, 2).reshape(batch, count, -1)
        hidden = hidden + self._linear(found, attention + "o_proj")
        inner = self._norm(hidden, prefix + "post_attention_layernorm")
        gate = torch.nn.functional.silu(self._linear(inner, prefix + "mlp.gate_proj"))
        up = self._linear(inner, prefix + "mlp.up_proj")
        return hidden + self._linear(gate * up, prefix + "mlp.down_proj"), key, value

    def _linear(self, inputs, name):
        return inputs @ self._weights[name + ".weight"].T

    def _norm(self, hidden, name):
        wide = hidden.float()
        scale = (wide.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"]).rsqrt()
        return (wide * scale).to(self.dtype) * self._weights[name + ".weight"]

    def _rotary(self, before, count):
        """Cosine and sine of the positions from ``before`` on, [count, size] each."""
        import torch

        found = self.config.get("rope_parameters") or {}
        theta = found.get("rope_theta") or self.config.get("rope_theta", 10000.0)
        steps = torch.arange(0, self.head_size, 2).float() / self.head_size
        positions = torch.arange(before, before + count).float()
        angles = positions[:, None] * (theta**-steps)[None]
        angles = torch.cat([angles, angles], dim=1)
        return angles.cos().to(self.dtype), angles.sin().to(self.dtype)


def _turned(heads, rotary):
    import torch

    cosine, sine = rotary
    half = heads.shape[-1] // 2
    other = torch.cat([-heads[..., half:], heads[..., :half]], dim=-1)
    return heads * cosine + other * sine


def read_config(folder):
    """config.json; NoLlamaError where it is none of Llama's."""
    path = os.path.join(folder, "config.json")
    if not os.path.isfile(path):
        raise NoLlamaError("{} has no config.json".format(folder))
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if found.get("architectures") != ["LlamaForCausalLM"]:
        raise NoLlamaError(
            "Model architectures {} are not supported for now.".format(found.get("architectures"))
        )
    return found


def _tensors(folder):
    from safetensors import safe_open

    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(folder, name), framework="pt") as file:
                names = file.keys()
                found.update((key, file.get_tensor(key)) for key in names)
    if not found:
        raise NoLlamaError("{} has no weights (*.safetensors)".format(folder))
    return found
