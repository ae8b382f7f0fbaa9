"""Deterministic DDIM (eta 0) in numpy: J. Song et al., Denoising Diffusion Implicit Models, equation (12)."""

import numpy as np


class Ddim:
    """The steps from noise to latents, as in diffusers' DDIMScheduler with the published constants.

    scaled_linear betas from ``beta_start`` to ``beta_end`` over ``train_timesteps``; leading spacing of steps
    without offset; samples not clipped; the last step goes to the first alpha.
    """

    def __init__(self, steps, train_timesteps, beta_start, beta_end):
        if not 1 <= steps <= train_timesteps:
            raise ValueError("{} steps, expected 1 to {}".format(steps, train_timesteps))
        betas = np.linspace(beta_start**0.5, beta_end**0.5, train_timesteps, dtype=np.float64) ** 2
        self._kept = np.cumprod(1.0 - betas)
        self._stride = train_timesteps // steps
        #: The timesteps in order, from noise to picture.
        self.timesteps = [number * self._stride for number in reversed(range(steps))]

    def step(self, noise, timestep, sample):
        """Return the sample one step closer to the picture; float32, any shape.

        ``noise`` is the model's prediction for ``sample`` at ``timestep``.
        """
        before = timestep - self._stride
        kept = self._kept[timestep]
        kept_before = self._kept[before] if before >= 0 else self._kept[0]
        # Scalars are combined in float64; the arrays stay in float32.
        ratio = (kept_before / kept) ** 0.5
        direction = (1 - kept_before) ** 0.5 - (1 - kept) ** 0.5 * ratio
        return np.float32(ratio) * sample + np.float32(direction) * noise
