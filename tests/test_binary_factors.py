"""Binary factors against the enumeration of states, and the factorised posterior against its product."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import emcore as em
from emcore.posteriors import FactorisedPosterior

RNG = np.random.default_rng(28)
FACTORS = em.BinaryFactors(3)
X3 = RNG.normal(size=(25, 4)) * 2.0
P3 = FACTORS.check_params(
    {"probs": [0.3, 0.6, 0.5], "loadings": RNG.normal(size=(4, 3)), "mean": RNG.normal(size=4), "noise_variance": 0.7},
    X3,
)


def every_state():
    return np.array(list(product([0, 1], repeat=3)))[:, ::-1]  # state s has factor j at (s >> j) & 1


def test_binary_factors_by_enumeration_of_states():
    log_joint = np.empty((25, 8))
    for s, state in enumerate(every_state()):
        prior = np.prod(np.where(state, P3.probs, 1 - P3.probs))
        density = multivariate_normal(P3.mean + P3.loadings @ state, P3.noise_variance * np.eye(4))
        log_joint[:, s] = np.log(prior) + density.logpdf(X3)
    rows = np.log(np.exp(log_joint).sum(axis=1))
    np.testing.assert_allclose(FACTORS.log_likelihood(P3, X3), rows, rtol=1e-12)
    np.testing.assert_allclose(FACTORS.posterior(P3, X3).probs, np.exp(log_joint - rows[:, None]), rtol=1e-10)


def test_the_m_step_is_least_squares_on_the_completed_data():
    """Each row written out once per state, weighted by its probability."""
    q = FACTORS.posterior(P3, X3)
    found = FACTORS.m_step(FACTORS.suff_stats(X3, q), P3)
    weight = np.sqrt(q.probs.ravel())
    design = np.column_stack([np.tile(every_state(), (25, 1)), np.ones(200)])
    target = np.repeat(X3, 8, axis=0)
    solution = np.linalg.lstsq(design * weight[:, None], target * weight[:, None], rcond=None)[0]
    residuals = (target - design @ solution) * weight[:, None]
    np.testing.assert_allclose(found.loadings, solution[:3].T, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found.mean, solution[3], rtol=1e-9)
    np.testing.assert_allclose(found.noise_variance, (residuals**2).sum() / X3.size, rtol=1e-10)
    np.testing.assert_allclose(found.probs, (q.probs @ every_state()).mean(axis=0), rtol=1e-12)


def test_a_factorised_posterior_is_the_product_over_states():
    means = RNG.random((5, 3))
    means[0, 0], means[1, 2] = 0.0, 1.0
    q = FactorisedPosterior(means)
    expected = np.stack([np.where(state, means, 1 - means).prod(axis=1) for state in every_state()], axis=1)
    np.testing.assert_allclose(q.probs, expected, rtol=1e-14)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(expected * np.log(expected), axis=1)
    np.testing.assert_allclose(q.entropy(), entropy, rtol=1e-12)
    np.testing.assert_allclose(q.rows(slice(2, 4)).probs, expected[2:4])
    np.testing.assert_array_equal(q.with_probs(expected).probs, expected)


def test_the_gap_of_any_factorised_q_is_its_divergence():
    q = FactorisedPosterior(RNG.random((25, 3)))
    gap = em.gap(FACTORS, P3, X3, q)
    np.testing.assert_allclose(gap, q.kl(FACTORS.posterior(P3, X3)), rtol=1e-10)
    forms = em.elbo_forms(FACTORS, P3, X3, q)
    np.testing.assert_allclose(forms.reconstruction_minus_rate, forms.joint_plus_entropy, rtol=1e-11)


def test_mean_field_climbs_to_a_fixed_point_that_no_single_factor_can_better():
    q = FACTORS.mean_field(P3, X3, None, sweeps=0)
    np.testing.assert_allclose(q.means, np.tile(P3.probs, (25, 1)))
    bounds = [em.elbo(FACTORS, P3, X3, q)]
    for _ in range(200):
        q = FACTORS.mean_field(P3, X3, q, sweeps=1)
        bounds.append(em.elbo(FACTORS, P3, X3, q))
    for before, after in pairwise(bounds):
        assert (after >= before - 1e-12 * np.abs(before)).all()
    for j in range(3):
        for nudge in (-0.01, 0.01):
            means = q.means.copy()
            means[:, j] = np.clip(means[:, j] + nudge, 0.0, 1.0)
            rival = em.elbo(FACTORS, P3, X3, FactorisedPosterior(means))
            assert (bounds[-1] >= rival - 1e-10).all()
    assert bounds[-1].sum() < FACTORS.log_likelihood(P3, X3).sum()


def test_mean_field_is_exact_where_loadings_are_orthogonal():
    """Then the factors explain different residuals, and the posterior factorises in one sweep."""
    params = P3._replace(loadings=np.linalg.qr(P3.loadings)[0] * [1.0, 2.0, 0.5])
    q = FACTORS.mean_field(params, X3, None, sweeps=1)
    np.testing.assert_allclose(q.kl(FACTORS.posterior(params, X3)), 0.0, rtol=0, atol=1e-20)


def test_mean_field_starts_from_the_marginals_of_a_posterior_over_states():
    exact = FACTORS.posterior(P3, X3)
    q = FACTORS.mean_field(P3, X3, exact, sweeps=0)
    np.testing.assert_allclose(q.means, exact.probs @ every_state(), rtol=1e-12)


def test_simulated_factors_are_recovered():
    loadings = np.array([[3.0, 0.0, 1.0], [0.0, 3.0, 1.0], [2.0, 0.0, -2.0], [0.0, 1.0, 3.0]])
    truth = P3._replace(loadings=loadings, noise_variance=np.array(0.2))
    x, z = FACTORS.sample(truth, 1500, np.random.default_rng(2))
    assert set(np.unique(z)) == {0.0, 1.0}
    fit = em.fit(FACTORS, x, restarts=6, seed=1, tol=1e-9)
    # A factor and its complement explain alike: (loading, p) or (-loading, 1 - p).
    distance = np.abs(fit.params.loadings[:, :, None, None] - loadings[:, None, :, None] * [1.0, -1.0]).max(axis=0)
    order = distance.min(axis=2).argmin(axis=0)
    assert sorted(order) == [0, 1, 2]
    assert distance[order, [0, 1, 2]].min(axis=1).max() < 0.15
    flipped = distance[order, [0, 1, 2]].argmin(axis=1) == 1
    probs = fit.params.probs[order]
    np.testing.assert_allclose(np.where(flipped, 1 - probs, probs), truth.probs, rtol=0, atol=0.05)
    assert fit.log_likelihood >= FACTORS.log_likelihood(truth, x).sum()
    assert fit.n_params == 3 + 12 + 4 + 1


def test_binary_factors_do_not_feel_an_offset():
    one = em.fit(em.BinaryFactors(2), X3, restarts=1, seed=5, tol=0, max_iter=15)
    far = em.fit(em.BinaryFactors(2), X3 + 1e7, restarts=1, seed=5, tol=0, max_iter=15)
    np.testing.assert_allclose(far.params.loadings, one.params.loadings, rtol=1e-5, atol=1e-6)


def test_starts_of_binary_factors():
    model = em.BinaryFactors(2)
    chances = RNG.random((25, 2))
    by_factor = model.params_from_responsibilities(X3, chances)
    by_state = model.params_from_responsibilities(X3, FactorisedPosterior(chances).probs)
    for a, b in zip(by_factor, by_state):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    for method in ("k-means++", "random-rows", "random-responsibilities"):
        a, b = (em.fit(model, X3, init=method, restarts=1, seed=s, max_iter=1).params for s in (0, 1))
        assert not np.allclose(a.loadings, b.loadings)
    with pytest.raises(ValueError, match="chances of the factors"):
        em.fit(model, X3, init=np.zeros((25, 3)))


def test_factors_that_explain_everything_end_degenerate():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] * 3)
    with pytest.raises(ValueError, match="without any noise"):
        em.fit(em.BinaryFactors(2), x, init=x)
    with pytest.raises(ValueError, match="every row of x is the same"):
        em.fit(em.BinaryFactors(1), np.ones((5, 2)))


def test_a_factor_that_every_row_has_loads_nothing():
    """Its loading and the mean cannot be told apart: the smallest loading is taken, and the fit goes on."""
    model = em.BinaryFactors(2)
    fit = em.fit(model, X3, init=np.column_stack([X3[:, 0] > 0, np.ones(25)]), max_iter=10)
    assert fit.params.probs[1] == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(fit.params.loadings[:, 1], 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: em.BinaryFactors(13), "at most 12"),
        (lambda: em.BinaryFactors(0), "n_factors"),
        (lambda: em.BinaryFactors(True), "n_factors"),
        (lambda: em.BinaryFactors(2, prior=(1.0, -1.0)), "pseudo"),
        (lambda: em.fit(em.BinaryFactors(1), X3, init=P3), "probs must have shape"),
        (lambda: em.fit(FACTORS, X3, init=P3._replace(noise_variance=0.0)), "noise_variance"),
        (lambda: FACTORS.log_likelihood(P3, X3[:, :2]), "2 columns"),
    ],
)
def test_bad_binary_factors(make, words):
    with pytest.raises(ValueError, match=words):
        make()
