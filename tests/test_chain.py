"""The recursions along a chain, held to the enumeration of all paths and to a plain loop."""

from itertools import product

import numpy as np
import pytest

from emcore.chain import Layout, chain_posterior, independent_chain, log_totals, most_probable_path

pytestmark = pytest.mark.filterwarnings("error")


def by_enumeration(start, transitions, log_emissions):
    """All paths (m, t) of one sequence and log start + Σ log transitions + Σ log_emissions of each (m,)."""
    t, k = log_emissions.shape
    paths = np.array(list(product(range(k), repeat=t)))
    with np.errstate(divide="ignore"):
        moves = np.log(transitions)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        return paths, np.log(start)[paths[:, 0]] + moves + log_emissions[np.arange(t), paths].sum(axis=1)


def random_factors(rng, t, k, scale=1.0):
    start, transitions = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), size=k)
    return start, transitions, rng.normal(0.0, scale, (t, k))


def with_zeros(rng, start, transitions, log_emissions):
    """The same with impossible starts, moves and emissions; state 0 stays possible everywhere."""
    start = np.where(rng.random(start.shape) < 0.4, 0.0, start) + 0.1 * np.eye(len(start))[0]
    transitions = np.where(rng.random(transitions.shape) < 0.4, 0.0, transitions) + 0.1 * np.eye(len(start))[0]
    log_emissions = np.where(rng.random(log_emissions.shape) < 0.3, -np.inf, log_emissions)
    log_emissions[:, 0] = -1.0
    return start / start.sum(), transitions / transitions.sum(axis=1, keepdims=True), log_emissions


CASES = [(seed, scale, zeros) for seed in range(6) for scale, zeros in ((1.0, False), (1.0, True), (400.0, False))]


@pytest.mark.parametrize(("seed", "scale", "zeros"), CASES)
def test_everything_of_a_short_chain_is_its_enumeration(seed, scale, zeros):
    rng = np.random.default_rng(seed)
    k, lengths = int(rng.integers(1, 5)), rng.integers(1, 7, size=4)
    factors = random_factors(rng, int(lengths.sum()), k, scale)
    factors = with_zeros(rng, *factors) if zeros else factors
    others = random_factors(rng, int(lengths.sum()), k, scale)
    layout, weight, table = Layout(lengths), rng.random(4), rng.normal(size=(k, k))
    q, totals = chain_posterior(*factors, layout)
    p, _ = chain_posterior(*others, layout)
    counts, best = np.zeros((k, k)), q.mode()
    for i, (first, length) in enumerate(zip(layout.firsts, lengths)):
        rows = slice(first, first + length)
        paths, logs = by_enumeration(*factors[:2], factors[2][rows])
        total = np.logaddexp.reduce(logs)
        assert totals[i] == pytest.approx(total, rel=1e-12, abs=1e-12)
        probs = np.exp(logs - total)
        marginals = np.stack([probs[paths[:, s] == j].sum() for s in range(length) for j in range(k)])
        np.testing.assert_allclose(q.probs[rows].ravel(), marginals, atol=1e-12)
        some = probs > 0
        log_q, mass = (logs - total)[some], probs[some]
        np.testing.assert_allclose(q.entropy()[i], -mass @ log_q, rtol=1e-10, atol=1e-10)
        log_p = by_enumeration(*others[:2], others[2][rows])[1]
        divergence = mass @ (log_q - (log_p - np.logaddexp.reduce(log_p))[some])
        np.testing.assert_allclose(q.kl(p)[i], divergence, rtol=1e-9, atol=1e-9)
        gains = table[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        np.testing.assert_allclose(q.expected_transitions(table)[i], probs @ gains, rtol=1e-10, atol=1e-12)
        for before, after in zip(paths[:, :-1].T, paths[:, 1:].T):
            np.add.at(counts, (before, after), weight[i] * probs)
        path = best.probs[rows].argmax(axis=1)
        assert logs[(paths == path).all(axis=1)] == pytest.approx(logs.max(), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(q.transition_counts(weight), counts, atol=1e-12)
    assert np.all(q.kl(q) == 0.0)


def by_loop(start, transitions, log_emissions):
    """Marginals and log total of one sequence: the textbook's scaled recursion, one step at a time."""
    t, k = log_emissions.shape
    top = log_emissions.max(axis=1)
    emissions = np.exp(log_emissions - top[:, None])
    past, future, scale = np.empty((t, k)), np.ones((t, k)), np.empty(t)
    for s in range(t):
        past[s] = (start if s == 0 else past[s - 1] @ transitions) * emissions[s]
        scale[s] = past[s].sum()
        past[s] /= scale[s]
    for s in range(t - 2, -1, -1):
        future[s] = transitions @ (emissions[s + 1] * future[s + 1]) / scale[s + 1]
    return past * future, np.log(scale).sum() + top.sum()


LENGTHS = [
    [3000],
    [1000, 1, 50, 700],
    [20] * 300,
    [500, 499, 13, 60, 2],
    [1, 1, 1],
    [60],
    list(range(1, 60)),
    [4000] + [40] * 200,
    [400] * 300,
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=lambda lengths: f"{len(lengths)}x{max(lengths)}")
@pytest.mark.parametrize("stay", [0.3, 0.99])
def test_cut_and_packed_sequences_are_the_plain_loop(lengths, stay):
    rng = np.random.default_rng(len(lengths))
    start, transitions, log_emissions = random_factors(rng, sum(lengths), 3, 3.0)
    transitions = (1.0 - stay) * transitions + stay * np.eye(3)
    layout = Layout(np.array(lengths))
    q, totals = chain_posterior(start, transitions, log_emissions, layout)
    assert q.log_tilts is None  # rescaled numbers served
    for i in range(0, len(lengths), max(1, len(lengths) // 10)):
        rows = slice(layout.firsts[i], layout.firsts[i] + lengths[i])
        marginals, total = by_loop(start, transitions, log_emissions[rows])
        np.testing.assert_allclose(q.probs[rows], marginals, rtol=1e-9, atol=1e-13)
        assert totals[i] == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize("lengths", [[30], [900], [300, 200, 1], [7] * 20])
def test_several_sequences_are_each_alone(lengths):
    rng = np.random.default_rng(3)
    start, transitions, log_emissions = random_factors(rng, sum(lengths), 3, 4.0)
    layout = Layout(np.array(lengths))
    q, totals = chain_posterior(start, transitions, log_emissions, layout)
    path = most_probable_path(start, transitions, log_emissions, layout)
    for i, length in enumerate(lengths):
        rows = slice(layout.firsts[i], layout.firsts[i] + length)
        alone = Layout(np.array([length]))
        one, total = chain_posterior(start, transitions, log_emissions[rows], alone)
        np.testing.assert_allclose(one.probs, q.probs[rows], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose([one.entropy()[0], total[0]], [q.entropy()[i], totals[i]], rtol=1e-11)
        np.testing.assert_array_equal(path[rows], most_probable_path(start, transitions, log_emissions[rows], alone))
        np.testing.assert_allclose(q.rows([i]).transition_counts(), one.transition_counts(), rtol=1e-9)


def test_the_path_of_a_long_sequence_is_the_textbooks():
    rng = np.random.default_rng(4)
    start, transitions, log_emissions = random_factors(rng, 2000, 4, 2.0)
    score, pointers = np.log(start) + log_emissions[0], []
    for row in log_emissions[1:]:
        pointers.append((score[:, None] + np.log(transitions)).argmax(axis=0))
        score = (score[:, None] + np.log(transitions)).max(axis=0) + row
    path = [int(score.argmax())]
    for pointer in reversed(pointers):
        path.append(int(pointer[path[-1]]))
    found = most_probable_path(start, transitions, log_emissions, Layout(np.array([2000])))
    np.testing.assert_array_equal(found, path[::-1])


@pytest.mark.parametrize("steps", [40, 3000])
def test_states_that_fit_worse_by_more_than_the_range_of_numbers(steps):
    """Two states that never meet: the posterior odds are e^±(a few), though each step's are up to e^±2000."""
    rng = np.random.default_rng(5)
    swing = rng.normal(0.0, 1000.0, steps)
    swing[-1] -= swing.sum() + 1.0  # log odds of state 0 over the whole sequence: -1
    log_emissions = np.column_stack([swing, np.zeros(steps)])
    layout = Layout(np.array([steps]))
    q, totals = chain_posterior(np.array([0.5, 0.5]), np.eye(2), log_emissions, layout)
    odds = swing.sum()
    assert totals[0] == pytest.approx(np.log(0.5) + np.logaddexp(odds, 0.0), abs=1e-9)
    np.testing.assert_allclose(
        q.probs, np.tile([1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(odds))], (steps, 1)), rtol=1e-9
    )
    first = q.probs[0]
    assert q.entropy()[0] == pytest.approx(-(first * np.log(first)).sum(), rel=1e-9)
    np.testing.assert_allclose(q.transition_counts(), np.diag((steps - 1) * first), rtol=1e-9)
    shifted = log_emissions.copy()
    shifted[steps // 2, 0] += 0.5
    p, _ = chain_posterior(np.array([0.5, 0.5]), np.eye(2), shifted, layout)
    other = np.exp([odds + 0.5, 0.0]) / np.exp([odds + 0.5, 0.0]).sum()
    assert q.kl(p)[0] == pytest.approx((first * np.log(first / other)).sum(), rel=1e-6)


def test_kl_to_a_chain_whose_numbers_underflowed():
    """Where the other chain gives e^-5000 the divergence is large and finite; where it gives 0, infinite."""
    start, transitions = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]])
    layout = Layout(np.array([5]))
    q, _ = chain_posterior(start, transitions, np.zeros((5, 2)), layout)
    for worst in (-300.0, -5000.0):
        steep = np.zeros((5, 2))
        steep[2, 1] = worst
        p, total = chain_posterior(start, transitions, steep, layout)
        log_odds = q.probs[2, 1] * worst - total[0]  # E_q log p(z)/q(z)
        assert q.kl(p)[0] == pytest.approx(-log_odds, rel=1e-12)
    steep[2, 1] = -np.inf
    p, _ = chain_posterior(start, transitions, steep, layout)
    assert q.kl(p)[0] == np.inf
    assert np.isfinite(p.kl(q)[0])


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_tiny_kl_keeps_its_digits(size):
    """Tilting a chain by ε·D changes it by KL = ε² Var(D)/2 + O(ε³) (a cumulant expansion): here down to 1e-24."""
    rng = np.random.default_rng(6)
    start, transitions, log_emissions = random_factors(rng, 6, 3)
    tilt = rng.normal(size=(6, 3))
    layout = Layout(np.array([6]))
    q, _ = chain_posterior(start, transitions, log_emissions, layout)
    p, _ = chain_posterior(start, transitions, log_emissions + size * tilt, layout)
    paths, logs = by_enumeration(start, transitions, log_emissions)
    probs, amount = np.exp(logs - np.logaddexp.reduce(logs)), tilt[np.arange(6), paths].sum(axis=1)
    variance = probs @ (amount - probs @ amount) ** 2
    assert q.kl(p)[0] == pytest.approx(0.5 * size**2 * variance, rel=max(10 * size, 1e-3))


def test_an_independent_chain_is_a_product_of_rows():
    rng = np.random.default_rng(7)
    a, b = rng.dirichlet(np.ones(3), size=8), rng.dirichlet(np.ones(3), size=8)
    layout = Layout(np.array([5, 3]))
    q, p = independent_chain(a, layout), independent_chain(b, layout)
    sums = np.add.reduceat
    np.testing.assert_allclose(q.entropy(), -sums((a * np.log(a)).sum(axis=1), [0, 5]), rtol=1e-12)
    np.testing.assert_allclose(q.kl(p), sums((a * np.log(a / b)).sum(axis=1), [0, 5]), rtol=1e-12)
    pairs = sum(np.outer(a[s], a[s + 1]) for s in (0, 1, 2, 3, 5, 6))
    np.testing.assert_allclose(q.transition_counts(), pairs, rtol=1e-12)
    np.testing.assert_array_equal(q.mode().probs, np.eye(3)[a.argmax(axis=1)])
    assert np.all(q.mode().entropy() == 0.0)


def test_an_impossible_sequence_is_named():
    log_emissions = np.zeros((6, 2))
    log_emissions[4, 1] = -np.inf
    start, transitions, layout = np.array([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), Layout(np.array([3, 3]))
    log_emissions[4, 0] = 0.0
    for method in (chain_posterior, most_probable_path):
        with pytest.raises(ValueError, match=r"sequence 1 is impossible.*step 1 \(row 4 of x\)"):
            method(start, transitions, log_emissions, layout)
    np.testing.assert_array_equal(log_totals(start, transitions, log_emissions, layout), [0.0, -np.inf])
    log_emissions[2] = np.nan
    for method in (chain_posterior, most_probable_path):
        with pytest.raises(ValueError, match="row 2 of x has log p"):
            method(start, transitions, log_emissions, layout)
