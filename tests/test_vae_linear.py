"""The linear autoencoder is probabilistic PCA: at its optimum the encoder's bound is tight (Lucas et al. 2019)."""

from itertools import islice

import numpy as np
import pytest

import emcore as em

IRIS = em.datasets.load("iris").drop("species").to_numpy()


def closed_form(x: np.ndarray, q: int) -> float:
    """log p(x) at the maximum of PPCA, from the eigenvalues of the covariance (Tipping & Bishop 1999, section 3.2)."""
    n, d = x.shape
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T, ddof=0)))[::-1]
    noise = values[q:].mean()
    log_det = np.log(values[:q]).sum() + (d - q) * np.log(noise)
    return -0.5 * n * (d * np.log(2 * np.pi) + log_det + d)


def test_its_exact_fit_is_ppcas():
    fit = em.fit(em.VAE(1, width=0), IRIS, restarts=2, seed=0)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(closed_form(IRIS, 1), abs=1e-7)
    assert fit.log_likelihood == pytest.approx(-470.669458321, abs=1e-7)


def test_a_linear_encoder_closes_the_gap_at_the_optimum():
    """One encoder shared by all rows is enough where the posterior's mean is linear in x: KL → 0, ELBO → log p(x)."""
    model = em.VAE(1, width=0)
    start = em.fit(model, IRIS, restarts=1, seed=0).params
    halves = list(islice(em.steps(model, IRIS, start, em.amortised()), 400))
    assert all(half.kl >= 0 for half in halves)
    last = halves[-2]
    assert last.kind == "E"
    assert halves[0].kl > 1.0  # the encoder starts away from the posterior, and learns by steps
    assert last.kl < 1e-3
    assert last.elbo == pytest.approx(closed_form(IRIS, 1), abs=2e-3)
