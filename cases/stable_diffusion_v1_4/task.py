"""A prompt → a picture: text encoder, 50 guided steps of the UNet, VAE; only the UNet runs on the chip."""

import threading

import numpy as np
from case import companions, noise, scheduler, tokens
from harness.errors import StageFailure
from harness.task import Task

LATENT = (4, 64, 64)
PICTURES_SHOWN = 4


class TextToImage(Task):
    """Classifier-free guidance over DDIM; ``case_options``: ``steps``, ``guidance``, ``seed``.

    Every prompt starts from the same noise, so that a picture does not depend on its batch. Text encoder and
    VAE are loaded when first needed, which is after the UNet.
    """

    def __init__(self, job):
        super().__init__(job)
        options, constants = job.case_options, job.preprocess
        self.steps_per_item = options["steps"]
        self._guidance = np.float32(options["guidance"])
        self._seed = options["seed"]
        self._vae_scale = np.float32(constants["vae_scale"])
        self._ddim = self._scheduler(options["steps"], constants)
        self._folder = self._companions_folder()
        self._tokenizer = self._make_tokenizer()
        self._companions = {}
        self._lock = threading.Lock()
        self._empty = None
        self._scorer = {}

    def prepare(self, payload):
        """A prompt in UTF-8 → {"token_ids": int64 [77]}."""
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError as error:
            message = "a prompt is not UTF-8 text: {}".format(error)
            raise StageFailure("data", message, "save the file of prompts as UTF-8") from error
        return {"token_ids": self._tokenizer.ids(text)}

    def core_inputs(self, inputs):
        """Return the UNet's inputs of the first step."""
        states = self._states(inputs["token_ids"])
        return self._unet_inputs(
            self._first_latents(len(states) // 2), self._ddim.timesteps[0], states
        )

    def run(self, infer, inputs):
        """Run all steps of a batch: {"latents": float32 [B, 4, 64, 64]}."""
        states = self._states(inputs["token_ids"])
        latents = self._first_latents(len(states) // 2)
        for timestep in self._ddim.timesteps:
            predicted = infer(self._unet_inputs(latents, timestep, states))["out_sample"]
            pairs = np.asarray(predicted, np.float32).reshape((-1, 2) + LATENT)
            free, guided = pairs[:, 0], pairs[:, 1]
            latents = self._ddim.step(free + self._guidance * (guided - free), timestep, latents)
        return {"latents": latents}

    def decode(self, outputs):
        """Latents float32 [B, 4, 64, 64] and, except for scoring, pictures uint8 [B, 512, 512, 3]."""
        latents = outputs["latents"]
        if self.job.stage == "score":
            return {"latents": latents}
        decoder = self._companion("vae")
        pictures = [decoder(row[None] / self._vae_scale)[0] for row in latents]
        return {"latents": latents, "pictures": np.stack([_as_bytes(p) for p in pictures])}

    def details(self):
        """Return what runs around the UNet."""
        described = {name: c.description for name, c in sorted(self._companions.items())}
        return dict(
            described,
            tokenizer=self._tokenizer.description,
            scheduler="DDIM, {} steps".format(self.steps_per_item),
            guidance=float(self._guidance),
            noise="seed {}, the same for every prompt".format(self._seed),
        )

    def score(self, predictions, labels):
        """Return the CLIP score, 0 to 100, of pictures and their prompts (``labels``: N texts)."""
        from case import clip_score

        judge = clip_score.ClipScore(self.job.weights_dir)
        self._scorer = judge.description
        return {"clip_score": judge.mean(predictions["pictures"], [str(text) for text in labels])}

    def agree(self, predictions, golden):
        """Compare latents with fp32's; with synthetic weights, a CLIP score of pictures is meaningless."""
        from hook import fidelity

        self._scorer = {
            "clip_score": "not computed: pictures or prompts are synthetic; latents are compared with fp32's"
        }
        cosine, _ = fidelity.compare(
            {"latents": predictions["latents"]}, {"latents": golden["latents"]}
        )
        return {"latent_cosine": cosine}

    def scorer(self):
        """Return the CLIP model with its digest, or why there is no score."""
        return self._scorer

    def illustrate(self, predictions, folder):
        """Write the first pictures, named after their items."""
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(predictions["pictures"][:PICTURES_SHOWN], start=1):
            Image.fromarray(pixels).save(str(folder / "{:06d}.png".format(number)))

    def _scheduler(self, steps, constants):
        try:
            return scheduler.Ddim(
                steps, constants["train_timesteps"], constants["beta_start"], constants["beta_end"]
            )
        except ValueError as error:
            raise StageFailure("data", "STEPS: {}".format(error), "for example STEPS=50") from error

    def _companions_folder(self):
        """Where the exported companions are; during the export, its own out folder."""
        made = self.job.model_dir
        return made if (made / "vae").is_dir() else self.job.out_dir / "model"

    def _make_tokenizer(self):
        if self.job.weights == "synthetic" or self.job.stage == "score":
            return tokens.HashedWords()
        return tokens.BytePairs(self._folder / "tokenizer")

    def _companion(self, name):
        # The decoding thread asks for the VAE, the inferring thread for the text encoder.
        with self._lock:
            if name not in self._companions:
                self._companions[name] = companions.load(self._folder, name, self.job.threads)
            return self._companions[name]

    def _states(self, token_ids):
        """float32 [2B, 77, 768]: for each prompt, the states of the empty prompt, then its own."""
        encoder = self._companion("text_encoder")
        if self._empty is None:
            self._empty = encoder(self._tokenizer.ids("")[None])
        own = encoder(np.ascontiguousarray(token_ids))
        return np.ascontiguousarray(
            np.stack([np.broadcast_to(self._empty, own.shape), own], axis=1).reshape(
                (-1,) + own.shape[1:]
            )
        )

    def _first_latents(self, count):
        return np.repeat(noise.normal(self._seed, (1,) + LATENT), count, axis=0)

    @staticmethod
    def _unet_inputs(latents, timestep, states):
        return {
            "sample": np.repeat(latents, 2, axis=0),
            # Not ascontiguousarray, which would turn a scalar into a vector.
            "timestep": np.array(timestep, np.int32),
            "encoder_hidden_states": states,
        }


def _as_bytes(picture):
    """float32 [3, H, W] from -1 to 1 → uint8 [H, W, 3]."""
    scaled = np.clip(picture / 2 + 0.5, 0, 1) * 255
    return np.rint(scaled).astype(np.uint8).transpose(1, 2, 0)


make_task = TextToImage
