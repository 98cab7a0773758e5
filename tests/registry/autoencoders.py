"""Decoders that draw a line, a curve or a bent sheet; where they bend, the log-likelihood is a sum over a grid."""

import numpy as np

import emcore as em
from tests.registry.case import Case


def arc(n: int = 40, seed: int = 0) -> np.ndarray:
    """Points near two thirds of a circle, as a decoder with one latent variable can draw it."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.0, 1.3 * np.pi, n)
    return 1.5 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.2 * rng.standard_normal((n, 2))


def sheet(n: int = 24, seed: int = 0) -> np.ndarray:
    """Points near a saddle, as a decoder with two latent variables can draw it."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n))
    return np.column_stack([a, b, 0.5 * (a * a - b * b)]) + 0.3 * rng.standard_normal((n, 3))


CASES = [
    Case("vae-linear", em.VAE(2), sheet(40)),
    Case("vae-linear-held-noise", em.VAE(1, noise_variance=0.3), arc()),
    Case("vae-two-latents", em.VAE(2, 3, 0.2, weight_prior=2.0, m_steps=3), sheet(), closed_form=False),
    Case("vae", em.VAE(1, width=3, weight_prior=0.5, m_steps=4), arc(), closed_form=False),
    Case(
        "vae-held-noise", em.VAE(1, width=3, noise_variance=0.1, weight_prior=2.0, m_steps=4), arc(), closed_form=False
    ),
]
