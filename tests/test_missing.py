"""Missing cells of Gaussian rows against textbook formulas, scipy's densities, closed forms and direct optimisation."""

from itertools import count, islice, pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import emcore as em
from emcore.families.missing import LabelsAndCells, available_moments, condition, missing_patterns
from emcore.parameters import Coordinates

RNG = np.random.default_rng(1977)
SIGMA = np.array([[2.0, 1.2, -0.4, 0.0], [1.2, 1.5, 0.1, 0.3], [-0.4, 0.1, 1.0, 0.5], [0.0, 0.3, 0.5, 0.8]])
MEAN = np.array([1.0, -2.0, 0.5, 3.0])
WHOLE = RNG.multivariate_normal(MEAN, SIGMA, 120)
HOLES = np.where(RNG.random(WHOLE.shape) < 0.25, np.nan, WHOLE)
HOLES[3], HOLES[4] = np.nan, WHOLE[4]
BLOBS = np.concatenate([WHOLE, RNG.multivariate_normal(MEAN + [5.0, 3.0, 0.0, -2.0], 0.5 * np.eye(4) + 0.3, 80)])
BLOBS_HOLES = np.where(RNG.random(BLOBS.shape) < 0.2, np.nan, BLOBS)
LABELS = np.repeat([0, 1], [120, 80])
SHAPES = ("full", "tied")


def log_density_of_seen(mean, covariance, x):
    """By scipy, row by row (n,)."""
    rows = np.zeros(len(x))
    for i, seen in enumerate(~np.isnan(x)):
        if seen.any():
            rows[i] = multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)]).logpdf(x[i, seen])
    return rows


def log_density_of_mixture(params, x):
    covariances = np.broadcast_to(params.covariances, (len(params.weights), 4, 4))
    return logsumexp(
        [np.log(w) + log_density_of_seen(m, c, x) for w, m, c in zip(params.weights, params.means, covariances)], axis=0
    )


def test_conditional_moments_are_the_textbooks():
    """μ_m + Σ_mo Σ_oo⁻¹ (x_o - μ_o) and Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om (Little & Rubin 2002, section 11.2)."""
    log_prob, cells = condition(MEAN, SIGMA, HOLES)
    np.testing.assert_allclose(log_prob, log_density_of_seen(MEAN, SIGMA, HOLES), rtol=1e-12, atol=1e-12)
    for i, seen in enumerate(~np.isnan(HOLES)):
        o, m = np.flatnonzero(seen), np.flatnonzero(~seen)
        b = SIGMA[np.ix_(m, o)] @ np.linalg.inv(SIGMA[np.ix_(o, o)])
        conditional = SIGMA[np.ix_(m, m)] - b @ SIGMA[np.ix_(o, m)]
        np.testing.assert_array_equal(cells.completed[i, o], HOLES[i, o])
        np.testing.assert_allclose(cells.completed[i, m], MEAN[m] + b @ (HOLES[i, o] - MEAN[o]), rtol=1e-12)
        factor = cells.spread[cells.pattern[i]]
        expected = np.zeros((4, 4))
        expected[np.ix_(m, m)] = conditional
        np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-12)
        entropy = multivariate_normal(cov=conditional).entropy() if len(m) else 0.0
        assert cells.entropy()[i] == pytest.approx(entropy, rel=1e-12)


def test_kl_between_two_completions_is_the_textbooks():
    """½ (tr C_p⁻¹ C_q - m + δᵀ C_p⁻¹ δ + log |C_p|/|C_q|) over the missing cells of each row."""
    other_mean, other = MEAN + [0.5, 0.0, -1.0, 0.2], SIGMA + np.diag([0.1, 0.5, 0.0, 0.3])
    q, p = condition(MEAN, SIGMA, HOLES)[1], condition(other_mean, other, HOLES)[1]
    kl = q.kl(p)
    for i, seen in enumerate(~np.isnan(HOLES)):
        m = np.flatnonzero(~seen)
        c_q, c_p = ((f @ f.T)[np.ix_(m, m)] for f in (d.spread[d.pattern[i]] for d in (q, p)))
        delta = (q.completed - p.completed)[i, m]
        logs = np.linalg.slogdet(c_p)[1] - np.linalg.slogdet(c_q)[1]
        inverse = np.linalg.inv(c_p)
        expected = 0.5 * (np.trace(inverse @ c_q) - len(m) + delta @ inverse @ delta + logs)
        assert kl[i] == pytest.approx(expected, rel=1e-9, abs=1e-13)
    assert np.all(q.kl(q) == 0.0)
    index = np.array([50, 2, 7, 3])
    np.testing.assert_allclose(q.rows(index).kl(condition(other_mean, other, HOLES[index])[1]), kl[index], rtol=1e-10)
    with pytest.raises(ValueError, match="do not miss the same cells"):
        q.kl(condition(MEAN, SIGMA, WHOLE)[1])


def test_patterns_of_more_columns_than_a_byte_has_bits():
    x = np.where(RNG.random((60, 19)) < 0.1, np.nan, 1.0)
    pattern, seen = missing_patterns(x)
    np.testing.assert_array_equal(seen[pattern], ~np.isnan(x))
    assert len(np.unique(seen, axis=0)) == len(seen)


def test_complete_rows_have_their_sample_moments():
    fit = em.fit(em.MissingNormal(), WHOLE)
    np.testing.assert_allclose(fit.params.mean, WHOLE.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fit.params.covariance, np.cov(WHOLE.T, ddof=0), rtol=1e-11, atol=1e-13)
    assert fit.n_params == 4 + 10


def test_monotone_holes_have_a_closed_form():
    """Anderson (1957), J. Amer. Statist. Assoc. 52, 200-203: y regressed on x where both are seen, x from all rows."""
    x = WHOLE[:, :2].copy()
    x[80:, 1] = np.nan
    both = x[:80]
    slope = np.cov(both.T, ddof=0)[0, 1] / both[:, 0].var()
    left = both[:, 1].var() - slope**2 * both[:, 0].var()
    mean = np.array([x[:, 0].mean(), both[:, 1].mean() + slope * (x[:, 0].mean() - both[:, 0].mean())])
    variance = x[:, 0].var()
    sigma = np.array([[variance, slope * variance], [slope * variance, left + slope**2 * variance]])
    fit = em.fit(em.MissingNormal(), x, restarts=2)
    np.testing.assert_allclose(fit.params.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(fit.params.covariance, sigma, rtol=1e-6)
    assert fit.log_likelihood == pytest.approx(log_density_of_seen(mean, sigma, x).sum(), abs=1e-9)


def test_missing_normal_is_scipys_and_scipy_finds_no_better():
    fit = em.fit(em.MissingNormal(), HOLES, restarts=3)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(log_density_of_seen(*fit.params, HOLES).sum(), rel=1e-12)
    chart = Coordinates(fit.model, fit.params)

    def loss(vector):
        return -log_density_of_seen(*chart.from_vector(vector), HOLES).sum()

    better = minimize(loss, chart.to_vector(fit.params), method="BFGS", options={"maxiter": 6, "gtol": 1e-3})
    assert -better.fun <= fit.log_likelihood + 1e-7


@pytest.mark.parametrize("shape", SHAPES)
def test_mixture_is_scipys_and_scipy_finds_no_better(shape):
    fit = em.fit(em.Mixture(em.Gaussian(shape), 2), BLOBS_HOLES, restarts=3)
    assert fit.status is em.Status.CONVERGED
    rows = fit.model.log_likelihood(fit.params, BLOBS_HOLES)
    np.testing.assert_allclose(rows, log_density_of_mixture(fit.params, BLOBS_HOLES), rtol=1e-11)
    chart = Coordinates(fit.model, fit.params)

    def loss(vector):
        return -log_density_of_mixture(chart.from_vector(vector), BLOBS_HOLES).sum()

    better = minimize(loss, chart.to_vector(fit.params), method="BFGS", options={"maxiter": 3, "gtol": 1e-2})
    assert -better.fun <= fit.log_likelihood + 1e-6


def test_one_component_is_the_missing_normal():
    mixture = em.fit(em.Mixture(em.Gaussian("full"), 1), HOLES, restarts=1)
    lone = em.fit(em.MissingNormal(), HOLES, restarts=1)
    assert mixture.log_likelihood == pytest.approx(lone.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(mixture.params.means[0], lone.params.mean, rtol=1e-6)
    np.testing.assert_allclose(mixture.params.covariances[0], lone.params.covariance, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_without_holes_are_treated_as_ever(shape):
    """The posterior of complete rows has no cells, and one missing cell leaves every other row's answer alone."""
    model = em.Mixture(em.Gaussian(shape), 2)
    params = em.fit(model, BLOBS, restarts=1, max_iter=5, tol=0).params
    whole, rows = model.infer(params, BLOBS)
    assert isinstance(whole, em.CategoricalPosterior)
    pierced = BLOBS.copy()
    pierced[9, 2] = np.nan
    q, other_rows = model.infer(params, pierced)
    assert isinstance(q, LabelsAndCells)
    others = np.arange(len(BLOBS)) != 9
    np.testing.assert_allclose(q.probs[others], whole.probs[others], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(other_rows[others], rows[others], rtol=1e-12)
    completed = model.family.completed_stats(q.rows(others).cells, q.probs[others])
    plain = model.family.suff_stats(pierced[others], q.probs[others])
    for a, b in zip(completed[:3], plain[:3]):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_diagonal_truth_gives_what_the_diagonal_family_gives(shape):
    """Two exact treatments of a hole, left out of the sums or completed, agree on log p(x) and p(z | x)."""
    diag, full = em.Mixture(em.Gaussian("diag"), 2), em.Mixture(em.Gaussian(shape), 2)
    params = em.fit(diag, BLOBS_HOLES, restarts=1, max_iter=5, tol=0).params
    variances = params.covariances.mean(axis=0)
    params = params._replace(covariances=np.broadcast_to(variances, (2, 4)))
    dense = np.diag(variances) if shape == "tied" else np.stack([np.diag(variances)] * 2)
    q, rows = full.infer(params._replace(covariances=dense), BLOBS_HOLES)
    expected, expected_rows = diag.infer(params, BLOBS_HOLES)
    np.testing.assert_allclose(rows, expected_rows, rtol=1e-12)
    np.testing.assert_allclose(q.probs, expected.probs, atol=1e-12)


def test_labels_start_from_what_each_component_has_seen():
    """The first M-step fills a missing cell at the mean and variance of its component's seen cells of the column."""
    start = next(em.steps(em.Mixture(em.Gaussian("full"), 2), BLOBS_HOLES, LABELS)).params
    for k in (0, 1):
        rows = BLOBS_HOLES[k == LABELS]
        np.testing.assert_allclose(start.means[k], np.nanmean(rows, axis=0), rtol=1e-12)
        np.testing.assert_allclose(np.diag(start.covariances[k]), np.nanvar(rows, axis=0), rtol=1e-12)


def test_a_component_that_has_seen_nothing_of_a_column_borrows_from_all_rows():
    x = BLOBS_HOLES.copy()
    x[LABELS == 1, 3] = np.nan
    means, variances = available_moments(x, np.eye(2)[LABELS])
    assert means[1, 3] == pytest.approx(np.nanmean(x[:, 3]), rel=1e-12)
    assert variances[1, 3] == pytest.approx(np.nanvar(x[:, 3]), rel=1e-12)
    halves = list(islice(em.steps(em.Mixture(em.Gaussian("full"), 2), x, LABELS), 20))
    assert halves[-1].log_likelihood > halves[0].log_likelihood
    assert np.isfinite(halves[-1].log_likelihood)


@pytest.mark.parametrize("init", ["k-means++", "random-rows", "random-responsibilities"])
def test_every_named_start_reaches_the_blobs(init):
    fit = em.fit(em.Mixture(em.Gaussian("full"), 2), BLOBS_HOLES, init=init, restarts=5, seed=1)
    labels = fit.predict(BLOBS_HOLES)
    assert max(np.mean(labels == LABELS), np.mean(labels != LABELS)) > 0.95


def test_hard_em_climbs_its_bound_with_holes():
    halves = list(islice(em.steps(em.Mixture(em.Gaussian("full"), 2), BLOBS_HOLES, LABELS, em.hard), 30))
    for before, after in pairwise(halves):
        assert after.objective >= before.objective - 1e-9 * abs(before.objective)
    for half in halves:
        assert half.log_likelihood - half.elbo == pytest.approx(half.kl, abs=1e-8)


def test_incremental_em_with_holes_climbs_to_what_em_reaches():
    model = em.Mixture(em.Gaussian("full"), 2)
    whole = em.fit(model, BLOBS_HOLES, init=LABELS)
    turn = count()

    def renew_every_fourth_row(model, params, x, q):
        block = slice(next(turn) % 4, None, 4)
        posterior = model.posterior(params, x)
        return posterior if q is None else q.with_rows(block, posterior.rows(block))

    halves = list(islice(em.steps(model, BLOBS_HOLES, LABELS, renew_every_fourth_row), 400))
    for before, after in pairwise(halves):
        assert after.objective >= before.objective - 1e-9 * abs(before.objective)
    assert halves[-1].log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-6)
    assert len(halves[-1].q.cells.seen) <= 4 * len(missing_patterns(BLOBS_HOLES)[1])


def test_rows_may_be_replaced_one_by_one():
    old, new = condition(MEAN, SIGMA, HOLES)[1], condition(MEAN + 1.0, 2.0 * SIGMA, HOLES)[1]
    index = np.array([4, 9, 30])
    mixed = old.with_rows(index, new.rows(index))
    kl = mixed.kl(new)
    assert np.all(kl[index] == 0.0)
    others = np.setdiff1d(np.arange(len(HOLES)), index)
    np.testing.assert_array_equal(kl[others], old.kl(new)[others])


def test_labels_alone_bound_log_p_too():
    """A q over z alone averages over the missing cells exactly: its gap is the divergence of the labels."""
    model = em.Mixture(em.Gaussian("full"), 2)
    params = em.fit(model, BLOBS_HOLES, restarts=1, max_iter=3, tol=0).params
    q = em.CategoricalPosterior(RNG.dirichlet([1.0, 1.0], len(BLOBS)))
    gap = em.gap(model, params, BLOBS_HOLES, q)
    posterior = model.posterior(params, BLOBS_HOLES)
    np.testing.assert_allclose(gap, em.kl(q.probs, posterior.probs), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"take q from model.posterior"):
        model.suff_stats(BLOBS_HOLES, q)


@pytest.mark.parametrize(
    ("model", "init"), [(em.MissingNormal(), "k-means++"), (em.Mixture(em.Gaussian("full"), 2), LABELS)]
)
def test_kl_after_each_m_step_is_a_straight_line_down_to_1e_25(model, init):
    x = HOLES if isinstance(init, str) else BLOBS_HOLES
    halves = islice(em.steps(model, x, init, seed=1), 160)
    kl = np.array([half.kl for half in halves if half.kind == "M"])
    usable = np.flatnonzero((kl > 1e-25) & (kl < 1e-9))
    assert kl.min() < 1e-25
    assert len(usable) > 6
    slope, intercept = np.polyfit(usable, np.log10(kl[usable]), 1)
    assert np.abs(np.log10(kl[usable]) - slope * usable - intercept).max() < 0.3


@pytest.mark.parametrize("offset", [1e3, 1e7])
def test_an_offset_costs_no_digits(offset):
    near = em.fit(em.MissingNormal(), HOLES, restarts=1, seed=5, tol=0, max_iter=30)
    far = em.fit(em.MissingNormal(), HOLES + offset, restarts=1, seed=5, tol=0, max_iter=30)
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-12 * offset + 1e-9)
    np.testing.assert_allclose(far.params.covariance, near.params.covariance, atol=1e-13 * offset + 1e-10)


def test_cells_missing_at_random_do_not_bias_the_mean():
    """The second column is hidden where the first is high: its seen cells mislead, the likelihood does not."""
    x = RNG.multivariate_normal(MEAN, SIGMA, 40_000)
    x[x[:, 0] > MEAN[0], 1] = np.nan
    fit = em.fit(em.MissingNormal(), x, restarts=1, tol=1e-9)
    assert np.nanmean(x[:, 1]) < MEAN[1] - 0.5
    assert fit.params.mean[1] == pytest.approx(MEAN[1], abs=0.05)
    np.testing.assert_allclose(fit.params.covariance, SIGMA, atol=0.08)


def test_blocks_of_rows_with_holes_give_what_one_pass_gives():
    x = np.concatenate([np.where(RNG.random((9_000, 4)) < 0.1, np.nan, RNG.multivariate_normal(m, SIGMA, 9_000))
                        for m in (MEAN, MEAN + 6.0)])  # fmt: skip
    weight = RNG.uniform(0.5, 2.0, len(x))
    model, labels = em.Mixture(em.Gaussian("full"), 2), np.repeat([0, 1], 9_000)
    blocked = em.fit(model, x, init=labels, weight=weight, tol=0, max_iter=3)
    whole = list(islice(em.steps(model, x, labels, weight=weight), 6))[-1]
    assert blocked.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    for a, b in zip(blocked.params, whole.params):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_structure_that_cannot_complete_cells_is_refused_by_name():
    for shape in SHAPES:
        family = em.Gaussian(shape)
        with pytest.raises(
            ValueError, match=rf'(?s)missing values .*rows \[.*Gaussian\("{shape}"\): use Gaussian\("diag"'
        ):
            family.check(BLOBS_HOLES)
        with pytest.raises(ValueError, match="missing cells"):
            family.suff_stats(BLOBS_HOLES, np.ones((len(BLOBS), 1)))
    np.testing.assert_array_equal(em.Gaussian("diag").check(BLOBS_HOLES), BLOBS_HOLES)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: em.fit(em.MissingNormal(), np.c_[HOLES, np.full(120, np.nan)]), "column 4 of x has no observed"),
        (lambda: em.fit(em.MissingNormal(), np.c_[HOLES, np.full(120, 2.0)]), "column 4 of x is constant"),
        (lambda: em.fit(em.MissingNormal(), WHOLE[:1]), "one row"),
        (lambda: em.fit(em.MissingNormal(), HOLES, init="mean"), "init must be one of"),
        (lambda: em.fit(em.MissingNormal(), HOLES, init=np.zeros(120)), "no components"),
        (lambda: em.fit(em.MissingNormal(), HOLES, init={"mean": MEAN, "covariance": -SIGMA}), "positive definite"),
        (lambda: em.fit(em.MissingNormal(), HOLES, init={"mean": MEAN}), "covariance"),
        (lambda: em.MissingNormal("weak"), "fraley-raftery"),
        (lambda: em.fit(em.MissingNormal(), HOLES).bic(HOLES[:, :3]), "3 columns"),
        (lambda: em.fit(em.Mixture(em.Gaussian("full"), 2), np.c_[BLOBS_HOLES, np.full(200, np.nan)]), "column 4"),
    ],
)
def test_bad_input_is_refused_by_name(act, words):
    with pytest.raises(ValueError, match=words):
        act()


def test_too_few_rows_are_degenerate_and_a_prior_helps():
    x = WHOLE[:4].copy()
    x[2, 1] = np.nan
    fit = em.fit(em.MissingNormal(), x, restarts=1)
    assert fit.status is em.Status.DEGENERATE
    assert "the covariance has become singular" in fit.message
    assert all(np.isfinite(field).all() for field in fit.params)
    wide = em.NormalInverseWishart(tuple(MEAN), tuple(map(tuple, np.eye(4))), 0.01, 12.0)
    assert em.fit(em.MissingNormal(wide), x, restarts=1).status is em.Status.CONVERGED


def test_simulated_rows_have_the_moments():
    params = em.MissingNormal().check_params({"mean": MEAN, "covariance": SIGMA}, WHOLE)
    x, hidden = em.MissingNormal().sample(params, 50_000, np.random.default_rng(0))
    np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), SIGMA, atol=0.06)
    assert hidden.shape == (50_000, 0)
