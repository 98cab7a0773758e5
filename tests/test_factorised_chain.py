"""A chain under an independent Q: coordinate ascent and its gap, against all paths one by one."""

import json
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import softmax

from emcore.chain import Layout, independent_chain
from emcore.charts.factorised_chain import factorised_climb, factorised_marginals, gap_by_coupling
from emcore.charts.live import live_spec
from emcore.classroom.factorised_chain import (
    ACCURACY,
    SEEN,
    STAYS,
    SWEEPS,
    Factors,
    ascend,
    compare,
    factorised_elbo,
    gap_by_stay,
    said,
)
from emcore.families.binomial import Bernoulli
from emcore.models.hmm import HMM


def drawn(seed, steps=5, k=3):
    rng = np.random.default_rng(seed)
    start, moves = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), size=k)
    factors = Factors(np.log(start), np.log(moves), rng.normal(0, 2, (steps, k)))
    return factors, rng.dirichlet(np.ones(k), size=steps)


def every_path(factors):
    """All paths (m, t), and log p(x, z) of each, term by term."""
    steps, k = factors.log_emissions.shape
    paths = np.array(list(product(range(k), repeat=steps)))
    return paths, np.array(
        [
            factors.log_start[path[0]]
            + sum(factors.log_transitions[a, b] for a, b in pairwise(path))
            + sum(factors.log_emissions[s, z] for s, z in enumerate(path))
            for path in paths
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_elbo_and_gap_are_those_of_all_paths(seed):
    factors, start = drawn(seed)
    run = ascend(factors, start, 4)
    paths, log_joint = every_path(factors)
    total = np.logaddexp.reduce(log_joint)
    for probs, elbo in zip(run.probs, run.elbo, strict=True):
        q = np.array([np.prod([probs[s, z] for s, z in enumerate(path)]) for path in paths])
        assert elbo == pytest.approx(q @ (log_joint - np.log(q)), abs=1e-11)
        assert total - elbo == pytest.approx(q @ (np.log(q) - log_joint + total), abs=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_every_update_is_the_best_there_is(seed):
    """The update has the highest ELBO of many rivals that differ in the same step, and never lowers the ELBO."""
    factors, start = drawn(seed)
    run = ascend(factors, start, 3)
    assert len(run.elbo) == 16
    assert np.diff(run.elbo).min() > -1e-13 * np.abs(run.elbo).max()
    assert run.elbo[-1] > run.elbo[0] + 0.01
    rng = np.random.default_rng(seed)
    for update, probs in enumerate(run.probs[1:], start=1):
        step = (update - 1) % 5
        rivals = np.repeat(probs[None], 50, axis=0)
        rivals[:25, step] = rng.dirichlet(np.ones(3), size=25)
        rivals[25:, step] = softmax(np.log(probs[step]) + 1e-3 * rng.normal(size=(25, 3)), axis=1)
        assert factorised_elbo(factors, rivals).max() < run.elbo[update]
        others = np.delete(np.arange(5), step)
        np.testing.assert_array_equal(probs[others], run.probs[update - 1][others])


def test_independent_steps_are_fitted_exactly_in_one_sweep():
    factors, start = drawn(0)
    free = factors._replace(log_transitions=np.tile(factors.log_transitions[0], (3, 1)))
    run, (_, log_joint) = ascend(free, start, 1), every_path(free)
    assert run.elbo[-1] == pytest.approx(np.logaddexp.reduce(log_joint), abs=1e-12)


def test_forbidden_moves_are_refused_in_words():
    factors, start = drawn(0)
    with pytest.raises(ValueError, match="no probability may be 0"):
        ascend(factors._replace(log_start=np.array([0.0, -np.inf, -np.inf])), start, 1)


@pytest.mark.parametrize("stay", [0.5, 0.7, 0.9, 0.98])
def test_the_lesson_compares_with_forward_and_backward_passes(stay):
    found = compare(stay)
    moves = np.array([[stay, 1 - stay], [1 - stay, stay]])
    told = np.where(np.array(SEEN)[:, None] == np.arange(2), ACCURACY, 1 - ACCURACY)
    paths, log_joint = every_path(Factors(np.log([0.5, 0.5]), np.log(moves), np.log(told)))
    weight = softmax(log_joint)
    np.testing.assert_allclose(found.posterior[:, 1], weight @ paths, atol=1e-12)
    assert found.log_likelihood == pytest.approx(np.logaddexp.reduce(log_joint), abs=1e-12)
    np.testing.assert_allclose(found.log_likelihood - found.run.elbo, found.gap, atol=1e-11)
    model, x = HMM(Bernoulli(), 2), np.array(SEEN, dtype=float)[:, None]
    params = model.check_params(
        {"start": [0.5, 0.5], "transitions": moves, "probs": [[1 - ACCURACY], [ACCURACY]]}, model.check(x)
    )
    q = independent_chain(found.run.probs[-1], Layout(np.array([len(SEEN)])))
    assert q.kl(model.posterior(params, x))[0] == pytest.approx(found.gap[-1], abs=1e-11)
    pairs = [correlation(paths, weight, s) for s in range(len(SEEN) - 1)]
    assert found.correlation == pytest.approx(np.mean(pairs), abs=1e-12)


def correlation(paths, weight, s):
    covariance = np.cov(paths[:, s], paths[:, s + 1], aweights=weight, ddof=0)
    return covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])


def test_the_gap_widens_with_the_correlation_until_q_gives_up_one_side():
    gaps = dict(gap_by_stay())
    assert tuple(gaps) == STAYS
    assert gaps[0.5] == pytest.approx(0, abs=1e-12)
    assert all(gaps[a] < gaps[b] for a, b in pairwise(STAYS[:21]))
    last = compare(0.98)
    assert last.posterior[:, 1].min() > 0.4
    assert last.run.probs[-1, :, 1].max() < 0.02, "all on one state"
    assert gaps[0.98] == pytest.approx(np.log(2), abs=0.25), "about the half of the posterior that Q leaves out"


def test_what_is_said_is_what_was_found():
    found = compare(0.9)
    assert "correlation 0.73" in said(found)
    assert "1.415 nats" in said(found)
    assert "at step 2: 0.089 for 0.499" in said(found)
    assert "one state" not in said(found)
    assert "All of Q is on one state" in said(compare(0.98))
    assert len(found.run.elbo) == SWEEPS * len(SEEN) + 1


def test_the_pictures_show_the_numbers():
    found = compare(0.8)
    bars = factorised_marginals(*found.marginals, width="container")
    climb = factorised_climb(*found.climb, width="container")
    curve = gap_by_coupling(*found.coupling, width="container")
    for picture in (bars, climb, curve):
        assert len(json.dumps(picture.to_dict(validate=True), allow_nan=False)) < 100_000
    tables = bars.to_dict()["datasets"]
    np.testing.assert_allclose([bar["share"] for bar in tables["bars"][-8:]], found.run.probs[-1, :, 1])
    np.testing.assert_allclose([bar["share"] for bar in tables["exact"]], found.posterior[:, 1])
    assert tables["words"][9]["words"] == f"sweep 2, step 0 set to its best: gap {found.gap[9]:.3f} nats"
    assert curve.to_dict()["datasets"]["here"][0]["gap"] == pytest.approx(found.gap[-1])


def test_another_chain_changes_data_alone():
    def three(stay):
        found = compare(stay)
        yield factorised_marginals(*found.marginals)
        yield factorised_climb(*found.climb)
        yield gap_by_coupling(*found.coupling)

    for one, other in zip(three(0.6), three(0.9), strict=True):
        assert live_spec(one).shell | {"description": ""} == live_spec(other).shell | {"description": ""}
