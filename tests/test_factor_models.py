"""Factor analysis and probabilistic PCA against closed forms, quadrature, scipy and scikit-learn."""

from itertools import islice, pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm
from sklearn.decomposition import FactorAnalysis as Peer

import emcore as em
from emcore.parameters import Coordinates
from emcore.trace import pose

IRIS = em.datasets.load("iris").drop("species").to_numpy()
RNG = np.random.default_rng(1982)
LOADINGS = np.array([[1.0, 0.0], [0.8, 0.3], [-0.5, 1.0], [0.2, -0.9], [0.4, 0.4], [0.7, -0.2]])
NOISE = np.array([0.5, 0.7, 0.4, 0.6, 0.9, 0.3])
X = RNG.standard_normal((150, 2)) @ LOADINGS.T + np.sqrt(NOISE) * RNG.standard_normal((150, 6)) + np.arange(6)
HOLES = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
HOLES[7] = np.nan
MODELS = (em.FactorAnalysis, em.PPCA)


def covariance(params):
    return params.loadings @ params.loadings.T + params.noise_variance * np.eye(len(params.mean))


def log_likelihood_of_seen(params, x):
    """By scipy's density of each row's seen cells alone (n,)."""
    sigma = covariance(params)
    rows = np.zeros(len(x))
    for i, seen in enumerate(~np.isnan(x)):
        if seen.any():
            rows[i] = multivariate_normal(params.mean[seen], sigma[np.ix_(seen, seen)]).logpdf(x[i, seen])
    return rows


def closed_form_ppca(x, q):
    """Tipping & Bishop (1999), equations 7 and 8: log-likelihood, noise variance and covariance at the maximum."""
    n, d = x.shape
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[q:].mean()
    sigma = (vectors[:, :q] * (values[:q] - noise)) @ vectors[:, :q].T + noise * np.eye(d)
    log_det = np.log(values[:q]).sum() + (d - q) * np.log(noise)
    return -0.5 * n * (d * np.log(2 * np.pi) + log_det + d), noise, sigma


@pytest.mark.parametrize("q", [1, 2, 3])
@pytest.mark.parametrize("x", [IRIS, X], ids=["iris", "simulated"])
def test_ppca_reaches_the_closed_form(x, q):
    fit = em.fit(em.PPCA(q), x, restarts=2, seed=q)
    log_likelihood, noise, sigma = closed_form_ppca(x, q)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-8)
    assert fit.params.noise_variance == pytest.approx(noise, rel=1e-6)
    assert fit.params.noise_variance.shape == ()
    np.testing.assert_allclose(covariance(fit.params), sigma, atol=1e-6)
    np.testing.assert_allclose(fit.params.mean, x.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("q", [1, 2])
def test_factor_analysis_reaches_scikit_learns_maximum(q):
    fit = em.fit(em.FactorAnalysis(q), X, restarts=3)
    peer = Peer(q, tol=1e-12, max_iter=20_000, svd_method="lapack").fit(X)
    assert fit.log_likelihood == pytest.approx(peer.score(X) * len(X), abs=1e-6)
    np.testing.assert_allclose(fit.params.noise_variance, peer.noise_variance_, rtol=1e-4)
    np.testing.assert_allclose(covariance(fit.params), peer.get_covariance(), atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_the_integral_over_one_factor_by_quadrature(model):
    """∫ N(z; 0, 1) Π_j N(x_ij | z) dz over seen cells: its value, its mean and its variance, row by row."""
    problem = pose(model(1), HOLES)
    params = em.fit(model(1), HOLES, restarts=1, max_iter=5, tol=0).params
    q, rows = problem.model.infer(params, HOLES)
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    scale = np.sqrt(np.broadcast_to(params.noise_variance, 6))
    given_z = norm.logpdf(HOLES[:, None], params.mean + z[:, None] * params.loadings[:, 0], scale)  # (n, nodes, d)
    joint = w * np.exp(np.nansum(given_z, axis=2))
    np.testing.assert_allclose(rows, np.log(joint.sum(axis=1)), rtol=1e-9, atol=1e-9)
    posterior = joint / joint.sum(axis=1, keepdims=True)
    mean = posterior @ z
    np.testing.assert_allclose(q.means[:, 0], mean, atol=1e-8)
    np.testing.assert_allclose(q.factors[:, 0, 0] ** 2, posterior @ z**2 - mean**2, atol=1e-8)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("x", [X, HOLES], ids=["complete", "holes"])
def test_log_likelihood_is_scipys_and_scipy_finds_no_better(model, x):
    fit = em.fit(model(2), x, restarts=2)
    rows = fit.model.log_likelihood(fit.params, x)
    np.testing.assert_allclose(rows, log_likelihood_of_seen(fit.params, x), rtol=1e-10, atol=1e-10)
    chart = Coordinates(fit.model, fit.params)

    def loss(vector):
        return -log_likelihood_of_seen(chart.from_vector(vector), x).sum()

    better = minimize(loss, chart.to_vector(fit.params), method="BFGS", options={"maxiter": 6, "gtol": 1e-3})
    assert -better.fun <= fit.log_likelihood + 1e-6


def test_a_row_without_any_cell_changes_nothing():
    with_it = em.fit(em.FactorAnalysis(1), HOLES, restarts=1, seed=2, tol=0, max_iter=30)
    without = em.fit(
        em.FactorAnalysis(1), np.delete(HOLES, 7, axis=0), init=with_it.restarts[0].start, tol=0, max_iter=30
    )
    assert with_it.log_likelihood == pytest.approx(without.log_likelihood, rel=1e-13)
    for a, b in zip(with_it.params, without.params):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    q = with_it.model.posterior(with_it.params, HOLES)
    assert q.means[7] == 0.0
    assert q.factors[7] == 1.0


def test_rows_without_holes_share_one_covariance():
    params = em.fit(em.PPCA(2), X, restarts=1, max_iter=3, tol=0).params
    assert em.PPCA(2).posterior(params, X).factors.shape == (1, 2, 2)


@pytest.mark.parametrize("model", MODELS)
def test_rotating_the_factors_changes_nothing(model):
    params = em.fit(model(2), HOLES, restarts=1, max_iter=10, tol=0).params
    turn, _ = np.linalg.qr(RNG.standard_normal((2, 2)))
    turned = params._replace(loadings=params.loadings @ turn)
    np.testing.assert_allclose(
        model(2).log_likelihood(turned, HOLES), model(2).log_likelihood(params, HOLES), rtol=1e-12, atol=1e-12
    )


def test_factor_analysis_does_not_depend_on_each_columns_unit():
    units = np.array([1e-3, 10.0, 1e5, 1.0, 0.2, 7.0])
    plain = em.fit(em.FactorAnalysis(2), X, restarts=1)
    scaled = em.fit(em.FactorAnalysis(2), X * units + 1e3 * units, restarts=1)
    assert scaled.log_likelihood + len(X) * np.log(units).sum() == pytest.approx(plain.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(scaled.params.noise_variance, plain.params.noise_variance * units**2, rtol=1e-5)


def test_loadings_of_zero_are_a_saddle():
    start = {"mean": IRIS.mean(axis=0), "loadings": np.zeros((4, 1)), "noise_variance": 1.0}
    stuck = em.fit(em.PPCA(1), IRIS, init=start)
    assert stuck.log_likelihood == pytest.approx(-889.52, abs=5e-3)
    assert np.all(stuck.params.loadings == 0.0)
    nudged = em.fit(em.PPCA(1), IRIS, init=start | {"loadings": np.full((4, 1), 1e-6)})
    assert nudged.log_likelihood == pytest.approx(-470.66946, abs=5e-6)


def test_the_mean_is_estimated_with_the_loadings():
    """Started 5 standard deviations away, the mean of complete data comes home to the sample mean."""
    start = {"mean": IRIS.mean(axis=0) + 5 * IRIS.std(axis=0), "loadings": np.ones((4, 1)), "noise_variance": 1.0}
    fit = em.fit(em.PPCA(1), IRIS, init=start)
    np.testing.assert_allclose(fit.params.mean, IRIS.mean(axis=0), rtol=1e-6)


def test_a_heywood_case_is_reported_and_a_prior_avoids_it():
    """One factor on iris: petal length becomes the factor. R's factanal stops at its bound of 0.005 there."""
    fit = em.fit(em.FactorAnalysis(1), IRIS, restarts=1)
    assert fit.status is em.Status.DEGENERATE
    assert "Heywood case: a factor has become column 2" in fit.message
    assert "noise_prior" in fit.message
    others = [0, 1, 3]
    uniqueness = fit.params.noise_variance / IRIS.var(axis=0)
    np.testing.assert_allclose(uniqueness[others], [0.240, 0.816, 0.073], atol=1e-3)
    assert all(np.isfinite(field).all() for field in fit.params)
    saved = em.fit(em.FactorAnalysis(1, noise_prior=1.0), IRIS, restarts=1)
    assert saved.status is em.Status.CONVERGED
    assert (saved.params.noise_variance / IRIS.var(axis=0)).min() > 1e-4


def test_small_noise_is_no_heywood_case():
    """Unlike units under PPCA, and columns that are almost without noise under factor analysis."""
    x = X * np.array([200.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    _, noise, sigma = closed_form_ppca(x, 1)
    assert noise / np.trace(sigma) < 1e-4
    best = em.fit(em.PPCA(1), x, init={"mean": x.mean(axis=0), "loadings": np.eye(6)[:, :1] * 200, "noise_variance": 1})
    assert best.status is not em.Status.DEGENERATE
    assert best.params.noise_variance == pytest.approx(noise, rel=1e-4)
    exact = RNG.standard_normal((200, 2)) @ LOADINGS.T + 1e-3 * RNG.standard_normal((200, 6))
    fit = em.fit(em.FactorAnalysis(2), exact, restarts=1, max_iter=3000)
    assert fit.status is not em.Status.DEGENERATE
    np.testing.assert_allclose(np.sqrt(fit.params.noise_variance), 1e-3, rtol=0.25)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (em.PPCA(1), RNG.standard_normal((30, 1)) @ [[1.0, 2.0, -1.0]] + 5.0),
        (em.FactorAnalysis(1), np.c_[X[:, 0], X[:, 0], X[:, 1:4]]),
    ],
    ids=["rows on a line", "a column twice"],
)
def test_noise_that_falls_to_0_is_degenerate(model, x):
    fit = em.fit(model, x, restarts=1)
    assert fit.status is em.Status.DEGENERATE
    assert "fallen to 0" in fit.message
    assert np.isfinite(fit.log_likelihood)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("x", [X, HOLES], ids=["complete", "holes"])
def test_an_offset_costs_no_digits(model, x):
    start = em.fit(model(2), x, restarts=1, max_iter=1, tol=0).restarts[0].start
    near = em.fit(model(2), x, init=start, tol=0, max_iter=40)
    far = em.fit(model(2), x + 1e7, init=start._replace(mean=start.mean + 1e7), tol=0, max_iter=40)
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-5)
    np.testing.assert_allclose(far.params.noise_variance, near.params.noise_variance, rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_the_prior_is_the_one_the_m_step_maximises_and_its_mode_is_interior(model):
    fit = em.fit(model(2, noise_prior=5.0), HOLES, restarts=1)
    assert fit.status is em.Status.CONVERGED
    chart = Coordinates(fit.model, fit.params)

    def loss(vector):
        params = chart.from_vector(vector)
        ratio = np.nanvar(HOLES, axis=0) / params.noise_variance
        return -log_likelihood_of_seen(params, HOLES).sum() + 0.5 * 5.0 * (ratio - np.log(ratio)).sum()

    better = minimize(loss, chart.to_vector(fit.params), method="BFGS", options={"maxiter": 6, "gtol": 1e-3})
    assert better.fun >= loss(chart.to_vector(fit.params)) - 1e-6


def test_blocks_of_rows_with_holes_give_what_one_pass_gives():
    x = np.tile(HOLES, (70, 1)) + 0.1 * RNG.standard_normal((70 * len(HOLES), 6))
    weight = RNG.uniform(0.5, 2.0, len(x))
    start = em.fit(em.FactorAnalysis(2), HOLES, restarts=1, max_iter=1, tol=0).params
    blocked = em.fit(em.FactorAnalysis(2), x, init=start, weight=weight, tol=0, max_iter=3)
    whole = list(islice(em.steps(em.FactorAnalysis(2), x, start, weight=weight), 6))[-1]
    assert blocked.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    for a, b in zip(blocked.params, whole.params):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_kl_after_each_m_step_is_a_straight_line_down_to_1e_25():
    halves = islice(em.steps(em.PPCA(2), HOLES, "k-means++", seed=1), 500)
    kl = np.array([half.kl for half in halves if half.kind == "M"])
    usable = np.flatnonzero((kl > 1e-25) & (kl < 1e-9))
    assert kl.min() < 1e-25
    assert len(usable) > 15
    slope, intercept = np.polyfit(usable, np.log10(kl[usable]), 1)
    assert np.abs(np.log10(kl[usable]) - slope * usable - intercept).max() < 0.2


def test_simulated_factors_are_recovered_with_a_third_of_the_cells_missing():
    model = em.FactorAnalysis(2)
    truth = model.check_params(
        {"mean": np.arange(6.0), "loadings": LOADINGS, "noise_variance": NOISE}, np.zeros((1, 6))
    )
    rng = np.random.default_rng(11)
    x, z = model.sample(truth, 8_000, rng)
    x[rng.random(x.shape) < 1 / 3] = np.nan
    fit = em.fit(model, x, restarts=1, tol=1e-8)
    np.testing.assert_allclose(fit.params.mean, truth.mean, atol=0.06)
    np.testing.assert_allclose(covariance(fit.params), covariance(truth), atol=0.08)
    turn, *_ = np.linalg.lstsq(fit.params.loadings, truth.loadings, rcond=None)
    np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=0.1)
    guessed = fit.model.posterior(fit.params, x).means @ turn
    assert np.corrcoef(guessed[:, 0], z[:, 0])[0, 1] > 0.75


def test_parameters_count_loadings_up_to_rotation():
    assert em.fit(em.FactorAnalysis(2), X, restarts=1, max_iter=1).n_params == 6 + (12 - 1) + 6
    assert em.fit(em.PPCA(3), X, restarts=1, max_iter=1).n_params == 6 + (18 - 3) + 1


def test_every_named_start_means_random_loadings():
    model = em.PPCA(1)
    fits = [em.fit(model, X, init=name, restarts=1, seed=4, max_iter=1, tol=0) for name in ("k-means++", "random-rows")]
    np.testing.assert_array_equal(fits[0].params.loadings, fits[1].params.loadings)
    with pytest.raises(ValueError, match="init must be one of"):
        em.fit(model, X, init="pca")
    with pytest.raises(ValueError, match="no components"):
        em.fit(model, X, init=np.zeros(len(X)))


GOOD = {"mean": np.zeros(6), "loadings": np.ones((6, 1)), "noise_variance": np.ones(6)}


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: em.fit(em.FactorAnalysis(6), X), ValueError, "n_factors=6 must be below the number of columns"),
        (lambda: em.fit(em.PPCA(1), X[:, :1]), ValueError, "n_factors=1 must be below"),
        (lambda: em.FactorAnalysis(0), ValueError, "at least 1"),
        (lambda: em.PPCA(1.5), TypeError, "whole number"),
        (lambda: em.PPCA(1, noise_prior=-1.0), ValueError, "pseudo-count"),
        (lambda: em.fit(em.PPCA(1), X[:1]), ValueError, "one row"),
        (lambda: em.fit(em.FactorAnalysis(1), np.c_[X, np.ones(150)]), ValueError, "column 6 of x is constant"),
        (lambda: em.fit(em.PPCA(1), np.ones((9, 3))), ValueError, "every column of x is constant"),
        (lambda: em.fit(em.PPCA(1), np.c_[X, np.full(150, np.nan)]), ValueError, "column 6 of x has no observed"),
        (lambda: em.fit(em.FactorAnalysis(1), X, init=GOOD | {"noise_variance": np.zeros(6)}), ValueError, "above 0"),
        (lambda: em.fit(em.FactorAnalysis(1), X, init=GOOD | {"mean": np.zeros(5)}), ValueError, r"mean must have sh"),
        (lambda: em.fit(em.FactorAnalysis(1), X, init=GOOD | {"rates": 1.0}), ValueError, "rates"),
        (lambda: em.fit(em.FactorAnalysis(1), X).bic(X[:, :4]), ValueError, "4 columns"),
        (lambda: em.PPCA(1, noise_prior=1.0).log_prior(em.PPCA(1).check_params(GOOD | {"noise_variance": 1.0}, X)),
         ValueError, "scaled from the data"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(act, error, words):
    with pytest.raises(error, match=words):
        act()


def test_a_constant_column_is_no_obstacle_to_ppca():
    x = np.c_[X, np.full(150, 3.0)]
    fit = em.fit(em.PPCA(2), x, restarts=1)
    assert fit.log_likelihood == pytest.approx(closed_form_ppca(x, 2)[0], abs=1e-6)


@pytest.mark.parametrize("n", [7, 112])
def test_rows_with_moments_have_them_exactly(n):
    sigma = np.cov(X.T)
    x = em.rows_with_moments(sigma, n, mean=np.arange(6.0))
    assert x.shape == (n, 6)
    np.testing.assert_allclose(x.mean(axis=0), np.arange(6.0), atol=1e-12)
    np.testing.assert_allclose(np.cov(x.T, ddof=0), sigma, atol=1e-12)
    singular = np.outer([1.0, 2.0], [1.0, 2.0])
    np.testing.assert_allclose(np.cov(em.rows_with_moments(singular, 5).T, ddof=0), singular, atol=1e-12)


@pytest.mark.parametrize(
    ("table", "n", "words"),
    [
        ([[1.0, 2.0], [0.0, 1.0]], 9, "symmetric"),
        ([1.0, 2.0], 9, "symmetric table"),
        ([[1.0, 2.0], [2.0, 1.0]], 9, "eigenvalue -1"),
        (np.eye(3), 3, "n_rows=3 must be above"),
    ],
)
def test_impossible_moments_are_refused(table, n, words):
    with pytest.raises(ValueError, match=words):
        em.rows_with_moments(table, n)


@pytest.mark.parametrize("model", MODELS)
def test_the_objective_rises_to_the_end(model):
    halves = list(islice(em.steps(model(2, noise_prior=1.0), HOLES, "k-means++", seed=3), 400))
    for before, after in pairwise(halves):
        assert after.objective >= before.objective - 1e-11 * abs(before.objective)


@pytest.mark.parametrize("seed", range(3))
def test_the_identity_holds_on_the_way_to_a_collapse(seed):
    """Two rows, seven columns, three factors: the noise falls a hundredfold an iteration, and there is no maximum."""
    x = np.random.default_rng(seed).normal(size=(2, 7)) @ np.random.default_rng(9).normal(size=(7, 7))
    fit = em.fit(em.FactorAnalysis(3), x, restarts=1, max_iter=12, seed=0)
    noise = fit.trace[-1].params.noise_variance
    assert noise.min() < 1e-10 * x.var(axis=0).max()
    for half in fit.trace:
        assert abs(half.log_likelihood - half.elbo - half.kl) < 1e-9 * (1.0 + abs(half.log_likelihood))
