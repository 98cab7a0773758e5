"""Gaussian mixtures against independent answers: published fits, scikit-learn, scipy's densities."""

from itertools import islice, pairwise

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

import emcore as em
from emcore.families.covariance import Full

FAITHFUL = em.datasets.load("old_faithful").select("eruptions", "waiting").to_numpy()
SHAPES = ("full", "tied", "diag", "spherical")


def dense_covariances(fit):
    k, d = fit.params.means.shape
    return fit.model.family.shape.dense(fit.params.covariances, k, d)


def test_two_full_components_on_old_faithful_reach_the_published_maximum():
    """-1130.2640 is what mclust (Scrucca et al. 2016) reports; from each of several seeds of 20 restarts."""
    for seed in range(3):
        fit = em.fit(em.Mixture(em.Gaussian("full"), 2), FAITHFUL, restarts=20, seed=seed)
        assert fit.status is em.Status.CONVERGED
        assert fit.log_likelihood == pytest.approx(-1130.26396018, abs=1e-5)
        assert fit.bic() == pytest.approx(2322.1917431, abs=1e-4)
        assert fit.bic(FAITHFUL) == pytest.approx(fit.bic(), rel=1e-12)


@pytest.mark.filterwarnings("ignore:Best performing initialization:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Initialization:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_iterates_are_scikit_learns(shape):
    """The same start, `reg_covar=0`, and 50 iterations side by side, to 1e-8."""
    start = em.steps(em.Mixture(em.Gaussian(shape), 3), FAITHFUL, "k-means++", seed=4)
    params = next(start).params
    k, d = params.means.shape
    precisions = {
        "full": lambda c: np.linalg.inv(c),
        "tied": lambda c: np.linalg.inv(c),
        "diag": lambda c: 1 / c,
        "spherical": lambda c: 1 / c,
    }[shape](params.covariances)
    peer = GaussianMixture(
        k, covariance_type=shape, reg_covar=0, max_iter=1, tol=0, warm_start=True,
        weights_init=params.weights, means_init=params.means, precisions_init=precisions,
    )  # fmt: skip
    halves = em.steps(em.Mixture(em.Gaussian(shape), 3), FAITHFUL, params)
    for _ in range(50):
        ours = list(islice(halves, 2))[1].params
        peer.fit(FAITHFUL)
        np.testing.assert_allclose(ours.weights, peer.weights_, rtol=1e-8)
        np.testing.assert_allclose(ours.means, peer.means_, rtol=1e-8)
        np.testing.assert_allclose(ours.covariances, peer.covariances_, rtol=1e-8, atol=1e-10)
    assert peer.means_.shape == (k, d)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_likelihood_is_scipys_at_the_params_returned(shape):
    fit = em.fit(em.Mixture(em.Gaussian(shape), 3), FAITHFUL, restarts=4, seed=1)
    density = sum(
        w * multivariate_normal(m, c).pdf(FAITHFUL)
        for w, m, c in zip(fit.params.weights, fit.params.means, dense_covariances(fit))
    )
    assert fit.log_likelihood == pytest.approx(np.log(density).sum(), rel=1e-10)
    assert fit.trace[-1].log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)


def test_kl_after_each_m_step_is_a_straight_line_down_to_1e_25():
    """EM converges linearly, so log KL falls by the same amount at every iteration: a line, not noise."""
    model = em.Mixture(em.Gaussian("tied"), 3)
    halves = list(islice(em.steps(model, FAITHFUL, "k-means++", seed=0), 640))
    assert all(half.kl == 0.0 for half in halves if half.kind == "E")
    kl = np.array([half.kl for half in halves if half.kind == "M"])
    assert np.all(kl >= 0.0)
    usable = np.flatnonzero((kl > 1e-25) & (kl < 1e-8))
    assert len(usable) > 30
    assert kl.min() < 1e-25
    log_kl = np.log10(kl[usable])
    slope, intercept = np.polyfit(usable, log_kl, 1)
    assert slope < 0
    assert np.abs(log_kl - (slope * usable + intercept)).max() < 0.05
    ratios = np.diff(log_kl)
    assert ratios.std() < 0.02


def test_a_lone_component_is_the_sample_mean_and_covariance():
    fit = em.fit(em.Mixture(em.Gaussian("full"), 1), FAITHFUL)
    np.testing.assert_allclose(fit.params.means[0], FAITHFUL.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fit.params.covariances[0], np.cov(FAITHFUL.T, ddof=0), rtol=1e-12)
    assert fit.n_iter <= 3


def test_a_component_on_one_point_is_degenerate_and_keeps_sound_params():
    """The likelihood is unbounded there (Kiefer & Wolfowitz 1956): reported, not hidden, and never NaN."""
    init = {
        "weights": [0.01, 0.99],
        "means": [FAITHFUL[0], FAITHFUL.mean(axis=0)],
        "covariances": [1e-12 * np.eye(2), np.cov(FAITHFUL.T)],
    }
    fit = em.fit(em.Mixture(em.Gaussian("full"), 2), FAITHFUL, init=init)
    assert fit.status is em.Status.DEGENERATE
    assert "component 0 has collapsed" in fit.message
    assert "fraley-raftery" in fit.message
    assert all(np.isfinite(field).all() for field in fit.params)
    assert np.isfinite(fit.log_likelihood)
    saved = em.fit(em.Mixture(em.Gaussian("full", prior="fraley-raftery"), 2), FAITHFUL, init=init)
    assert saved.status is em.Status.CONVERGED


def test_degenerate_starts_lose_to_sound_ones():
    x = np.concatenate([np.random.default_rng(0).normal(size=(40, 2)), np.repeat([[9.0, 9.0]], 6, axis=0)])
    fit = em.fit(em.Mixture(em.Gaussian("full"), 2), x, restarts=30, init="random-rows", seed=5)
    statuses = {run.status for run in fit.restarts}
    assert em.Status.DEGENERATE in statuses
    if statuses != {em.Status.DEGENERATE}:
        assert fit.status is not em.Status.DEGENERATE
        assert "set aside" in fit.message


@pytest.mark.parametrize("shape", SHAPES)
def test_the_fraley_raftery_default_has_the_scale_of_the_paper(shape):
    """Fraley & Raftery (2007), section 3.1: κ = 0.01, ν = d + 2, Λ = var / k^(2/d)."""
    k, d = 3, 2
    prior = em.Mixture(em.Gaussian(shape, prior="fraley-raftery"), k).resolve(FAITHFUL).family.prior
    np.testing.assert_allclose(prior.mean, FAITHFUL.mean(axis=0))
    assert prior.count == 0.01
    covariance = np.cov(FAITHFUL.T) / k ** (2 / d)
    expected = {
        "full": covariance, "tied": covariance,
        "diag": np.eye(d) * np.trace(covariance) / d, "spherical": np.eye(d) * np.trace(covariance) / d**2,
    }[shape]  # fmt: skip
    np.testing.assert_allclose(prior.scatter, expected)


def test_blocks_of_rows_give_what_one_pass_gives():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0, 1, (15_000, 2)), rng.normal(5, 2, (6_000, 2))])
    weight = rng.uniform(0.5, 2.0, len(x))
    model = em.Mixture(em.Gaussian("full"), 2)
    start = {"weights": [0.5, 0.5], "means": [[0.0, 0.0], [4.0, 4.0]], "covariances": [np.eye(2)] * 2}
    blocked = em.fit(model, x, init=start, weight=weight, tol=0, max_iter=5)
    whole = list(islice(em.steps(model, x, start, weight=weight), 10))[-1]
    for a, b in zip(blocked.params, whole.params):
        np.testing.assert_allclose(a, b, rtol=1e-11)
    assert blocked.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)


def test_simulated_components_are_recovered():
    model = em.Mixture(em.Gaussian("full"), 3)
    truth = model.check_params(
        {
            "weights": [0.5, 0.3, 0.2],
            "means": [[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]],
            "covariances": [np.eye(2), [[1.0, 0.6], [0.6, 1.0]], 0.5 * np.eye(2)],
        },
        np.zeros((1, 2)),
    )
    x, _ = model.sample(truth, 20_000, np.random.default_rng(8))
    fit = em.fit(model, x, restarts=3, seed=0)
    order = np.argsort(-fit.params.weights)
    np.testing.assert_allclose(fit.params.weights[order], truth.weights, atol=0.02)
    np.testing.assert_allclose(fit.params.means[order], truth.means, atol=0.08)
    np.testing.assert_allclose(fit.params.covariances[order], truth.covariances, atol=0.1)


def test_starts_by_labels_and_responsibilities_are_one_m_step():
    labels = (FAITHFUL[:, 0] > 3).astype(int)
    model = em.Mixture(em.Gaussian("full"), 2)
    by_labels = next(em.steps(model, FAITHFUL, labels)).params
    by_responsibilities = next(em.steps(model, FAITHFUL, np.eye(2)[labels])).params
    np.testing.assert_array_equal(by_labels.means, by_responsibilities.means)
    for k in (0, 1):
        np.testing.assert_allclose(by_labels.means[k], FAITHFUL[labels == k].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(by_labels.covariances[k], np.cov(FAITHFUL[labels == k].T, ddof=0), rtol=1e-10)


def test_full_scatter_is_the_textbook_sum():
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(7, 3)), rng.dirichlet(np.ones(2), 7)
    means = rng.normal(size=(2, 3))
    expected = [sum(r[i, k] * np.outer(x[i] - means[k], x[i] - means[k]) for i in range(7)) for k in range(2)]
    np.testing.assert_allclose(Full().scatter(x, r, means), expected, rtol=1e-12)


def test_hard_em_raises_the_elbo_and_may_lower_the_log_likelihood():
    """Started at the soft maximum, classification EM climbs its own bound while log p(x) falls."""
    model = em.Mixture(em.Gaussian("tied"), 3)
    soft = em.fit(model, FAITHFUL, restarts=10, seed=0)
    hard = em.fit(model, FAITHFUL, init=soft.params, e_step=em.hard, trace=True)
    bounds = [half.elbo for half in hard.trace]
    assert all(b >= a - 1e-9 * abs(a) for a, b in pairwise(bounds))
    assert hard.log_likelihood < soft.log_likelihood - 1.0
    first = hard.trace[0]
    assert first.kl == pytest.approx(-np.log(soft.responsibilities(FAITHFUL).max(axis=1)).sum(), rel=1e-10)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_recorded_run_is_that_of_the_half_steps(covariance, weighted):
    """A run is recorded from the params that its fast passes went through; `steps` computes one half-step at a time."""
    weight = np.arange(272) % 3 / 1.5 if weighted else None
    model = em.Mixture(em.Gaussian(covariance), 3)
    fit = em.fit(model, FAITHFUL, restarts=1, seed=3, tol=0, max_iter=40, weight=weight, trace=True)
    again = em.fit(model, FAITHFUL, restarts=1, seed=3, tol=0, max_iter=40, weight=weight)
    halves = list(islice(em.steps(model, FAITHFUL, fit.restarts[0].start, weight=weight), 80))
    assert len(fit.trace) == len(again.trace) == len(halves)
    for half, later, one in zip(fit.trace, again.trace, halves, strict=True):
        assert (half.kind, half.iteration) == (later.kind, later.iteration) == (one.kind, one.iteration)
        for name in ("log_likelihood", "elbo", "entropy", "expected_log_joint", "log_prior", "objective"):
            assert getattr(half, name) == pytest.approx(getattr(one, name), rel=1e-10)
            assert getattr(later, name) == getattr(half, name)
        assert half.kl == pytest.approx(one.kl, rel=1e-6, abs=1e-20)
        np.testing.assert_allclose(half.q.probs, one.q.probs, rtol=0, atol=1e-9)
        np.testing.assert_allclose(half.kl_rows, one.kl_rows, rtol=1e-5, atol=1e-14)
    assert fit.trace[-1].log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)


def test_starts_together_end_as_each_would_alone():
    model = em.Mixture(em.Gaussian("full"), 3)
    together = em.fit(model, FAITHFUL, restarts=12, seed=5)
    for run in together.restarts:
        alone = em.fit(model, FAITHFUL, init=run.start)
        assert alone.status == run.status
        assert alone.log_likelihood == pytest.approx(run.log_likelihood, rel=1e-9)
        assert abs(alone.n_iter - run.n_iter) <= 2


def test_starts_that_collapse_leave_the_others_alone():
    x = np.concatenate([np.zeros((2, 2)), FAITHFUL])  # two equal rows, to collapse on
    model = em.Mixture(em.Gaussian("full"), 6)
    fit = em.fit(model, x, init="random-rows", restarts=30, seed=0, max_iter=400)
    ended = {run.status for run in fit.restarts}
    assert "DEGENERATE" in ended
    assert ended - {"DEGENERATE"}
    for run in fit.restarts[:10]:
        alone = em.fit(model, x, init=run.start, max_iter=400)
        assert (alone.status == "DEGENERATE") == (run.status == "DEGENERATE")
        assert alone.objective == pytest.approx(run.objective, rel=1e-6)


@pytest.mark.parametrize("method", ["k-means++", "random-rows", "random-responsibilities"])
def test_a_start_is_the_same_in_blocks_of_rows(method, monkeypatch):
    model = em.Mixture(em.Gaussian("full"), 3)
    weight = np.arange(272) % 3 + 0.5
    whole = model.initial_params(FAITHFUL, method, np.random.default_rng(1), weight)
    (piled,) = model.many_initial_params(FAITHFUL, method, [np.random.default_rng(1)], weight)
    monkeypatch.setattr("emcore.models.mixture._CELLS", 100)
    blocked = model.initial_params(FAITHFUL, method, np.random.default_rng(1), weight)
    for a, b, c in zip(whole, piled, blocked, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
        np.testing.assert_allclose(a, c, rtol=1e-12)
