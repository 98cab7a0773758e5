"""Quick passes of a hidden Markov model over many rows, held to the family's own arithmetic and to the plain chain."""

import numpy as np
import pytest

import emcore as em
from emcore.chain import Layout, chain_posterior
from emcore.models.hmm_rows import EmissionRows

LENGTHS = {"one": [5000], "many": [50] * 100, "ragged": [3000, 1, 700, 90, 1200, 9]}


def problem(shape, lengths, d=2, offset=0.0, width=1.0):
    rng = np.random.default_rng(4)
    k, t = 3, sum(lengths)
    z = np.repeat(rng.integers(0, k, -(-t // 10)), 10)[:t]
    means = offset + 3.0 * rng.normal(size=(k, d))
    x = means[z] + width * rng.normal(size=(t, d))
    model = em.HMM(em.Gaussian(shape), k)
    data = model.check_sequences(x, lengths)
    transitions = 0.6 * np.eye(k) + 0.4 / k
    covariances = {"full": np.tile(np.eye(d) + 0.2, (k, 1, 1)), "diag": np.ones((k, d)), "spherical": np.ones(k)}
    fields = {"start": np.full(k, 1 / k), "transitions": transitions}
    moved = means + 0.3 * width * rng.normal(size=(k, d))
    fields |= {"means": moved, "covariances": width**2 * (1.0 + rng.random(k).mean()) * covariances[shape]}
    return model, data, model.check_params(fields, data)


def plainly(model, data, params, weight):
    """Log-likelihoods, marginals and statistics from the family's densities of all rows in the order of the table."""
    log_prob = model.family.log_prob(params, data.x)
    q, totals = chain_posterior(params.start, params.transitions, log_prob, Layout(data.lengths))
    rows = np.repeat(weight, data.lengths)
    return totals, q.probs, model.family.suff_stats(data.x, q.probs * rows[:, None]), q.transition_counts(weight)


def close(a, b, rtol=1e-10):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("shape", ["full", "diag", "spherical"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_products_of_whitened_rows_are_the_familys_own_numbers(shape, lengths, offset):
    model, data, params = problem(shape, lengths, offset=offset)
    features = EmissionRows.of(model.family, data.placed)
    assert features is not None
    assert features.log_prob(params) is not None
    weight = np.random.default_rng(1).random(len(lengths)) + 0.5
    q, totals = model.infer(params, data)
    stats = model.suff_stats(data, q, weight)
    wanted, probs, family, counts = plainly(model, data, params, weight)
    rtol = 1e-10 if not offset else 1e-8  # the data themselves hold no more digits about their centre
    close(totals, wanted, rtol)
    np.testing.assert_allclose(q.probs, probs, atol=10 * rtol)
    close(stats.transitions, counts, rtol)
    close(stats.starts, weight @ probs[data.layout.firsts], rtol)
    for name, u, v in zip(family._fields[:3], stats.family, family):
        close(u, v, 100 * rtol if name == "scatter" and offset else rtol)


def test_features_too_many_to_keep_are_made_on_the_way(monkeypatch):
    model, data, params = problem("full", LENGTHS["ragged"])
    kept = model.infer(params, data)
    stats = model.suff_stats(data, kept[0])
    monkeypatch.setattr("emcore.models.hmm_rows._STORED", 1e3)
    again = model.check_sequences(data.x, data.lengths)
    made = model.infer(params, again)
    np.testing.assert_array_equal(made[1], kept[1])
    np.testing.assert_array_equal(model.suff_stats(again, made[0]).family.scatter, stats.family.scatter)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_a_narrow_state_goes_by_the_familys_arithmetic(lengths):
    model, data, params = problem("diag", lengths, width=1e-4)
    assert EmissionRows.of(model.family, data.placed).log_prob(params) is None
    weight = np.ones(len(lengths))
    q, totals = model.infer(params, data)
    wanted, probs, family, counts = plainly(model, data, params, weight)
    close(totals, wanted, 1e-12)
    np.testing.assert_allclose(q.probs, probs, atol=1e-10)
    stats = model.suff_stats(data, q)
    close(stats.transitions, counts)
    close(stats.family.scatter, family.scatter)


def test_who_goes_by_the_familys_arithmetic():
    x = np.random.default_rng(0).normal(size=(5000, 2))
    gaussian = em.Gaussian("diag")
    assert EmissionRows.of(gaussian, x) is not None
    holes = x.copy()
    holes[7, 1] = np.nan
    for family, rows in [
        (gaussian, x[:100]),
        (gaussian, holes),
        (gaussian, x * [1.0, 0.0]),
        (em.Gaussian("full"), x * [1.0, 0.0]),
        (em.Gaussian("tied"), x),
        (em.Poisson(), np.abs(x).round()),
    ]:
        assert EmissionRows.of(family, rows) is None


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("family", [em.Poisson(), em.Gaussian("diag")], ids=["poisson", "gaussian"])
def test_a_fit_ascends_and_reports_the_value_at_its_params(family, lengths):
    rng = np.random.default_rng(3)
    rates = np.where(np.repeat(rng.random(-(-sum(lengths) // 20)) < 0.5, 20)[: sum(lengths)], 2.0, 9.0)
    x = rng.poisson(rates)[:, None].astype(float)
    fit = em.fit(em.HMM(family, 2), x, lengths=lengths, restarts=1, max_iter=12, tol=0, trace=True)
    assert np.all(np.diff([half.objective for half in fit.trace]) > -1e-9 * abs(fit.objective))
    again = fit.model.log_likelihood(fit.params, fit.model.check_sequences(x, lengths)).sum()
    assert fit.log_likelihood == pytest.approx(again, rel=1e-12)
    for half in fit.trace.halves[::5]:
        assert half.log_likelihood == pytest.approx(half.elbo + half.kl, rel=1e-11)


def test_the_posterior_of_some_sequences_and_its_bookkeeping():
    model, data, params = problem("diag", LENGTHS["ragged"])
    q, _ = model.infer(params, data)
    some = q.rows([4, 0])
    alone, _ = model.infer(params, data[np.array([4, 0])])
    np.testing.assert_allclose(some.probs, alone.probs, atol=1e-10)
    close(some.transition_counts(), alone.transition_counts())
    close(some.entropy(), alone.entropy())
    np.testing.assert_array_equal(q.firsts, q.probs[data.layout.firsts])
    seen = np.zeros(len(data.x), dtype=int)
    for block, probs in q.row_blocks(1000):
        np.testing.assert_array_equal(probs, q.probs[data.layout.order[block]])
        seen[data.layout.order[block]] += 1
    assert np.all(seen == 1)
