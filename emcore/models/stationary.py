"""Markov chains that start in equilibrium: the stationary distribution, and the M-step that must respect it.

With z_1 ~ π and π = π A, the expected log-likelihood of the transitions is Σ n_ij log A_ij + Σ m_i log π_i(A): the
first states inform the transitions too, and the maximiser has no closed form.
Reference: Zucchini, MacDonald & Langrock (2016), Hidden Markov Models for Time Series, 2nd ed., sections 1.3 and 4.2.5.
"""

import numpy as np
from scipy.special import xlogy

from emcore.numerics import DegenerateError
from emcore.parameters import Simplex

_LEAST = 1e-250  # an equilibrium probability that counts as 0
_SWEEPS = 200


def stationary_distribution(transitions: np.ndarray) -> np.ndarray:
    """The π (k,) with π A = π, every entry to full relative precision.

    States are eliminated one by one, without a subtraction: Grassmann, Taksar & Heyman (1985), Oper. Res. 33,
    1107-1116. Raises DegenerateError where π is not unique: two groups of states that never lead to one another.
    """
    censored, k = transitions.copy(), len(transitions)
    np.fill_diagonal(censored, 0.0)
    order = np.arange(k)
    for last in range(k - 1, 0, -1):
        if not censored[last, :last].any():  # it leads nowhere: another one must go first
            _swap(censored, order, last, int(censored[: last + 1, : last + 1].sum(axis=1).argmax()))
        leaving = censored[last, :last].sum()
        if not leaving > 0:
            raise DegenerateError(
                "the transitions have no unique stationary distribution: some states never lead to the others"
            )
        censored[:last, last] /= leaving
        censored[:last, :last] += censored[:last, last, None] * censored[last, :last]
        censored[range(last), range(last)] = 0.0
    pi = np.ones(k)
    for state in range(1, k):
        pi[state] = pi[:state] @ censored[:state, state]
    return pi[order.argsort()] / pi.sum()


def _swap(table: np.ndarray, order: np.ndarray, a: int, b: int) -> None:
    """Exchange two states of a table (k, k) and of the list of states."""
    table[[a, b]] = table[[b, a]]
    table[:, [a, b]] = table[:, [b, a]]
    order[[a, b]] = order[[b, a]]


def expected_log(transitions: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> float:
    """Σ counts_ij log A_ij + Σ starts_i log π_i(A); a count of 0 wipes out log 0."""
    return float(xlogy(counts, transitions).sum() + xlogy(starts, stationary_distribution(transitions)).sum())


def pull_of_starts(transitions: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(k, k): the derivative of Σ starts_i log π_i by A_ij, less its mean Σ_j A_ij · over the row.

    dπ = π dA (I - A + 1 π)⁻¹: Schweitzer (1968), J. Appl. Prob. 5, 401-413.
    """
    pi = stationary_distribution(transitions)
    if (pi[starts > 0] < _LEAST).any():
        raise DegenerateError("a first state has probability 0 in equilibrium")
    ratios = np.divide(starts, pi, out=np.zeros_like(pi), where=starts > 0)
    try:
        gain = np.linalg.solve(np.eye(len(pi)) - transitions + pi, ratios)
    except np.linalg.LinAlgError:
        gain = np.full(len(pi), np.inf)
    if not np.abs(gain).max() < 1e250:
        raise DegenerateError("to rounding, some states never lead to the others")
    return pi[:, None] * (gain - (transitions @ gain)[:, None])


def best_transitions(counts: np.ndarray, starts: np.ndarray, present: np.ndarray) -> np.ndarray:
    """argmax over A (k, k) of `expected_log`, and never below its value at `present`, whose zeros stay.

    At the maximum A_ij (n_i - pull_ij) = n_ij with n_i the row's total: swept to rounding where that converges and does
    not lose, else climbed by a quasi-Newton method in softmax coordinates.
    """
    total = counts.sum(axis=1, keepdims=True)
    ratio = np.where(total > 0, counts / np.where(total > 0, total, 1.0), present)
    enough = _value(present, counts, starts) - 1e-13 * (counts.sum() + starts.sum())
    for origin in (present, ratio):
        swept = _sweep(counts, starts, origin)
        if swept is not None and _value(swept, counts, starts) >= enough:
            return swept
    summits = [_climb(counts, starts, origin) for origin in (present, 0.9 * ratio + 0.1 * present)]
    return max([present, *summits], key=lambda transitions: _value(transitions, counts, starts))


def _value(transitions: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> float:
    try:
        return expected_log(transitions, counts, starts)
    except DegenerateError:
        return -np.inf


def _sweep(counts: np.ndarray, starts: np.ndarray, transitions: np.ndarray) -> np.ndarray | None:
    """The fixed point of A_ij = n_ij / (n_i - pull_ij), or None where it is not reached."""
    total = counts.sum(axis=1, keepdims=True)
    used = total[:, 0] > 0
    for _ in range(_SWEEPS):
        try:
            room = total - pull_of_starts(transitions, starts)
        except DegenerateError:
            return None
        if not (room[used] > 0).all():
            return None
        fresh = transitions.copy()
        fresh[used] = counts[used] / room[used]
        fresh /= fresh.sum(axis=1, keepdims=True)
        change = np.abs(fresh - transitions).max()
        transitions = fresh
        if change < 1e-15:
            return transitions
    return None


def _climb(counts: np.ndarray, starts: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Where BFGS arrives from `present`, in log-ratios to the largest entry of each row."""
    from scipy.optimize import minimize

    chart = Simplex()
    free = present > 0
    free[np.arange(len(present)), present.argmax(axis=1)] = False
    total = counts.sum(axis=1, keepdims=True)

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        transitions = chart.from_free(vector, present)
        try:
            slope = counts - transitions * (total - pull_of_starts(transitions, starts))
            return -expected_log(transitions, counts, starts), -slope[free]
        except DegenerateError:  # a trial step too far
            return np.inf, np.zeros(len(vector))

    precise = {"gtol": 1e-10 * (counts.sum() + starts.sum())}
    found = minimize(loss, chart.to_free(present, present), jac=True, method="BFGS", options=precise)
    return chart.from_free(found.x, present)
