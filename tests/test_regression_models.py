"""Families of regressions and waiting times, and what all regression models share, against independent answers."""

import numpy as np
import polars as pl
import pytest
from scipy import optimize, stats

import emcore as em
from emcore.parameters import Coordinates
from tests.optima import agrees_with_direct_optimisation

RNG = np.random.default_rng(1977)
V = RNG.uniform(0.0, 10.0, (200, 1))
SIDE = RNG.random(200) < 0.4
CROSSING = np.column_stack(
    [V, np.where(SIDE, 10.0 - V[:, 0], 1.0 + 1.5 * V[:, 0]) + RNG.normal(0.0, np.where(SIDE, 0.5, 1.0))]
)
PLANE = np.column_stack([RNG.normal(size=(80, 2)), np.zeros(80)])
PLANE[:, 2] = 1.0 + PLANE[:, 0] - 2.0 * PLANE[:, 1] + RNG.standard_t(2, 80)


def test_exponential_densities_are_scipys_and_one_component_is_the_closed_form():
    x = RNG.exponential(3.0, (50, 2))
    fit = em.fit(em.Mixture(em.Exponential(), 1), x)
    np.testing.assert_allclose(fit.params.rates, 1.0 / x.mean(axis=0)[None])
    expected = stats.expon(scale=x.mean(axis=0)).logpdf(x).sum()
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-12)
    x[3, 1] = np.nan
    holed = em.fit(em.Mixture(em.Exponential(), 1), x)
    np.testing.assert_allclose(holed.params.rates, 1.0 / np.nanmean(x, axis=0)[None])


def test_exponential_mixture_is_the_direct_optimum():
    x = np.concatenate([RNG.exponential(1.0, 150), RNG.exponential(12.0, 100)])[:, None]
    agrees_with_direct_optimisation(em.fit(em.Mixture(em.Exponential(), 2), x, restarts=3))


def test_exponential_prior_moves_the_mode_as_pseudo_events_do():
    x = RNG.exponential(3.0, (20, 1))
    fit = em.fit(em.Mixture(em.Exponential(prior=(4.0, 10.0)), 1), x)
    assert fit.params.rates.item() == pytest.approx(24.0 / (x.sum() + 10.0))
    assert fit.objective == pytest.approx(fit.log_likelihood + fit.model.log_prior(fit.params))


def test_one_regression_is_least_squares():
    model = em.Mixture(em.LinearRegression(), 1)
    fit = em.fit(model, PLANE)
    design = np.column_stack([np.ones(len(PLANE)), PLANE[:, :2]])
    beta, squares, *_ = np.linalg.lstsq(design, PLANE[:, 2])
    np.testing.assert_allclose(fit.params.coefficients[0], beta, rtol=1e-10)
    scale = np.sqrt(squares[0] / len(PLANE))
    assert fit.params.scales.item() == pytest.approx(scale, rel=1e-10)
    assert fit.log_likelihood == pytest.approx(stats.norm(design @ beta, scale).logpdf(PLANE[:, 2]).sum(), rel=1e-12)
    assert fit.n_params == 4
    through = em.fit(em.Mixture(em.LinearRegression(intercept=False), 1), PLANE)
    np.testing.assert_allclose(through.params.coefficients[0], np.linalg.lstsq(PLANE[:, :2], PLANE[:, 2])[0])
    assert through.n_params == 3


def test_a_regression_without_predictors_is_a_normal_mixture():
    y = np.concatenate([RNG.normal(0.0, 1.0, 60), RNG.normal(6.0, 2.0, 40)])[:, None]
    ours = em.fit(em.Mixture(em.LinearRegression(), 2), y)
    normal = em.fit(em.Mixture(em.Gaussian("full"), 2), y)
    assert ours.log_likelihood == pytest.approx(normal.log_likelihood, abs=1e-7)
    assert ours.n_params == normal.n_params == 5


@pytest.mark.parametrize("init", ["k-means++", "random-rows", "random-responsibilities"])
def test_crossing_lines_are_found_from_every_kind_of_start(init):
    fit = em.fit(em.Mixture(em.LinearRegression(), 2), CROSSING, init=init)
    agrees_with_direct_optimisation(fit)
    order = np.argsort(fit.params.coefficients[:, 1])
    np.testing.assert_allclose(fit.params.coefficients[order], [[10.0, -1.0], [1.0, 1.5]], atol=0.4)
    np.testing.assert_allclose(fit.params.scales[order], [0.5, 1.0], atol=0.2)
    assert (fit.predict(CROSSING) == order[1 - SIDE]).mean() > 0.85


def test_an_offset_of_the_predictors_costs_no_digits():
    far = CROSSING + np.array([1e6, 0.0])
    near, away = (em.fit(em.Mixture(em.LinearRegression(), 2), x, init=SIDE.astype(int)) for x in (CROSSING, far))
    np.testing.assert_allclose(away.params.coefficients[:, 1], near.params.coefficients[:, 1], rtol=1e-6)
    np.testing.assert_allclose(away.params.scales, near.params.scales, rtol=1e-6)
    assert away.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("noise", [1e-3, 1e-5, 1e-7])
def test_a_nearly_exact_fit_keeps_its_digits(noise):
    """Residuals of a ten-millionth of the response: their sum of squares is not a difference of large numbers."""
    error = RNG.normal(size=200)
    x = np.column_stack([V, 5.0 - 2.0 * V[:, 0] + noise * error])
    fit = em.fit(em.Mixture(em.LinearRegression(), 1), x)
    assert fit.status is em.Status.CONVERGED
    design = np.column_stack([np.ones(200), V])
    left = error - design @ np.linalg.lstsq(design, error)[0]
    assert fit.params.scales.item() == pytest.approx(noise * np.sqrt(np.mean(left**2)), rel=1e-7)
    two = em.fit(em.Mixture(em.LinearRegression(), 2), x, restarts=2)
    assert two.status in (em.Status.CONVERGED, em.Status.DEGENERATE)


def test_a_row_without_its_response_says_nothing():
    holed = np.concatenate([CROSSING, [[3.0, np.nan], [-40.0, np.nan]]])
    model = em.Mixture(em.LinearRegression(), 2)
    whole, fit = (em.fit(model, x, restarts=2) for x in (CROSSING, holed))
    assert fit.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(fit.responsibilities(holed)[-2:], np.tile(fit.params.weights, (2, 1)), rtol=1e-12)


def test_the_mode_under_a_prior_is_that_of_the_penalised_likelihood():
    fit = em.fit(em.Mixture(em.LinearRegression(prior=em.RegressionPrior(rows=5.0, ridge=20.0)), 2), CROSSING)
    model, x, _ = fit.problem
    chart = Coordinates(model, fit.params)

    def objective(v):
        params = chart.from_vector(v)
        return -model.log_likelihood(params, x).sum() - model.log_prior(params)

    start = chart.to_vector(fit.params)
    assert optimize.minimize(objective, start + 0.05).fun == pytest.approx(-fit.objective, abs=1e-6)
    plain = em.fit(em.Mixture(em.LinearRegression(), 2), CROSSING)
    assert np.abs(fit.params.coefficients[:, 1]).sum() < np.abs(plain.params.coefficients[:, 1]).sum()


def test_a_plane_through_its_rows_ends_degenerate_and_a_prior_prevents_it():
    exact = np.column_stack([V, np.where(SIDE, 10.0 - V[:, 0], 1.0 + 1.5 * V[:, 0])])
    model = em.Mixture(em.LinearRegression(), 2)
    fit = em.fit(model, exact, init=SIDE.astype(int) * 0 + (np.arange(200) % 3 == 0), restarts=1)
    assert fit.status is em.Status.DEGENERATE
    assert "collapsed" in fit.message
    held = em.fit(em.Mixture(em.LinearRegression(prior=em.RegressionPrior()), 2), exact, restarts=2)
    assert held.status is em.Status.CONVERGED


def with_columns(*columns):
    return np.column_stack([np.arange(10.0), *columns, RNG.normal(size=10)])


BAD_REGRESSIONS = [
    ("missing-predictor", np.array([[1.0, 0.0], [np.nan, 1.0]]), "predictor column 0 of x is missing at row 1"),
    ("collinear", with_columns(3.0 - 2.0 * np.arange(10.0)), "predictor column 1 of x is collinear"),
    ("constant", with_columns(np.full(10, 1e6)), "predictor column 1 of x is collinear"),
    ("few-rows", PLANE[:3], "at least 4 rows"),
    ("no-response-column", np.zeros((5, 0)), "empty"),
    ("constant-response", np.column_stack([np.arange(9.0), np.full(9, 7.0)]), "likelihood grows without bound"),
    ("exact-plane", np.column_stack([np.arange(9.0), 1.0 - np.arange(9.0)]), "exact linear function"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "words"), [row[1:] for row in BAD_REGRESSIONS], ids=[row[0] for row in BAD_REGRESSIONS])
def test_what_cannot_carry_a_regression_is_refused(x, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        em.fit(em.Mixture(em.LinearRegression(), 1), x)


def test_regression_settings_are_checked():
    with pytest.raises(ValueError, match="ridge"):
        em.RegressionPrior(ridge=-1.0)
    with pytest.raises(ValueError, match="one for each of the 1 predictors"):
        em.fit(em.Mixture(em.LinearRegression(prior=em.NormalInverseGamma(1.0, 1.0, (1.0, 1.0))), 2), CROSSING)
    params = {"weights": [0.5, 0.5], "coefficients": np.ones((2, 2)), "scales": [1.0, 0.0]}
    with pytest.raises(ValueError, match="scales must be at least"):
        em.fit(em.Mixture(em.LinearRegression(), 2), CROSSING, init=params)
    with pytest.raises(ValueError, match="needs a predictor"):
        em.fit(em.Mixture(em.LinearRegression(intercept=False), 1), CROSSING[:, :1])


MODELS = [
    ("exponential", em.Mixture(em.Exponential(), 2), 1, {"weights": [0.3, 0.7], "rates": [0.2, 5.0]}),
    ("regression", em.Mixture(em.LinearRegression(), 2), 2,
     {"weights": [0.5, 0.5], "coefficients": [[0.0, 3.0], [1.0, -2.0]], "scales": [0.5, 1.0]}),
    ("student-t", em.Mixture(em.StudentT(4), 2), 1,
     {"weights": [0.4, 0.6], "means": [[0.0], [9.0]], "covariances": [[[1.0]], [[2.0]]]}),
    ("t-regression", em.TRegression(), 2, {"coefficients": [1.0, 2.0], "scales": 0.7, "df": 3.0}),
    ("censored-regression", em.CensoredRegression(), 3, {"coefficients": [1.0, 2.0], "scales": 0.7}),
    ("censored-exponential", em.CensoredExponential(), 2, {"rates": 0.4}),
    ("zero-inflated", em.ZeroInflatedPoisson(), 2, {"inflation": [-0.5, 1.0], "coefficients": [1.0, 0.3]}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "width", "truth"), [row[1:] for row in MODELS], ids=[row[0] for row in MODELS])
def test_what_is_simulated_is_recovered(model, width, truth):
    params = model.check_params(truth, np.zeros((1, width)))
    x, z = model.sample(params, 1500, np.random.default_rng(5))
    assert x.shape == (1500, width)
    assert len(z) == 1500
    fit = em.fit(model, x, init=params)
    assert fit.status is em.Status.CONVERGED
    for ours, theirs in zip(fit.params, params):
        np.testing.assert_allclose(ours, theirs, rtol=0.2, atol=0.2)


PIECEWISE = [row for row in MODELS if not isinstance(row[1], em.Mixture | em.ZeroInflatedPoisson)]
PIECEWISE.append(("negative-binomial", em.NegativeBinomial(), 1, {"means": 3.0, "shapes": 1.5}))


@pytest.mark.parametrize(("model", "width", "truth"), [row[1:] for row in PIECEWISE], ids=[row[0] for row in PIECEWISE])
def test_rows_of_a_posterior_may_be_renewed_and_the_bound_still_climbs(model, width, truth):
    """Incremental EM (Neal & Hinton 1998): every other row waits, its posterior that of older parameters."""
    params = model.check_params(truth, np.zeros((1, width)))
    x = model.check(model.sample(params, 60, np.random.default_rng(8))[0])
    if isinstance(model, em.CensoredExponential):
        x[::3] = np.column_stack([np.floor(x[::3, 0]), np.floor(x[::3, 0]) + 1.0])
    params = model.initial_params(x, "random-rows", np.random.default_rng(1))
    q = model.posterior(params, x)
    objective = -np.inf
    for step in range(8):
        block = slice(step % 2, None, 2)
        fresh = model.posterior(params, x)
        q = q.with_rows(block, fresh.rows(block))
        assert (q.kl(fresh)[block] == 0.0).all()
        close = model.log_likelihood(params, x) - em.elbo(model, params, x, q)
        np.testing.assert_allclose(q.kl(fresh), close, atol=1e-11)
        params = model.m_step(model.suff_stats(x, q), params)
        now = em.elbo(model, params, x, q).sum()
        assert now >= objective - 1e-9
        objective = now


def test_frames_and_weights_are_taken():
    frame = pl.DataFrame({"v": CROSSING[:, 0], "lower": CROSSING[:, 1], "upper": np.full(200, np.inf)})
    frame = frame.with_columns(upper=pl.when(pl.col("v") < 5).then("lower").otherwise("upper"))
    weight = np.arange(200) % 3.0
    fit = em.fit(em.CensoredRegression(), frame, restarts=1, weight=weight)
    repeated = em.fit(em.CensoredRegression(), np.repeat(frame.to_numpy(), weight.astype(int), axis=0), restarts=1)
    np.testing.assert_allclose(fit.params.coefficients, repeated.params.coefficients, rtol=1e-5)
    assert fit.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-6)


def test_blocks_of_rows_give_the_same_fit():
    """More rows than a block holds: statistics of blocks are merged, those that are rows joined."""
    x = np.tile(PLANE, (120, 1))
    for model in (em.TRegression(3), em.Mixture(em.StudentT(3), 1)):
        many, few = em.fit(model, x, restarts=1), em.fit(model, PLANE, restarts=1, weight=np.full(80, 120.0))
        for ours, theirs in zip(many.params, few.params):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
