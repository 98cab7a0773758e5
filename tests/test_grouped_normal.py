"""Grouped normals against the normal distribution function, truncated normals, quadrature and direct optimisation."""

from itertools import product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import multinomial, norm, truncnorm

import emcore as em

RNG = np.random.default_rng(28)
EDGES = np.array([-np.inf, -1.0, 0.0, 0.5, 2.0, np.inf])
GROUPED = em.GroupedNormal(EDGES, 2)
G2 = GROUPED.check_params({"weights": [0.3, 0.7], "means": [-0.5, 1.5], "scales": [0.8, 1.3]}, np.zeros((1, 5)))
TABLE = np.array([[14, 22, 11, 31, 22]])


def test_grouped_likelihood_from_the_normal_distribution_function():
    mass = np.diff(norm.cdf(EDGES[:, None], G2.means, G2.scales), axis=0) @ G2.weights
    expected = multinomial.logpmf(TABLE[0], TABLE.sum(), mass / mass.sum())
    assert GROUPED.log_likelihood(G2, TABLE)[0] == pytest.approx(expected, rel=1e-12)


def test_grouped_e_step_moments_against_scipy():
    q = GROUPED.posterior(G2, TABLE)
    mean, variance = q.moments()
    for b, k in product(range(5), range(2)):
        low, high = ((EDGES[b + i] - G2.means[k]) / G2.scales[k] for i in (0, 1))
        cut = truncnorm(low, high, G2.means[k], G2.scales[k])
        assert mean[b, k] == pytest.approx(cut.mean(), rel=1e-9)
        assert variance[b, k] == pytest.approx(cut.var(), rel=1e-8)


def density(params, b, v):
    """Joint density of component and value given class b (k,)."""
    joint = params.weights * norm.pdf(v, params.means, params.scales)
    return joint / (params.weights @ np.diff(norm.cdf(EDGES[b : b + 2, None], params.means, params.scales), axis=0)[0])


def test_grouped_entropy_and_divergence_by_quadrature():
    other = G2._replace(means=np.array([-0.2, 1.0]), weights=np.array([0.5, 0.5]), scales=np.array([1.0, 0.9]))
    q, p = GROUPED.posterior(G2, np.eye(5)), GROUPED.posterior(other, np.eye(5))
    for b in range(5):
        ends = np.clip(EDGES[b : b + 2], -12.0, 12.0)

        def minus_log(v, b=b):
            return -(density(G2, b, v) * np.log(density(G2, b, v))).sum()

        def log_ratio(v, b=b):
            return (density(G2, b, v) * np.log(density(G2, b, v) / density(other, b, v))).sum()

        assert q.entropy()[b] == pytest.approx(quad(minus_log, *ends, epsabs=1e-12)[0], abs=1e-8)
        assert q.kl(p)[b] == pytest.approx(quad(log_ratio, *ends, epsabs=1e-12)[0], abs=1e-8)


def test_grouped_tail_classes_stay_exact():
    """Classes 30 scales out and 1e-6 wide: differences of Φ would be 0/0."""
    edges = (-np.inf, 0.0, 30.0, 30.000001, np.inf)
    model = em.GroupedNormal(edges)
    params = model.check_params({"weights": [1.0], "means": [0.0], "scales": [1.0]}, np.zeros((1, 4)))
    mean, _ = model.posterior(params, np.eye(4)).moments()
    rows = model.log_likelihood(params, np.eye(4))
    assert rows[2] == pytest.approx(norm.logpdf(30.0000005) + np.log(edges[3] - 30.0), abs=1e-9)
    assert rows[3] == pytest.approx(norm.logsf(30.000001), rel=1e-13)
    hazard = np.exp(norm.logpdf(30.000001) - norm.logsf(30.000001))
    assert mean[3, 0] == pytest.approx(hazard, rel=1e-12)
    assert mean[2, 0] == pytest.approx(30.0000005, abs=1e-10)


def test_grouped_maximum_against_direct_optimisation():
    edges, x = np.array([-np.inf, 160, 165, 170, 175, 180, np.inf]), np.array([[4, 12, 28, 31, 17, 8]])
    fit = em.fit(em.GroupedNormal(edges), x, restarts=1, tol=1e-16)

    def minus_log(theta):
        return -x[0] @ np.log(np.diff(norm.cdf(edges, theta[0], np.exp(theta[1]))))

    best = minimize(minus_log, [170.0, 2.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13})
    assert fit.params.means[0] == pytest.approx(best.x[0], rel=1e-8)
    assert fit.params.scales[0] == pytest.approx(np.exp(best.x[1]), rel=1e-6)


def test_narrow_classes_are_ungrouped_data():
    x = RNG.normal(5.0, 2.0, 400)
    edges = np.array([-np.inf, *np.arange(-5.0, 15.0, 0.002), np.inf])
    counts = np.histogram(x, edges)[0][None]
    fit = em.fit(em.GroupedNormal(edges), counts, restarts=1)
    assert fit.params.means[0] == pytest.approx(x.mean(), abs=1e-3)
    assert fit.params.scales[0] == pytest.approx(x.std(), abs=1e-3)


def test_simulated_classes_are_recovered():
    edges = np.array([-np.inf, *np.arange(-4.0, 6.0, 0.5), np.inf])
    model = em.GroupedNormal(edges, 2)
    truth = model.check_params({"weights": [0.4, 0.6], "means": [-1.5, 2.5], "scales": [0.7, 1.0]}, np.zeros((1, 21)))
    x, z = model.sample(truth, 20_000, np.random.default_rng(3))
    np.testing.assert_array_equal(x.argmax(axis=1), np.digitize(z, edges[1:-1], right=True))
    fit = em.fit(model, x.sum(axis=0)[None], restarts=3, seed=0)
    order = np.argsort(fit.params.means)
    for found, true in zip(fit.params, truth):
        np.testing.assert_allclose(found[order], true, rtol=0, atol=0.05)
    assert fit.n_params == 5


def test_grouped_components_can_be_classified_hard():
    """A start from responsibilities of classes; the hard E-step names one component for each class."""
    q = em.hard(GROUPED, G2, TABLE, None)
    np.testing.assert_array_equal(q.probs.sum(axis=1), np.ones(5))
    np.testing.assert_allclose(em.gap(GROUPED, G2, TABLE, q), q.kl(GROUPED.posterior(G2, TABLE)), rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: em.GroupedNormal((0.0, 1.0, 2.0, 3.0)), ValueError, "from -inf to inf"),
        (lambda: em.GroupedNormal((-np.inf, 1.0, 1.0, np.inf)), ValueError, "rise"),
        (lambda: em.GroupedNormal(EDGES, 0), ValueError, "at least 1"),
        (lambda: em.GroupedNormal(EDGES, 1.5), TypeError, "whole"),
        (lambda: em.fit(GROUPED, TABLE[0]), ValueError, r"x\[None, :\]"),
        (lambda: em.fit(GROUPED, TABLE[:, :3]), ValueError, "3 columns.*5 classes"),
        (lambda: em.fit(GROUPED, [[5, 9, 0, 0, 0]]), ValueError, "at least 4"),
        (lambda: em.fit(GROUPED, TABLE, init=G2._replace(scales=np.array([1.0, 0.0]))), ValueError, "scales"),
        (lambda: em.fit(GROUPED, TABLE, init=np.ones((5, 2))), ValueError, "init must be"),
    ],
)
def test_bad_grouped_normals(make, error, words):
    with pytest.raises(error, match=words):
        make()
