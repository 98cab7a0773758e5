"""The laws under stress: any scale, offset, number of rows, features and components, drawn and then shrunk.

Every draw must keep the laws at every half-step, or end in words: an error of bad input, or a status that says why.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emcore as em
from emcore.numerics import total

FAMILIES = {
    "full": em.Gaussian("full"),
    "tied": em.Gaussian("tied"),
    "diag": em.Gaussian("diag"),
    "spherical": em.Gaussian("spherical"),
    "full-map": em.Gaussian("full", prior="fraley-raftery"),
    "student-t": em.StudentT(4.0),
    "poisson": em.Poisson(),
    "exponential": em.Exponential(),
    "bernoulli": em.Bernoulli(),
    "categorical": em.Categorical(4),
    "regression": em.LinearRegression(),
}
SOUND = (em.Status.CONVERGED, em.Status.MAX_ITER)
SCALES = st.sampled_from([1e-8, 1e-4, 1.0, 1e4, 1e8])
SEEDS = st.integers(0, 2**20)
SIZES = st.one_of(st.integers(1, 40), st.integers(41, 400), st.sampled_from([1_000, 10_000]))
HARD = settings(max_examples=8, deadline=None, derandomize=True)


def table(kind, n, d, scale, shift, seed):
    """n rows of d features with a few clusters, in the support of the family."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0.0, 3.0, (rng.integers(1, 6), d))
    x = centres[rng.integers(len(centres), size=n)] + rng.normal(size=(n, d)) * rng.uniform(0.2, 2.0, d)
    if kind == "poisson":
        return rng.poisson(np.exp(np.clip(x, -20.0, 5.0 + np.log10(scale))))
    if kind == "exponential":
        return np.exp(np.clip(x, -20.0, 20.0)) * scale
    if kind == "bernoulli":
        return (x > 0).astype(float)
    if kind == "categorical":
        return np.clip(np.round(x), 0, 3)
    return (x + shift) * scale


def hold_laws(fit):
    """Of a run that ended well: values are those of the params, halves climb, and log p = ELBO + KL at each."""
    model, x, weight = fit.problem
    rows = model.log_likelihood(fit.params, x)
    assert fit.log_likelihood == pytest.approx(total(rows, weight), rel=1e-9, abs=1e-9 * len(rows))
    assert all(np.isfinite(field).all() for field in fit.params)
    halves = fit.trace.halves
    # what log p is the small difference of: densities of so many cells in so small a unit, each of some size
    for half in halves:
        size = 1.0 + abs(half.log_likelihood) + len(rows)
        assert abs(half.log_likelihood - half.elbo - half.kl) <= 1e-9 * size, half
        assert half.kl >= 0.0
        if half.kind == "E":
            assert half.kl <= 1e-10 * size
    for before, after in pairwise(halves):
        assert after.objective >= before.objective - 1e-9 * (1.0 + abs(before.objective) + len(rows)), (before, after)
    last = halves[-1]
    assert last.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-8, abs=1e-8 * len(rows))
    q = model.posterior(fit.params, x)
    assert total(em.elbo(model, fit.params, x, q), weight) == pytest.approx(fit.log_likelihood, rel=1e-9, abs=1e-6)


def stress(model, x, **more):
    """A fit that holds the laws, or says in words why not."""
    try:
        fit = em.fit(model, x, restarts=1, max_iter=12, **more)
    except ValueError as error:
        said = str(error)  # an error of bad input explains itself
        if len(said.split()) <= 5:
            raise
        return
    assert np.isfinite(fit.log_likelihood)
    assert len(fit.message.split()) > 3
    if fit.status in SOUND:
        hold_laws(fit)
    else:
        assert fit.status is em.Status.DEGENERATE, fit.message


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.filterwarnings("error")
@HARD
@given(n=SIZES, d=st.integers(1, 50), k=st.integers(1, 20), scale=SCALES, shift=st.sampled_from([0.0, 1e3]), seed=SEEDS)
def test_mixtures(kind, n, d, k, scale, shift, seed):
    cap = 400_000  # cells of the (n, k, d) that the record of half-steps computes
    x = table(kind, min(n, max(1, cap // (d * k))), d, scale, shift, seed)
    stress(em.Mixture(FAMILIES[kind], k), x, seed=seed, init=("k-means++", "random-rows")[seed % 2])


@pytest.mark.parametrize("kind", ["diag", "poisson", "categorical"])
@pytest.mark.filterwarnings("error")
@settings(HARD, max_examples=5)
@given(
    n=st.integers(2, 400), d=st.integers(1, 8), k=st.integers(1, 6), scale=SCALES, cuts=st.integers(1, 4), seed=SEEDS
)
def test_chains(kind, n, d, k, scale, cuts, seed):
    x = table(kind, n, d, scale, 0.0, seed)
    lengths = np.diff(np.unique(np.r_[0, np.random.default_rng(seed).integers(0, n, cuts - 1), n]))
    stress(em.HMM(FAMILIES[kind], k), x, seed=seed, lengths=lengths)


LINES = {
    "factors": lambda d: em.FactorAnalysis(min(3, d - 1)),
    "ppca": lambda d: em.PPCA(min(3, d - 1)),
    "missing-normal": lambda d: em.MissingNormal(),
    "t-regression": lambda d: em.TRegression(5.0),
    "binary-factors": lambda d: em.BinaryFactors(2),
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.filterwarnings("error")
@HARD
@given(
    n=st.integers(1, 300), d=st.integers(2, 20), scale=SCALES, shift=st.sampled_from([0.0, 1e3]),
    hole=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_continuous_latents(kind, n, d, scale, shift, hole, seed):
    x = table("full", n, d, scale, shift, seed)
    if hole and kind in ("factors", "ppca", "missing-normal"):
        x[np.random.default_rng(seed).random(x.shape) < 0.1] = np.nan
    stress(LINES[kind](d), x, seed=seed)
