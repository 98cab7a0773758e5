"""Gamma precisions and Student t errors against scipy, quadrature and direct optimisation."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from scipy.special import polygamma

import emcore as em
from emcore.families.gamma import GammaPosterior
from emcore.parameters import Coordinates
from tests.optima import agrees_with_direct_optimisation

RNG = np.random.default_rng(1989)
V = RNG.uniform(0.0, 10.0, (200, 1))
PLANE = np.column_stack([RNG.normal(size=(80, 2)), np.zeros(80)])
PLANE[:, 2] = 1.0 + PLANE[:, 0] - 2.0 * PLANE[:, 1] + RNG.standard_t(2, 80)


def test_gamma_entropy_and_divergence_are_integrals():
    q = GammaPosterior(np.array([0.4, 3.0, 40.0]), np.array([2.0, 0.7, 5.0]))
    p = GammaPosterior(np.array([0.45, 2.0, 41.0]), np.array([1.0, 0.9, 5.5]))
    for i in range(3):
        ours, theirs = (stats.gamma(g.shapes[i], scale=1.0 / g.rates[i]) for g in (q, p))
        assert q.entropy()[i] == pytest.approx(ours.entropy(), rel=1e-10)
        assert q.mean_log()[i] == pytest.approx(ours.expect(np.log), rel=1e-6)
        ratio = ours.expect(lambda u: ours.logpdf(u) - theirs.logpdf(u))  # noqa: B023
        assert q.kl(p)[i] == pytest.approx(ratio, rel=1e-6)


def test_a_tiny_gamma_divergence_keeps_its_digits():
    """Half the Fisher information times the squared step: ½ ψ'(a) da² in the shape, ½ a (db/b)² in the rate."""
    q = GammaPosterior(np.array([3.0]), np.array([2.0]))
    step = 2.0**-34
    assert q.kl(GammaPosterior(np.array([3.0 + step]), np.array([2.0])))[0] == pytest.approx(
        0.5 * polygamma(1, 3.0) * step**2, rel=1e-8
    )
    assert q.kl(GammaPosterior(np.array([3.0]), np.array([2.0 * (1 + step)])))[0] == pytest.approx(
        1.5 * step**2, rel=1e-8
    )


def test_student_t_densities_are_scipys():
    means, scales = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[[2.0, 0.6], [0.6, 1.0]], np.eye(2)])
    family = em.StudentT(2.5)
    x = RNG.normal(size=(20, 2)) * 5
    expected = [stats.multivariate_t(m, s, df=2.5).logpdf(x) for m, s in zip(means, scales)]
    params = family.check_params({"means": means, "covariances": scales}, 2, 2)
    np.testing.assert_allclose(family.log_prob(params, x), np.transpose(expected), rtol=1e-12)


def test_student_t_reaches_the_direct_optimum_alone_and_in_a_mixture():
    x = np.concatenate([stats.multivariate_t([0, 0], [[2, 1], [1, 1]], df=3, seed=1).rvs(120),
                        stats.multivariate_t([8, 3], [[1, 0], [0, 2]], df=3, seed=2).rvs(80)])  # fmt: skip
    agrees_with_direct_optimisation(em.fit(em.Mixture(em.StudentT(3), 1), x[:120], restarts=1))
    mixture = em.fit(em.Mixture(em.StudentT(3), 2), x, restarts=2)
    agrees_with_direct_optimisation(mixture)
    assert mixture.n_params == 11


def test_the_mode_of_student_t_under_a_prior_is_the_direct_one():
    x = stats.multivariate_t([0, 0], [[2, 1], [1, 1]], df=3, seed=1).rvs(40)
    fit = em.fit(em.Mixture(em.StudentT(3, prior=em.FraleyRaftery(4.0)), 1), x, restarts=1)
    model, rows, _ = fit.problem
    chart = Coordinates(model, fit.params)

    def objective(v):
        params = chart.from_vector(v)
        return -model.log_likelihood(params, rows).sum() - model.log_prior(params)

    found = optimize.minimize(objective, chart.to_vector(fit.params) + 0.1)
    assert found.fun == pytest.approx(-fit.objective, abs=1e-7)
    np.testing.assert_allclose(chart.from_vector(found.x).covariances, fit.params.covariances, rtol=1e-4)


def test_student_t_with_missing_cells_is_the_marginal_t():
    x = stats.multivariate_t([1, -1, 0], [[2, 1, 0], [1, 1, 0.3], [0, 0.3, 1]], df=3, seed=3).rvs(90)
    holes = np.where(np.random.default_rng(0).random(x.shape) < 0.2, np.nan, x)
    holes[:2] = [[np.nan, np.nan, np.nan], [1.0, np.nan, np.nan]]
    fit = em.fit(em.Mixture(em.StudentT(3), 1), holes, restarts=1)
    agrees_with_direct_optimisation(fit)
    _, means, scales = fit.params
    rows = fit.model.log_likelihood(fit.params, holes)
    for row, value in zip(holes, rows):
        o = np.flatnonzero(~np.isnan(row))
        marginal = stats.multivariate_t(means[0, o], scales[0][np.ix_(o, o)], df=3).logpdf(row[o]) if len(o) else 0.0
        assert value == pytest.approx(marginal, rel=1e-9, abs=1e-12)


def test_student_t_approaches_the_gaussian_and_bounds_an_outlier():
    x = np.concatenate([RNG.normal(size=(60, 2)), [[1e4, -1e4]]])
    heavy, normal = em.fit(em.Mixture(em.StudentT(1e7), 1), x[:60]), em.fit(em.Mixture(em.Gaussian(), 1), x[:60])
    np.testing.assert_allclose(heavy.params.covariances, normal.params.covariances, rtol=1e-5)
    assert heavy.log_likelihood == pytest.approx(normal.log_likelihood, abs=1e-4)
    robust = em.fit(em.Mixture(em.StudentT(2), 1), x)
    assert np.abs(robust.params.means).max() < 0.5
    assert robust.model.family.expected_precisions(robust.params, x)[-1, 0] < 1e-6


def test_student_t_settings_are_checked():
    for df in (0, -1.0, np.inf, "ML", None):
        with pytest.raises(ValueError, match="df must be"):
            em.StudentT(df)
    with pytest.raises(ValueError, match="scaled from the data"):
        em.StudentT(3, prior="fraley-raftery").mle(em.StudentT(3).suff_stats(np.eye(3), np.ones((3, 1))), None)


def test_t_regression_integrates_the_precision_out():
    fit = em.fit(em.TRegression(3.0), PLANE, restarts=1)
    beta, scale, _ = fit.params
    for row in PLANE[:3]:
        mean = beta[0] + row[:2] @ beta[1:]
        density, _ = integrate.quad(
            lambda u: stats.gamma(1.5, scale=1 / 1.5).pdf(u) * stats.norm(mean, scale / np.sqrt(u)).pdf(row[2]),  # noqa: B023
            0.0, np.inf,
        )  # fmt: skip
        assert fit.model.log_likelihood(fit.params, row[None])[0] == pytest.approx(np.log(density), rel=1e-6)


@pytest.mark.parametrize("df", [0.8, 4.0, None])
def test_t_regression_is_the_direct_optimum(df):
    fit = em.fit(em.TRegression(df), PLANE, restarts=2)
    agrees_with_direct_optimisation(fit, 1e-3)
    assert fit.n_params == 4 + (df is None)


def test_errors_no_heavier_than_normal_carry_df_to_its_bound_and_converge_there():
    x = np.column_stack([V, V[:, 0] + np.tile([-1.0, 1.0, -0.5, 0.5], 50)])
    fit = em.fit(em.TRegression(df_bounds=(0.1, 150.0)), x, restarts=1)
    assert fit.status is em.Status.CONVERGED
    assert fit.params.df == 150.0
    held = em.fit(em.TRegression(150.0), x, restarts=1)
    assert fit.log_likelihood == pytest.approx(held.log_likelihood, abs=1e-8)
    normal = em.fit(em.Mixture(em.LinearRegression(), 1), x)
    np.testing.assert_allclose(fit.params.coefficients, normal.params.coefficients[0], atol=1e-2)


def test_t_regression_settings_are_checked():
    assert em.TRegression("ML") == em.TRegression(None) == em.TRegression()
    for df in (0, -1.0, np.inf, "ml"):
        with pytest.raises(ValueError, match="df must be"):
            em.TRegression(df)
    with pytest.raises(ValueError, match="df_bounds"):
        em.TRegression(df_bounds=(2.0, 1.0))
    with pytest.raises(ValueError, match="holds df at 3"):
        em.fit(em.TRegression(3), PLANE, init={"coefficients": [0, 0, 0], "scales": 1.0, "df": 4})
    with pytest.raises(ValueError, match="outside df_bounds"):
        em.fit(em.TRegression(), PLANE, init={"coefficients": [0, 0, 0], "scales": 1.0, "df": 1e3})
    with pytest.raises(ValueError, match="no components"):
        em.fit(em.TRegression(3), PLANE, init=np.zeros(80))
    with pytest.raises(ValueError, match="init must be one of"):
        em.fit(em.TRegression(3), PLANE, init="best")


def test_a_few_rows_fitted_exactly_end_degenerate():
    """With df = 0.05, a line through half of the rows has a likelihood without bound (Fernández & Steel 1999)."""
    v = np.arange(20.0)
    y = np.where(v < 12, 2.0 + v, 40.0 + 5.0 * np.sin(v))
    fit = em.fit(em.TRegression(0.05), np.column_stack([v, y]), restarts=1, init="random-rows")
    assert fit.status is em.Status.DEGENERATE
    assert "passes exactly through" in fit.message
