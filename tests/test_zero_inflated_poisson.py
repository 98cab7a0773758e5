"""Zero-inflated counts against direct optimisation and closed forms."""

from itertools import islice

import numpy as np
import pytest
from scipy import stats

import emcore as em
from emcore.models.glm import LOG, LOGIT, fit_glm
from tests.optima import agrees_with_direct_optimisation

RNG = np.random.default_rng(1992)


def zero_inflated(n=400):
    v = RNG.normal(size=(n, 2)) * [1.0, 30.0] + [0.0, 1000.0]
    structural = RNG.random(n) < stats.logistic.cdf(-0.5 + v[:, 0])
    counts = RNG.poisson(np.exp(0.5 + 0.4 * v[:, 0] - 0.01 * (v[:, 1] - 1000.0)))
    return np.column_stack([v, np.where(structural, 0, counts)]).astype(float), structural


def test_zero_inflated_poisson_is_the_direct_optimum_and_recovers():
    x, structural = zero_inflated()
    x[:, 1] = (x[:, 1] - 1000.0) / 30.0
    for model in (em.ZeroInflatedPoisson(), em.ZeroInflatedPoisson(inflation_predictors=(0,)),
                  em.ZeroInflatedPoisson((0, 1), ())):  # fmt: skip
        agrees_with_direct_optimisation(em.fit(model, x, restarts=1))
    fit = em.fit(em.ZeroInflatedPoisson(inflation_predictors=(0,)), x, restarts=1)
    np.testing.assert_allclose(fit.params.inflation, [-0.5, 1.0], atol=0.5)
    np.testing.assert_allclose(fit.params.coefficients, [0.5, 0.4, -0.3], atol=0.15)
    assert fit.n_params == 5
    assert (fit.responsibilities(x)[:, 1][structural] > 0).all()


def test_zero_inflated_poisson_does_not_mind_offsets_and_units():
    x, _ = zero_inflated()
    moved = x * [1.0, 1e-3, 1.0] + [1e4, 0.0, 0.0]
    one, two = (em.fit(em.ZeroInflatedPoisson(), rows, restarts=1) for rows in (x, moved))
    assert two.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(two.params.coefficients[1:] * [1.0, 1e-3], one.params.coefficients[1:], rtol=1e-4)


def test_zero_inflated_counts_alone_have_closed_form_steps():
    counts = np.repeat(np.arange(6.0), [50, 20, 15, 8, 5, 2])
    model = em.ZeroInflatedPoisson()
    start = {"inflation": [0.0], "coefficients": [0.0]}
    pi, rate = 0.5, 1.0
    for half in list(islice(em.steps(model, counts[:, None], start), 12))[1::2]:
        share = pi / (pi + (1 - pi) * np.exp(-rate))
        pi, rate = 50 * share / 100, counts.sum() / (100 - 50 * share)
        assert stats.logistic.cdf(half.params.inflation[0]) == pytest.approx(pi, rel=1e-9)
        assert np.exp(half.params.coefficients[0]) == pytest.approx(rate, rel=1e-9)


def test_no_excess_of_zeros_ends_degenerate_with_the_reason():
    counts = np.repeat(np.arange(8.0), [60, 140, 150, 80, 40, 20, 8, 2])[:, None]
    fit = em.fit(em.ZeroInflatedPoisson(), counts, restarts=1)
    assert fit.status is em.Status.DEGENERATE
    assert "the inflation runs off to infinity" in fit.message
    poisson = stats.poisson(counts.mean()).logpmf(counts).sum()
    assert fit.log_likelihood == pytest.approx(poisson, abs=1e-6)


def test_a_group_without_zeros_ends_degenerate_with_the_reason():
    group = np.repeat([0.0, 1.0], 100)
    counts = np.concatenate([np.where(RNG.random(100) < 0.4, 0, RNG.poisson(3.0, 100)), 1 + RNG.poisson(3.0, 100)])
    fit = em.fit(em.ZeroInflatedPoisson(predictors=()), np.column_stack([group, counts]), restarts=1)
    assert fit.status is em.Status.DEGENERATE
    assert "the inflation" in fit.message


def test_counts_without_zeros_or_with_nothing_else_are_refused():
    model = em.ZeroInflatedPoisson()
    for counts, words in (([[1.0], [2.0]], "no zero"), ([[0.0], [0.0]], "every count is 0"), ([[0.0], [1.5]], "whole")):
        with pytest.raises(ValueError, match=words):
            em.fit(model, np.array(counts))
    with pytest.raises(ValueError, match="has 1 predictor"):
        em.fit(em.ZeroInflatedPoisson(predictors=(1,)), np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="different column numbers"):
        em.ZeroInflatedPoisson(predictors=(0, 0))


def test_weighted_glms_are_the_direct_optima():
    v = RNG.normal(size=(60, 2))
    masses = RNG.uniform(0.5, 2.0, 60)
    for link, totals in ((LOGIT, masses * RNG.uniform(0.0, 1.0, 60)), (LOG, masses * RNG.poisson(2.0, 60))):
        beta = fit_glm(link, v, totals, masses, None, "test")
        design = np.column_stack([np.ones(60), v])
        score = design.T @ (totals - masses * link.mean(design @ beta))
        np.testing.assert_allclose(score, 0.0, atol=1e-9)
        far = fit_glm(link, v, totals, masses, beta + [3.0, -2.0, 4.0], "test")
        np.testing.assert_allclose(far, beta, rtol=1e-9)
