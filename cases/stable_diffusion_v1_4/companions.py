"""Text encoder and VAE decoder around the UNet: fp32 on the CPU, in ONNX Runtime, else in torch.

The export writes both beside the UNet's graph, as ONNX and as Hugging Face folders:
``text_encoder/model.onnx``, ``vae/decoder.onnx``. They run on the host's processor in every vendor's
stack, as in the published runs, so that only the UNet differs.
"""

import re

import numpy as np
from harness.errors import StageFailure

NAMES = {"text_encoder": "model.onnx", "vae": "decoder.onnx"}
#: The first ONNX Runtime that can read opset 18, which companion_export writes; MacaRT is 1.12.
OLDEST_RUNTIME = (1, 14)


def load(folder, name, threads):
    """A callable array → array for ``name`` (``text_encoder`` or ``vae``) below ``folder``.

    text_encoder: token ids int64 [B, 77] → float32 [B, 77, 768]. vae: latents float32 [B, 4, 64, 64],
    divided by the VAE's scale → pictures float32 [B, 3, 512, 512] from -1 to 1. Raises StageFailure (image).
    """
    runtime = _version_of("onnxruntime")
    if runtime and reads_companions(runtime):
        return OnnxCompanion(folder / name / NAMES[name], threads)
    if _version_of("torch"):
        return TorchCompanion(folder / name, name)
    raise StageFailure(
        "image",
        "text encoder and VAE run on the CPU beside the UNet, but this stack has neither onnxruntime "
        "1.14 or later ({}) nor torch".format(
            "it has onnxruntime {}".format(runtime) if runtime else "it has none"
        ),
        "add onnxruntime (1.14 or later) to the stack's requirements.in, then: make lock, make images",
    )


def reads_companions(version):
    """Whether ONNX Runtime of this ``version`` (``1.12.0+mc2.19``) can read the exported companions."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= OLDEST_RUNTIME


class OnnxCompanion:
    """A companion in ONNX Runtime on the CPU, called with the graph's input for its output."""

    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # An arena would keep the gigabyte that decoding a picture needs, beside the UNet.
        options.enable_cpu_mem_arena = False
        # Threads that spin between calls would take the cores from whatever feeds the UNet.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self.description = "onnxruntime {} on the CPU, fp32".format(onnxruntime.__version__)

    def __call__(self, array):  # noqa: D102
        return self._session.run(None, {self._input: array})[0]


class TorchCompanion:
    """A companion in torch on the CPU; also needs transformers (text encoder) or diffusers (VAE)."""

    def __init__(self, folder, name):
        import torch
        from case import model

        build = {"text_encoder": model.text_encoder, "vae": model.vae_decoder}[name]
        try:
            self._module = build(folder)
        except ImportError as error:
            raise StageFailure(
                "image",
                "the stack has torch, but the {} also needs {}".format(name, error.name),
                "add onnxruntime (1.14 or later), or {}, to the stack's requirements.in".format(
                    error.name
                ),
            ) from error
        self.description = "torch {} on the CPU, fp32".format(torch.__version__)

    def __call__(self, array):  # noqa: D102
        import torch

        with torch.inference_mode():
            return self._module(torch.from_numpy(np.ascontiguousarray(array)))[0].numpy()


def _version_of(name):
    """The version of a package in this stack; None if it cannot be imported."""
    try:
        return __import__(name).__version__
    except ImportError:
        return None
