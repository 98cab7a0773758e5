"""What hidden Markov models promise: weights, starts, unreachable and emptied states, Viterbi training, bad input."""

from itertools import islice

import numpy as np
import pytest
from scipy import stats

import emcore as em
from emcore.trace import pose

pytestmark = pytest.mark.filterwarnings("error")

STICKY = np.array([[0.9, 0.1], [0.2, 0.8]])
TWO = {"start": [0.6, 0.4], "transitions": STICKY}
POISSON = TWO | {"rates": [[3.0], [9.0]]}


def simulate(family, params, lengths, seed=0):
    """x (t, d) and z (t,) from a model's own sampler."""
    model = em.HMM(family, len(params["start"]))
    start, transitions, *fields = map(np.asarray, params.values())
    return model.sample(model.make_params(start, transitions, fields), lengths, np.random.default_rng(seed))


def counts(lengths, seed=0):
    return simulate(em.Poisson(), POISSON, lengths, seed)[0]


def gaussian_data(lengths, seed=0):
    means, covariances = [[0.0, 0.0], [2.0, 1.0]], [[[1.0, 0.3], [0.3, 0.5]], [[0.5, -0.2], [-0.2, 0.8]]]
    return simulate(em.Gaussian("full"), TWO | {"means": means, "covariances": covariances}, lengths, seed)[0]


@pytest.mark.parametrize("stationary", [False, True])
def test_whole_weights_are_repeated_sequences_and_fits_sum_over_them(stationary):
    lengths, weight = [12, 1, 30, 7], [2, 3, 1, 0]
    x = counts(lengths)
    parts = np.split(x, np.cumsum(lengths)[:-1])
    repeated = np.concatenate([part for part, times in zip(parts, weight) for _ in range(times)])
    model = em.HMM(em.Poisson(), 2, stationary=stationary)
    init = {name: value for name, value in POISSON.items() if name != "start" or not stationary}
    one = em.fit(model, x, lengths=lengths, weight=weight, init=init)
    two = em.fit(model, repeated, lengths=np.repeat(lengths, weight), init=init)
    assert one.log_likelihood == pytest.approx(two.log_likelihood, rel=1e-10)
    assert one.bic() == pytest.approx(two.bic(), rel=1e-9)
    np.testing.assert_allclose(one.params.transitions, two.params.transitions, rtol=1e-5)
    alone = sum(times * model.log_likelihood(one.params, part).sum() for part, times in zip(parts, weight))
    assert one.log_likelihood == pytest.approx(alone, rel=1e-12)


def test_a_chain_without_memory_is_a_mixture():
    """Equal rows of transitions, or sequences of one step: the steps are independent draws from a mixture."""
    x = counts([60])
    weights, rates = np.array([0.3, 0.7]), np.array([[2.0], [8.0]])
    hmm, mixture = em.HMM(em.Poisson(), 2), em.Mixture(em.Poisson(), 2)
    params = hmm.make_params(weights, np.array([weights, weights]), (rates,))
    rows = mixture.log_likelihood(mixture.make_params(weights, (rates,)), x)
    assert hmm.log_likelihood(params, x)[0] == pytest.approx(rows.sum(), rel=1e-13)
    by_step = em.fit(hmm, x, lengths=[1] * 60, init=params, tol=0, max_iter=30)
    by_row = em.fit(mixture, x, init=mixture.make_params(weights, (rates,)), tol=0, max_iter=30)
    np.testing.assert_allclose(by_step.params.start, by_row.params.weights, rtol=1e-10)
    np.testing.assert_allclose(by_step.params.rates, by_row.params.rates, rtol=1e-10)
    np.testing.assert_array_equal(by_step.params.transitions, params.transitions)  # nothing was learnt of them


def test_a_long_sequence_keeps_its_digits():
    """1e5 steps of which 8 are 40 standard deviations out: log p by a plain loop in rescaled numbers."""
    x = gaussian_data([100_000])[:, :1]
    x[::13_000] += 40.0
    model = em.HMM(em.Gaussian("diag"), 2)
    params = model.check_params(TWO | {"means": [[0.0], [2.0]], "covariances": [[1.0], [0.5]]}, model.check(x))
    log_prob = stats.norm(params.means.ravel(), np.sqrt(params.covariances.ravel())).logpdf(x)
    top = log_prob.max(axis=1)
    state, value = params.start, top.sum()
    for step, emission in enumerate(np.exp(log_prob - top[:, None])):
        state = (state @ STICKY if step else state) * emission
        value += np.log(state.sum())
        state = state / state.sum()
    q, rows = model.infer(params, x)
    assert rows[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(q.probs.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(q.probs[-1], state, rtol=1e-10)


def test_a_state_that_nothing_leads_to_stays_out():
    """Three states, one unreachable: iteration by iteration it is the model of the other two."""
    x = counts([40, 20])
    three = {"start": [0.6, 0.4, 0.0], "transitions": [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.3, 0.3, 0.4]]}
    one = em.fit(
        em.HMM(em.Poisson(), 3), x, lengths=[40, 20], init=three | {"rates": [[3.0], [9.0], [5.0]]}, trace=True
    )
    two = em.fit(em.HMM(em.Poisson(), 2), x, lengths=[40, 20], init=POISSON)
    assert one.log_likelihood == pytest.approx(two.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(one.params.rates[:2], two.params.rates, rtol=1e-8)
    np.testing.assert_array_equal(one.params.rates[2], 5.0)
    assert one.params.start[2] == 0
    np.testing.assert_array_equal(one.params.transitions[:, 2], [0.0, 0.0, 0.4])
    assert not one.responsibilities(x, [40, 20])[:, 2].any()


@pytest.mark.parametrize("family", [em.Poisson(), em.Gaussian("diag")])
def test_a_state_that_empties_is_degenerate(family):
    x = counts([40])
    away = {"rates": [[5.0], [1e4]]} if isinstance(family, type(em.Poisson())) else {
        "means": [[5.0], [1e4]], "covariances": [[9.0], [1.0]]
    }  # fmt: skip
    fit = em.fit(em.HMM(family, 2), x, init=TWO | away)
    assert fit.status is em.Status.DEGENERATE
    assert "state 1 has emptied" in fit.message
    assert np.isfinite(fit.log_likelihood)


def test_a_start_from_labels_counts_them():
    lengths, labels = [4, 3], np.array([0, 0, 1, 1, 1, 0, 1])
    x = np.array([1.0, 2.0, 8.0, 9.0, 7.0, 3.0, 6.0])[:, None]
    model = em.HMM(em.Poisson(), 2)
    data = model.check_sequences(x, lengths)
    first = next(em.steps(model, x, labels, lengths=lengths)).params
    np.testing.assert_allclose(first.start, [0.5, 0.5])
    np.testing.assert_allclose(first.transitions, [[1 / 3, 2 / 3], [1 / 2, 1 / 2]])
    np.testing.assert_allclose(first.rates.ravel(), [2.0, 7.5])
    soft = np.column_stack([1.0 - labels, labels]) * 0.8 + 0.1
    params = model.params_from_responsibilities(data, soft)
    pairs = sum(np.outer(soft[s], soft[s + 1]) for s in (0, 1, 2, 4, 5))
    np.testing.assert_allclose(params.transitions, pairs / pairs.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("init", ["k-means++", "random-rows", "random-responsibilities"])
def test_simulated_chains_are_recovered_from_every_start(init):
    x = counts([4000], seed=5)
    fit = em.fit(em.HMM(em.Poisson(), 2), x, init=init, restarts=2)
    fit_params = fit.model.relabel(fit.params, np.argsort(fit.params.rates.ravel()))
    np.testing.assert_allclose(fit_params.rates.ravel(), [3.0, 9.0], rtol=0.05)
    np.testing.assert_allclose(fit_params.transitions, STICKY, atol=0.04)
    truth = simulate(em.Poisson(), POISSON, [4000], seed=5)[1]
    found = fit.predict(x) == np.argsort(fit.params.rates.ravel())[truth]
    assert found.mean() > 0.9


def test_hard_e_steps_are_viterbi_training():
    """All of Q on one path: the bound is log p(x, path), climbs, and each M-step counts the path."""
    x = counts([60, 1, 25])
    model = em.HMM(em.Poisson(), 2)
    halves = list(islice(em.steps(model, x, POISSON, em.hard, lengths=[60, 1, 25]), 12))
    objectives = [half.objective for half in halves]
    assert np.all(np.diff(objectives) >= -1e-9)
    half = halves[0]
    path = model.decode(half.params, model.check_sequences(x, [60, 1, 25]))
    np.testing.assert_array_equal(half.q.probs, np.eye(2)[path])
    assert half.entropy == 0.0
    np.testing.assert_allclose(halves[1].params.rates.ravel(), [x[path == 0].mean(), x[path == 1].mean()])
    assert half.log_likelihood - half.elbo == pytest.approx(half.kl, rel=1e-10)


def test_kl_of_an_em_run_falls_straight_to_rounding():
    """Linear convergence shows as a straight line down to 1e-24: the KL of whole paths is never a difference."""
    x = em.datasets.load("earthquakes").select("count")
    init = TWO | {"rates": [[15.0], [25.0]]}
    kl = [half.kl for half in islice(em.steps(em.HMM(em.Poisson(), 2), x, init), 220) if half.kind == "M"]
    tail = np.log10(kl[20:100])
    assert kl[100] < 1e-21
    slope, intercept = np.polyfit(np.arange(80), tail, 1)
    np.testing.assert_allclose(tail, slope * np.arange(80) + intercept, atol=0.3)


def test_stationary_starts_are_the_left_eigenvector_and_not_free():
    model = em.HMM(em.Poisson(), 3, stationary=True)
    x = counts([120])
    fit = em.fit(model, x, restarts=2)
    values, vectors = np.linalg.eig(fit.params.transitions.T)
    first = np.real(vectors[:, np.argmax(np.real(values))])
    np.testing.assert_allclose(fit.params.start, first / first.sum(), rtol=1e-8, atol=1e-12)
    assert fit.n_params == 9
    assert em.fit(em.HMM(em.Poisson(), 3), x, restarts=1).n_params == 11
    np.testing.assert_allclose(fit.bic(), -2 * fit.log_likelihood + 9 * np.log(120))
    moved = fit.params._replace(start=np.array([1.0, 0.0, 0.0]))  # what accelerators may hand back
    np.testing.assert_array_equal(fit.model.log_likelihood(moved, x), fit.model.log_likelihood(fit.params, x))


BAD = [
    ("lengths-sum", {"lengths": [10, 9]}, ValueError, "lengths add up to 19, but x has 20 rows"),
    ("lengths-zero", {"lengths": [20, 0]}, ValueError, r"lengths\[1\] is 0"),
    ("lengths-negative", {"lengths": [25, -5]}, ValueError, r"lengths\[1\] is -5"),
    ("lengths-fractional", {"lengths": [10.0, 10.0]}, TypeError, "whole numbers"),
    ("lengths-one-number", {"lengths": 20}, ValueError, "one number per sequence"),
    ("lengths-none", {"lengths": []}, TypeError, "whole numbers"),
    ("weight-per-row", {"lengths": [10, 10], "weight": np.ones(20)}, ValueError, r"shape \(2,\)"),
    ("start-missing", {"init": {"transitions": STICKY, "rates": [[1.0], [2.0]]}}, ValueError, "lack the field 'start'"),
    ("transitions-sum", {"init": POISSON | {"transitions": [[0.9, 0.2], [0.5, 0.5]]}}, ValueError,
     r"transitions\[0\] must sum to 1"),
    ("transitions-shape", {"init": POISSON | {"transitions": np.ones((2, 3)) / 3}}, ValueError, r"shape \(2, 2\)"),
    ("field-unknown", {"init": POISSON | {"weights": [0.5, 0.5]}}, ValueError, "weights"),
    ("impossible", {"init": POISSON | {"rates": [[0.0], [0.0]]}}, ValueError, "sequence 0 is impossible"),
    ("labels-short", {"init": np.zeros(19, dtype=int)}, ValueError, r"\(20,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "error", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_settings(settings, error, words):
    with pytest.raises(error, match=words):
        em.fit(em.HMM(em.Poisson(), 2), counts([20]), **settings)


def test_bad_models_and_stationary_starts():
    for settings, error in (({"n_states": 0}, ValueError), ({"n_states": 1.5}, TypeError),
                            ({"n_states": 2, "start_prior": -1.0}, ValueError),
                            ({"n_states": 2, "transition_prior": np.nan}, ValueError)):  # fmt: skip
        with pytest.raises(error, match=next(name for name in reversed(settings))):
            em.HMM(em.Poisson(), **settings)
    model = em.HMM(em.Poisson(), 2, stationary=True)
    with pytest.raises(ValueError, match="no unique stationary distribution"):
        em.fit(model, counts([20]), init={"transitions": np.eye(2), "rates": [[1.0], [2.0]]})
    with pytest.raises(ValueError, match=r"not the stationary distribution \[0.66"):
        em.fit(model, counts([20]), init=POISSON)
    with pytest.raises(ValueError, match="n_states=30 needs at least as many rows, but x has 20"):
        em.fit(em.HMM(em.Poisson(), 30), counts([20]))


def test_a_table_is_one_sequence_and_checked_sequences_pass():
    model, x = em.HMM(em.Poisson(), 2), counts([25])
    data = model.check_sequences(x, [20, 5])
    assert len(data) == 2
    assert model.check(data) is data
    assert len(pose(model, x).x) == 1
    fit = em.fit(model, data, init=POISSON)
    assert fit.log_likelihood == em.fit(model, x, lengths=[20, 5], init=POISSON).log_likelihood
    np.testing.assert_array_equal(data[[1]].x, x[20:])
    x, z = model.sample(fit.params, [3, 4], np.random.default_rng(0))
    assert x.shape == (7, 1)
    assert z.shape == (7,)
