"""Stable Diffusion v1.4: the UNet is the model; text encoder and VAE decoder are its companions."""

import functools
import pathlib
import shutil

from harness.errors import StageFailure, one_line
from harness.models import checkpoint

UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
VAE = {
    "sample_size": 512,
    "latent_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": [128, 256, 512, 512],
}
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "vocab_size": 49408,
    "hidden_act": "quick_gelu",
}
TOKENIZER_FILES = ("vocab.json", "merges.txt")
#: Rows and columns of the latents for scaling synthetic weights; a sixteenth of the true latents.
CALIBRATION_SIDE = 16


def build(weights_dir, weights_format, synthetic, seed, attention=None):  # noqa: ARG001
    """The UNet in eval mode, fp32, on the CPU.

    ``module(sample [2B, 4, 64, 64], timestep [], encoder_hidden_states [2B, 77, 768]) -> (out_sample
    [2B, 4, 64, 64],)``. ``weights_dir`` has a folder ``unet/`` (diffusers' layout) or is such a folder; with
    ``synthetic``, ``seed`` determines the weights. ``attention``: ``eager``, ``sdpa`` or None (the library's
    choice). Raises StageFailure (data).
    """
    if synthetic:
        network = _synthetic_unet(seed)
    else:
        folder = pathlib.Path(weights_dir)
        inner = folder / "unet"
        network = _mapped_unet(inner if inner.is_dir() else folder)
    return _unet_module(network, attention)


def skeleton(attention=None):
    """The UNet with meaningless weights, on torch's default device (``meta`` to count operations)."""
    return _unet_module(_new_unet(), attention)


def save(module, folder):
    """Write the UNet as a diffusers folder: config.json and diffusion_pytorch_model.safetensors."""
    module.network.save_pretrained(str(folder))


def write_companions(job, folder):
    """Write text_encoder/, vae/ and tokenizer/ below ``folder``; return their description for the report.

    Both models are written as ONNX (opset 18, dynamic batch, compared with torch) and as Hugging Face folders.
    """
    from case import companion_export

    folder = pathlib.Path(str(folder))
    agreement = {}
    for name, make in (("text_encoder", _new_text_encoder), ("vae", _new_vae)):
        network = _companion(job, name, make)
        network.save_pretrained(str(folder / name))
        agreement[name] = companion_export.export(
            name, _module_of(name, network), folder, job.threads
        )
        del network
    if job.weights != "synthetic":
        _copy_tokenizer(job.weights_dir / "tokenizer", folder / "tokenizer")
    return agreement


def text_encoder(folder):
    """From a Hugging Face folder, the module token ids int64 [B, 77] → (states float32 [B, 77, 768],)."""
    import transformers

    network = checkpoint.load_pretrained(transformers.CLIPTextModel, folder, TEXT)
    return _module_of("text_encoder", network)


def vae_decoder(folder):
    """From a folder, the module latents float32 [B, 4, 64, 64] → (pictures float32 [B, 3, 512, 512],)."""
    from diffusers import AutoencoderKL

    return _module_of("vae", _pretrained(AutoencoderKL, pathlib.Path(folder), VAE))


def _companion(job, name, make):
    import torch

    if job.weights == "synthetic":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            return make()
    folder = job.weights_dir / name
    return {"text_encoder": text_encoder, "vae": vae_decoder}[name](folder).network


def _unet_class():
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel


def _new_unet():
    return _unet_class()(**UNET).eval()


def _synthetic_unet(seed):
    """Random weights whose predictions have unit variance, like the noise that a trained UNet predicts.

    Without this, the steps would hardly change the first latents, whatever the UNet predicts.
    """
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = _new_unet()
        side = CALIBRATION_SIDE
        sample = torch.randn(1, UNET["in_channels"], side, side)
        states = torch.randn(1, TEXT["max_position_embeddings"], UNET["cross_attention_dim"])
        _scale_last(network.conv_out, network(sample, 500, states).sample)
    return network


def _new_text_encoder():
    import transformers

    return transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT)).eval()


def _new_vae():
    import torch
    from diffusers import AutoencoderKL

    stages = len(VAE["block_out_channels"])
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        **VAE,
    ).eval()
    with torch.no_grad():
        latents = torch.randn(1, VAE["latent_channels"], CALIBRATION_SIDE, CALIBRATION_SIDE)
        # This standard deviation, one half, fills the range of a picture, -1 to 1.
        _scale_last(network.decoder.conv_out, 2 * network.decode(latents).sample)
    return network


def _mapped_unet(folder):
    """The UNet with the file's own tensors: nothing is initialised first, so 3.4 GB are in memory only once."""
    import safetensors.torch
    import torch

    path = folder / "diffusion_pytorch_model.safetensors"
    config = _config(_unet_class(), folder, UNET)
    with torch.device("meta"):
        network = _unet_class().from_config(config)
    try:
        state = safetensors.torch.load_file(str(path))
    except Exception as error:  # the reader has its own exception for a truncated file
        raise _unreadable(path, error) from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    checkpoint.require_state(str(path), state, expected)
    network.load_state_dict(state, assign=True)
    return network.float().eval()


def _scale_last(convolution, output):
    scale = 1 / float(output.std())
    convolution.weight.mul_(scale)
    convolution.bias.mul_(scale)


def _pretrained(model_class, folder, expected):
    """A diffusers model from ``folder``, fp32, strict; StageFailure (data) if the weights do not match.

    Unlike the reader of tensors, the library knows the names of older versions.
    """
    _config(model_class, folder, expected)
    try:
        network, info = model_class.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # diffusers raises whatever its readers raise
        raise _unreadable(folder, error) from error
    misshapen = [str(entry[0]) for entry in info["mismatched_keys"]]
    checkpoint.refuse_differences(
        str(folder), sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), misshapen
    )
    return network.float().eval()


def _config(model_class, folder, expected):
    """Read config.json of ``folder``, which must have the values of ``expected``."""
    if not (folder / "config.json").is_file():
        # diffusers would treat the path as a name on the hub.
        raise StageFailure("data", "{} has no config.json".format(folder), checkpoint.REMEDY)
    try:
        config = model_class.load_config(str(folder), local_files_only=True)
    except Exception as error:
        raise _unreadable(folder / "config.json", error) from error
    _require_same(folder, config, expected)
    return config


def _unreadable(path, error):
    if isinstance(error, (MemoryError, ImportError)):
        raise error
    message = "{} cannot be read: {}".format(path, one_line(error, limit=300))
    return StageFailure("data", message, checkpoint.REMEDY)


def _require_same(folder, found, expected):
    wrong = [
        "{} {!r} instead of {!r}".format(name, found.get(name), value)
        for name, value in expected.items()
        if _plain(found.get(name)) != value
    ]
    if wrong:
        message = "{} describes another architecture: {}".format(folder, "; ".join(wrong))
        raise StageFailure("data", message, checkpoint.REMEDY)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _copy_tokenizer(source, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(str(source / name), str(folder / name))


def _unet_module(network, attention):
    import torch

    if attention == "eager":
        _spell_attention_out(network)

    class Unet(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, sample, timestep, encoder_hidden_states):
            return (self.network(sample, timestep, encoder_hidden_states, return_dict=False)[0],)

    return Unet().eval().requires_grad_(False)


def _spell_attention_out(network):
    """Compute attention as matrix products, for exporters that support nothing else.

    The library's version adds them to an uninitialised tensor times 0. A tracing exporter writes that tensor
    into the graph: a gigabyte for each attention over the whole picture.
    """
    from diffusers.models.attention_processor import Attention, AttnProcessor

    network.set_attn_processor(AttnProcessor())
    for module in network.modules():
        if isinstance(module, Attention):
            module.get_attention_scores = functools.partial(_scores, module.scale)


def _scores(scale, query, key, attention_mask=None):
    """Attention probabilities [B × heads, queries, keys]; this UNet has no masks."""
    if attention_mask is not None:
        raise NotImplementedError("attention with a mask")
    return (query @ key.transpose(-1, -2) * scale).softmax(dim=-1)


def _module_of(name, network):
    import torch

    class TextEncoder(torch.nn.Module):
        """Token ids → the last layer's states."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, token_ids):
            return (self.network(input_ids=token_ids).last_hidden_state,)

    class VaeDecoder(torch.nn.Module):
        """Latents → picture."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, latents):
            return (self.network.decode(latents, return_dict=False)[0],)

    kind = {"text_encoder": TextEncoder, "vae": VaeDecoder}[name]
    return kind().eval().requires_grad_(False)
