"""Decoders of one latent variable that draw a curve: the log-likelihood is a sum over a grid."""

import numpy as np

import emcore as em
from tests.registry.case import Case


def arc(n: int = 40, seed: int = 0) -> np.ndarray:
    """Points near two thirds of a circle, as a decoder with one latent variable can draw it."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.0, 1.3 * np.pi, n)
    return 1.5 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.2 * rng.standard_normal((n, 2))


CASES = [
    Case("vae", em.VAE(1, width=3, weight_prior=0.5, m_steps=4), arc(), closed_form=False),
    Case(
        "vae-held-noise", em.VAE(1, width=3, noise_variance=0.1, weight_prior=2.0, m_steps=4), arc(), closed_form=False
    ),
]
