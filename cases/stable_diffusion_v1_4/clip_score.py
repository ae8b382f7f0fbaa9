"""CLIP score: how well a picture fits its prompt, by openai/clip-vit-large-patch14. Reference image only.

J. Hessel et al., CLIPScore, as in torchmetrics (and in the published runs): the mean of 100 · cos(picture,
text), not below 0. The folder of weights has the model in ``clip/`` and the tokenizer, which is that of the
text encoder, in ``tokenizer/``.
"""

import numpy as np
from case.tokens import BytePairs
from harness import files
from harness.models import checkpoint

SIDE = 224
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
BATCH = 8
MODEL = "openai/clip-vit-large-patch14"
PROJECTION = {"projection_dim": 768}


class ClipScore:
    """Computes the score; raises StageFailure (data) if ``weights_dir`` has no such model."""

    def __init__(self, weights_dir):
        import transformers

        folder = weights_dir / "clip"
        self._tokenizer = BytePairs(weights_dir / "tokenizer")
        self._model = checkpoint.load_pretrained(transformers.CLIPModel, folder, PROJECTION)
        self.description = {
            "clip_model": MODEL,
            "clip_sha256": files.sha256(folder / "model.safetensors"),
            "clip_parameters": sum(p.numel() for p in self._model.parameters()),
        }

    def mean(self, pictures, texts):
        """The score of pictures, uint8 [N, H, W, 3], against N texts: 0 to 100."""
        scores = [
            self._scores(pictures[start : start + BATCH], texts[start : start + BATCH])
            for start in range(0, len(pictures), BATCH)
        ]
        return max(float(np.concatenate(scores).mean()), 0.0)

    def _scores(self, pictures, texts):
        import torch

        pixels = torch.from_numpy(np.stack([prepared(picture) for picture in pictures]))
        tokens = torch.from_numpy(np.stack([self._tokenizer.ids(text) for text in texts]))
        with torch.inference_mode():
            found = self._model(input_ids=tokens, pixel_values=pixels)
        pairs = torch.nn.functional.cosine_similarity(found.image_embeds, found.text_embeds)
        return 100 * pairs.double().numpy()


def prepared(picture):
    """uint8 [H, W, 3] → float32 [3, 224, 224], as CLIPImageProcessor (shorter side, bicubic, centre crop)."""
    from harness.tasks.preprocessing import centre_cropped, normalisation_table, resized
    from PIL import Image

    image = centre_cropped(resized(Image.fromarray(picture), SIDE, "bicubic"), SIDE)
    pixels = np.asarray(image)
    table = normalisation_table(MEAN, STD)
    return np.stack([table[channel][pixels[:, :, channel]] for channel in range(3)])
