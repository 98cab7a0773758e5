"""Hidden Markov models over every family against enumeration, an independent library and direct optimisation."""

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM, PoissonHMM
from scipy import stats
from scipy.optimize import minimize

import emcore as em
from emcore.numerics import total
from emcore.parameters import Coordinates
from tests.test_chain import by_enumeration
from tests.test_hmm import STICKY, TWO, counts, gaussian_data

pytestmark = pytest.mark.filterwarnings("error")


def densities_by_scipy():
    """Family, its fields, data, and log p(x_s | z_s = k) (t, k) by an independent library."""
    rng = np.random.default_rng(11)
    x, n = rng.normal(size=(6, 2)), rng.integers(0, 6, (6, 2)).astype(float)
    means, matrix = np.array([[0.0, 1.0], [1.0, -1.0]]), np.array([[[1.0, 0.4], [0.4, 2.0]], [[0.5, 0.0], [0.0, 0.7]]])
    diagonal, probs = np.array([[1.0, 2.0], [0.5, 0.7]]), np.array([[0.2, 0.6], [0.7, 0.5]])

    def normal(covariances):
        return np.column_stack([stats.multivariate_normal(means[k], covariances[k]).logpdf(x) for k in range(2)])

    levels = np.array([[[0.2, 0.5, 0.3]], [[0.6, 0.1, 0.3]]])
    items, bits = rng.integers(0, 3, (6, 1)).astype(float), (n > 2).astype(float)
    holes = x.copy()
    holes[2, 1], holes[4] = np.nan, np.nan
    seen = stats.norm(means[:, None], np.sqrt(diagonal)[:, None]).logpdf(holes)
    return [
        (em.Gaussian("full"), {"means": means, "covariances": matrix}, x, normal(matrix)),
        (em.Gaussian("tied"), {"means": means, "covariances": matrix[0]}, x, normal(matrix[[0, 0]])),
        (em.Gaussian("diag"), {"means": means, "covariances": diagonal}, x, normal([np.diag(v) for v in diagonal])),
        (em.Gaussian("spherical"), {"means": means, "covariances": [1.0, 0.5]}, x, normal([np.eye(2), np.eye(2) / 2])),
        (em.Gaussian("diag"), {"means": means, "covariances": diagonal}, holes, np.nansum(seen, axis=2).T),
        (em.Poisson(), {"rates": 5 * probs}, n, stats.poisson(5 * probs[:, None]).logpmf(n).sum(axis=2).T),
        (em.Binomial(5), {"probs": probs}, n, stats.binom(5, probs[:, None]).logpmf(n).sum(axis=2).T),
        (em.Bernoulli(), {"probs": probs}, bits, stats.bernoulli(probs[:, None]).logpmf(bits).sum(axis=2).T),
        (em.Categorical((3,)), {"probs": levels}, items, np.log(levels[:, 0, items[:, 0].astype(int)]).T),
    ]  # fmt: skip


@pytest.mark.parametrize("which", range(len(densities_by_scipy())))
@pytest.mark.parametrize("lengths", [[6], [1, 3, 2]])
def test_every_family_is_the_enumeration_of_its_paths(which, lengths):
    family, fields, x, log_prob = densities_by_scipy()[which]
    model = em.HMM(family, 2)
    data = model.check_sequences(x, lengths)
    params = model.check_params(TWO | fields, data)
    other = params._replace(start=np.array([0.3, 0.7]), transitions=STICKY[::-1])
    q = model.posterior(other, data)
    joint, path = model.expected_log_joint(params, data, q), model.decode(params, data)
    for i, first in enumerate(np.cumsum(lengths) - lengths):
        rows = slice(first, first + lengths[i])
        paths, logs = by_enumeration(params.start, params.transitions, log_prob[rows])
        assert model.log_likelihood(params, data)[i] == pytest.approx(np.logaddexp.reduce(logs), rel=1e-11)
        others = by_enumeration(other.start, other.transitions, log_prob[rows])[1]
        weights = np.exp(others - np.logaddexp.reduce(others))
        assert joint[i] == pytest.approx(weights @ logs, rel=1e-11)
        np.testing.assert_array_equal(path[rows], paths[logs.argmax()])


COVARIANCES = {"full": [np.eye(2)] * 2, "tied": np.eye(2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}


@pytest.mark.parametrize("shape", COVARIANCES)
@pytest.mark.parametrize("lengths", [[200], [60, 1, 139]])
def test_twenty_iterations_are_those_of_hmmlearn(shape, lengths):
    """hmmlearn with every prior off: the same map from the same start, to rounding."""
    x = gaussian_data(lengths)
    start = TWO | {"means": [[-0.5, 0.0], [1.0, 1.5]], "covariances": COVARIANCES[shape]}
    rival = GaussianHMM(2, shape, n_iter=20, tol=-np.inf, init_params="", covars_prior=0, covars_weight=0)
    rival.startprob_, rival.transmat_, rival.means_ = map(np.array, (start["start"], STICKY, start["means"]))
    rival.covars_ = start["covariances"]
    rival.fit(x, lengths)
    fit = em.fit(em.HMM(em.Gaussian(shape), 2), x, lengths=lengths, init=start, tol=0, max_iter=20)
    np.testing.assert_allclose(fit.params.start, rival.startprob_, rtol=1e-7, atol=1e-13)
    np.testing.assert_allclose(fit.params.transitions, rival.transmat_, rtol=1e-9)
    np.testing.assert_allclose(fit.params.means, rival.means_, rtol=1e-8, atol=1e-10)
    dense = fit.model.family.shape.dense(fit.params.covariances, 2, 2)
    theirs = rival.covars_[:: len(rival.covars_) // 2]  # one per state and feature where spherical
    np.testing.assert_allclose(dense, theirs, rtol=1e-8, atol=1e-10)
    ours = [half.log_likelihood for half in fit.trace if half.kind == "E"]
    np.testing.assert_allclose(ours, rival.monitor_.history, rtol=1e-11)
    np.testing.assert_array_equal(fit.predict(x, lengths), rival.predict(x, lengths))
    np.testing.assert_allclose(fit.responsibilities(x, lengths), rival.predict_proba(x, lengths), atol=1e-9)


def test_poisson_iterations_are_those_of_hmmlearn():
    x = counts([150])
    rival = PoissonHMM(2, n_iter=20, tol=-np.inf, init_params="", lambdas_prior=0, lambdas_weight=0)
    rival.startprob_, rival.transmat_, rival.lambdas_ = np.array([0.5, 0.5]), STICKY, np.array([[2.0], [10.0]])
    rival.fit(x.astype(int))
    start = {"start": [0.5, 0.5], "transitions": STICKY, "rates": [[2.0], [10.0]]}
    fit = em.fit(em.HMM(em.Poisson(), 2), x, init=start, tol=0, max_iter=20)
    np.testing.assert_allclose(fit.params.rates, rival.lambdas_, rtol=1e-9)
    np.testing.assert_allclose(fit.params.transitions, rival.transmat_, rtol=1e-9)


@pytest.mark.parametrize("stationary", [False, True])
@pytest.mark.parametrize("lengths", [[80], [3] * 30])
def test_direct_optimisation_finds_nothing_better(stationary, lengths):
    x = counts(lengths)
    fit = em.fit(em.HMM(em.Poisson(), 2, stationary=stationary), x, lengths=lengths, restarts=3)
    assert fit.status is em.Status.CONVERGED
    chart = Coordinates(fit.model, fit.params)

    def loss(vector):
        return -total(fit.model.log_likelihood(chart.from_vector(vector), fit.problem.x), None)

    best = minimize(loss, chart.to_vector(fit.params), method="BFGS")
    assert -best.fun <= fit.log_likelihood + 1e-7
