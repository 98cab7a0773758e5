"""Random intercepts and gamma-Poisson counts against closed forms, scipy and direct optimisation."""

import numpy as np
import pytest
from scipy import stats

import emcore as em
from tests.optima import agrees_with_direct_optimisation

RNG = np.random.default_rng(1982)


def balanced(between, groups=8, rows=4):
    """A long table without predictors, its rows in no order."""
    group = np.repeat(np.arange(groups), rows)
    y = 5.0 + between * RNG.normal(size=groups)[group] + RNG.normal(size=groups * rows)
    return np.column_stack([10 * group + 3, y])[RNG.permutation(groups * rows)]


def analysis_of_variance(x):
    """ML of the balanced one-way layout, where the between variance is positive (Searle, Casella & McCulloch 1992)."""
    groups = [x[x[:, 0] == code, 1] for code in np.unique(x[:, 0])]
    n, k = len(groups[0]), len(groups)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (k * (n - 1))
    between = n * sum((g.mean() - x[:, 1].mean()) ** 2 for g in groups) / k
    return x[:, 1].mean(), (between - within) / n, within


def test_balanced_random_intercepts_have_a_closed_form():
    x = balanced(2.0)
    fit = em.fit(em.RandomIntercept(), x, restarts=2)
    mean, between, within = analysis_of_variance(x)
    assert fit.status is em.Status.CONVERGED
    assert fit.params.coefficients[0] == pytest.approx(mean, rel=1e-6)
    assert fit.params.group_scale**2 == pytest.approx(between, rel=1e-5)
    assert fit.params.scales**2 == pytest.approx(within, rel=1e-5)


def test_random_intercept_log_likelihood_is_scipys_normal():
    x = balanced(1.0, groups=3)
    model = em.RandomIntercept()
    params = model.check_params({"coefficients": [4.0], "scales": 1.3, "group_scale": 0.7}, model.check(x))
    covariance = 1.3**2 * np.eye(4) + 0.7**2
    expected = [stats.multivariate_normal(np.full(4, 4.0), covariance).logpdf(x[x[:, 0] == c, 1]) for c in (3, 13, 23)]
    np.testing.assert_allclose(model.log_likelihood(params, x), expected, rtol=1e-12)
    weighted = em.fit(model, x, restarts=1, weight=[2.0, 1.0, 1.0])
    repeated = em.fit(model, np.concatenate([x, x[x[:, 0] == 3] + [100, 0]]), restarts=1)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-7)


def test_unbalanced_random_intercepts_with_a_predictor_are_the_direct_optimum():
    group = np.sort(RNG.integers(0, 12, 70))
    v = RNG.normal(size=70)
    x = np.column_stack([group, v, 1.0 - v + 1.5 * RNG.normal(size=12)[group] + 0.6 * RNG.normal(size=70)])
    fit = em.fit(em.RandomIntercept(), x, restarts=1)
    agrees_with_direct_optimisation(fit, 1e-3)
    assert fit.n_params == 4


def test_groups_that_do_not_differ_converge_to_no_group_scale():
    x = balanced(0.0, groups=6, rows=5)
    x[:, 1] -= 0.9 * np.array([x[x[:, 0] == code, 1].mean() for code in x[:, 0]])
    assert analysis_of_variance(x)[1] < 0
    fit = em.fit(em.RandomIntercept(), x, restarts=1)
    assert fit.status is em.Status.CONVERGED
    assert fit.params.group_scale == 0.0
    assert fit.params.scales == pytest.approx(x[:, 1].std(), rel=1e-9)
    assert fit.log_likelihood == pytest.approx(stats.norm(x[:, 1].mean(), x[:, 1].std()).logpdf(x[:, 1]).sum())


def test_groups_that_cannot_be_told_from_rows_are_refused():
    model = em.RandomIntercept()
    for x, words in (
        ([[0, 1.0], [0, 2.0], [0, 4.0]], "1 group"),
        ([[0, 1.0], [1, 2.0], [2, 4.0]], "at most 1 row"),
        ([[0.5, 1.0], [0.5, 2.0], [1, 4.0]], "group codes"),
        ([[0.0], [1.0]], "one column"),
    ):
        with pytest.raises(ValueError, match=words):
            em.fit(model, np.array(x))
    exact = [[g, v, v + 3.0 * g**2] for g in range(4) for v in (0.0, 1.0, 2.0)]
    fit = em.fit(model, np.array(exact), restarts=1)
    assert fit.status is em.Status.DEGENERATE


def test_negative_binomial_is_scipys_and_the_direct_optimum():
    x = RNG.negative_binomial(1.5, 0.25, (200, 1)).astype(float)
    fit = em.fit(em.NegativeBinomial(), x, restarts=2)
    agrees_with_direct_optimisation(fit, 1e-3)
    m, s = fit.params
    assert m == pytest.approx(x.mean(), rel=1e-6)
    assert fit.log_likelihood == pytest.approx(stats.nbinom(s, s / (s + m)).logpmf(x).sum(), rel=1e-12)


def test_counts_no_more_variable_than_poisson_converge_at_the_bound():
    counts = np.repeat(np.arange(5.0), [4, 20, 30, 20, 4])[:, None]
    fit = em.fit(em.NegativeBinomial(shape_bounds=(1e-3, 300.0)), counts, restarts=1)
    assert fit.status is em.Status.CONVERGED
    assert fit.params.shapes == 300.0
    assert fit.log_likelihood == pytest.approx(stats.poisson(counts.mean()).logpmf(counts).sum(), abs=0.5)


def test_negative_binomial_input_is_checked():
    model = em.NegativeBinomial()
    for x, words in (([[0.0], [0.0]], "every count is 0"), ([[1.5]], "whole numbers"), ([[1.0, 2.0]], "2 columns")):
        with pytest.raises(ValueError, match=words):
            em.fit(model, np.array(x))
    with pytest.raises(ValueError, match="with a weight is 0"):
        em.fit(model, np.array([[0.0], [3.0]]), weight=[1.0, 0.0])
    with pytest.raises(ValueError, match="shape_bounds"):
        em.NegativeBinomial(shape_bounds=(0.0, 1.0))
