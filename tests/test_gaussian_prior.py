"""The prior of Fraley & Raftery (2007): its density by scipy, its mode by direct optimisation and by their table."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import invgamma, invwishart, multivariate_normal, norm

import emcore as em
from emcore.parameters import Coordinates
from emcore.trace import pose

SHAPES = ("full", "tied", "diag", "spherical")
K, D = 2, 3
RNG = np.random.default_rng(2007)
X = np.concatenate([RNG.normal(0.0, [1.0, 0.5, 2.0], (20, D)), RNG.normal(3.0, [0.5, 1.0, 1.0], (15, D))])
HOLES = np.where(RNG.random(X.shape) < 0.15, np.nan, X)
HOLES[0] = X[0]


def problem_and_params(shape, x, strength=1.0):
    problem = pose(em.Mixture(em.Gaussian(shape, prior=em.FraleyRaftery(strength)), K), x)
    params = em.fit(em.Mixture(em.Gaussian(shape), K), x, restarts=1, max_iter=2, tol=0).params
    return problem, params


def log_prior_from_scipy(shape, prior, params):
    """μ_k | Σ_k ~ N(mean, Σ_k/κ), Σ_k ~ inverse Wishart(ν, Λ), or σ² ~ inverse gamma(ν/2, ς²/2); ν = d + 2."""
    nu, scatter, mean = D + 2, np.asarray(prior.scatter), np.asarray(prior.mean)
    covariances, total = params.covariances, 0.0
    if shape == "tied":
        total += invwishart(nu, scatter).logpdf(covariances)
        covariances = np.stack([covariances] * K)
    for k in range(K):
        if shape in ("full", "tied"):
            total += multivariate_normal(mean, covariances[k] / prior.count).logpdf(params.means[k])
        else:
            scale = np.sqrt(covariances[k] / prior.count)
            total += norm(mean, scale).logpdf(params.means[k]).sum()
        if shape == "full":
            total += invwishart(nu, scatter).logpdf(covariances[k])
        if shape == "diag":
            total += invgamma(nu / 2, scale=np.diag(scatter) / 2).logpdf(covariances[k]).sum()
        if shape == "spherical":
            total += invgamma(nu / 2, scale=np.trace(scatter) / 2).logpdf(covariances[k])
    return total


def moved(problem, params, seed):
    chart = Coordinates(problem.model, params)
    return chart.from_vector(chart.to_vector(params) + np.random.default_rng(seed).normal(0.0, 0.3, chart.size))


@pytest.mark.parametrize("shape", SHAPES)
def test_log_prior_is_scipys_up_to_a_constant(shape):
    problem, params = problem_and_params(shape, X)
    prior = problem.model.family.prior
    others = [moved(problem, params, seed) for seed in range(5)]
    ours = [problem.model.family.log_prior(p) for p in (params, *others)]
    theirs = [log_prior_from_scipy(shape, prior, p) for p in (params, *others)]
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("strength", [1.0, 4.0])
@pytest.mark.parametrize("x", [X, HOLES], ids=["complete", "holes"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_m_step_is_where_direct_optimisation_ends(shape, x, strength):
    """max of E_q log p(x, z) + strength · log prior (scipy's), from a start pushed away from the answer."""
    problem, params = problem_and_params(shape, x, strength)
    model = problem.model
    q = model.posterior(params, x)
    best = model.m_step(model.suff_stats(x, q), params)
    chart = Coordinates(model, best)

    def loss(vector):
        p = chart.from_vector(vector)
        penalty = strength * log_prior_from_scipy(shape, model.family.prior, p)
        return -(model.expected_log_joint(p, x, q).sum() + penalty) / len(x)

    start = chart.to_vector(moved(problem, best, 1))
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    at_best = chart.to_vector(best)
    assert loss(at_best) <= found.fun + 1e-10
    np.testing.assert_allclose(found.x, at_best, atol=2e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_m_step_is_the_papers_table(shape):
    """Divisors ν + d + n_k + 2, ν + d + n + k + 1, ν + n_k + 3 and ν + d(n_k + 1) + 2 of the paper."""
    problem, params = problem_and_params(shape, X)
    model, prior = problem.model, problem.model.family.prior
    q = model.posterior(params, X)
    new = model.m_step(model.suff_stats(X, q), params)
    n_k, nu, kappa = q.probs.sum(axis=0), D + 2, prior.count
    means = q.probs.T @ X / n_k[:, None]
    centre, scatter = np.asarray(prior.mean), np.asarray(prior.scatter)
    np.testing.assert_allclose(new.means, (n_k[:, None] * means + kappa * centre) / (n_k + kappa)[:, None], rtol=1e-12)
    shift = means - centre
    pulled = [kappa * n / (kappa + n) * np.outer(s, s) for n, s in zip(n_k, shift)]
    within = [(r[:, None] * (X - m)).T @ (X - m) for r, m in zip(q.probs.T, means)]
    both = [a + b for a, b in zip(pulled, within)]
    if shape == "full":
        expected = [(scatter + b) / (nu + D + n + 2) for b, n in zip(both, n_k)]
    if shape == "tied":
        expected = (scatter + sum(both)) / (nu + D + len(X) + K + 1)
    if shape == "diag":
        expected = [np.diag(scatter + b) / (nu + n + 3) for b, n in zip(both, n_k)]
    if shape == "spherical":
        expected = [np.trace(scatter + b) / (nu + D * (n + 1) + 2) for b, n in zip(both, n_k)]
    np.testing.assert_allclose(new.covariances, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("shape", ["full", "tied"])
def test_the_default_scale_with_holes_tends_to_that_of_whole_rows(shape):
    """One hole in 35 rows moves the scale a little; the scale without holes is cov(x)/k^(2/d) exactly."""
    pierced = X.copy()
    pierced[4, 1] = np.nan
    whole, near = (
        pose(em.Mixture(em.Gaussian(shape, "fraley-raftery"), K), x).model.family.prior for x in (X, pierced)
    )
    np.testing.assert_allclose(whole.scatter, np.cov(X.T) / K ** (2 / D), rtol=1e-12)
    np.testing.assert_allclose(near.scatter, whole.scatter, rtol=0.15, atol=0.1)
    lone = em.fit(em.MissingNormal(), pierced, restarts=1).params
    np.testing.assert_allclose(near.scatter, lone.covariance * 35 / 34 / K ** (2 / D), rtol=1e-6)


def test_collinear_columns_are_refused_with_the_default_prior_too():
    """Its scale would be as singular as the data."""
    with pytest.raises(ValueError, match="linearly dependent"):
        em.fit(em.Mixture(em.Gaussian("full", "fraley-raftery"), 2), np.c_[X, X.sum(axis=1)])
