"""Chains in equilibrium: the stationary distribution, and the M-step that has no closed form."""

import numpy as np
import pytest
from scipy.optimize import minimize

from emcore.models.stationary import best_transitions, expected_log, pull_of_starts, stationary_distribution
from emcore.numerics import DegenerateError
from emcore.parameters import Simplex

pytestmark = pytest.mark.filterwarnings("error")


def problem(seed, k=3, starts=1.0):
    """Counts of transitions and of first states, and transitions to start from."""
    rng = np.random.default_rng(seed)
    present = rng.dirichlet(np.ones(k), size=k)
    return rng.gamma(1.0, 10.0, (k, k)), starts * rng.dirichlet(np.ones(k)), present


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_stationary_distribution_is_kept_by_a_step(k):
    transitions = np.random.default_rng(k).dirichlet(np.full(k, 0.3), size=k)
    pi = stationary_distribution(transitions)
    np.testing.assert_allclose(pi @ transitions, pi, rtol=1e-12)
    assert pi.sum() == pytest.approx(1.0, rel=1e-14)


def test_rare_states_keep_their_digits():
    """Two states: π ∝ (b, a) exactly, however rare the moves."""
    a, b = 1e-30, 1e-13
    np.testing.assert_allclose(stationary_distribution(np.array([[1 - a, a], [b, 1 - b]])), [1.0, a / b], rtol=1e-14)


def test_states_that_nothing_leads_to_have_probability_0():
    transitions = np.array([[0.2, 0.4, 0.4], [0.0, 0.5, 0.5], [0.0, 0.3, 0.7]])
    np.testing.assert_allclose(stationary_distribution(transitions), [0.0, 0.375, 0.625], rtol=1e-14)
    assert stationary_distribution(transitions)[0] == 0.0


@pytest.mark.parametrize("apart", [np.eye(2), np.kron(np.eye(2), np.full((2, 2), 0.5))])
def test_groups_that_never_meet_have_no_one_equilibrium(apart):
    with pytest.raises(DegenerateError, match="no unique stationary distribution"):
        stationary_distribution(apart)


@pytest.mark.parametrize("seed", range(5))
def test_the_pull_of_the_starts_is_their_derivative(seed):
    counts, starts, transitions = problem(seed, starts=4.0)
    chart = Simplex()
    at = chart.to_free(transitions, transitions)
    slope = transitions * pull_of_starts(transitions, starts)
    free = np.ones_like(transitions, dtype=bool)
    free[np.arange(3), transitions.argmax(axis=1)] = False

    def value(vector):
        return expected_log(chart.from_free(vector, transitions), 0.0 * counts, starts)

    steps = 1e-5 * np.eye(len(at))
    numeric = [(value(at + step) - value(at - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(slope[free], numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("starts", [0.01, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_m_step_reaches_the_top(seed, starts):
    """No direct search from the answer, or from elsewhere, finds more."""
    counts, first, present = problem(seed, starts=starts)
    best = best_transitions(counts, first, present)
    top = expected_log(best, counts, first)
    assert top >= expected_log(present, counts, first)
    chart = Simplex()

    def loss(vector):
        return -expected_log(chart.from_free(vector, present), counts, first)

    for origin in (best, present, counts / counts.sum(axis=1, keepdims=True)):
        found = minimize(
            loss, chart.to_free(origin, present), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-9}
        )
        assert -found.fun <= top + 1e-7 * (1.0 + abs(top))


def test_without_first_states_the_m_step_is_the_ratio_of_counts():
    counts, first, present = problem(0, starts=0.0)
    np.testing.assert_allclose(best_transitions(counts, first, present), counts / counts.sum(axis=1, keepdims=True))


def test_first_states_that_the_counts_forbid_still_get_a_chance():
    """Counts that never enter state 0, but a sequence that starts there: its equilibrium probability must not be 0."""
    counts, starts = np.array([[5.0, 5.0], [0.0, 20.0]]), np.array([1.0, 0.0])
    best = best_transitions(counts, starts, np.array([[0.5, 0.5], [0.2, 0.8]]))
    # with a = A_10: π_0 = a/(a + A_01), so b = A_01 and a maximise 5 log (1-b) + 5 log b + 20 log (1-a) + log a/(a + b)
    a, b = best[1, 0], best[0, 1]
    assert 5 / b - 5 / (1 - b) - 1 / (a + b) == pytest.approx(0.0, abs=1e-4)
    assert 1 / a - 20 / (1 - a) - 1 / (a + b) == pytest.approx(0.0, abs=1e-4)
