"""Passes along one chain under the params of many iterations at once: as many steps as one run takes, not times h.

Reference: Rabiner (1989), Proc. IEEE 77, 257-286, sections III.A and III.B.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emcore.numerics import log_or_minus_inf


def filter_forward(model: Any, every: Sequence[Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p(z_s | x_1 … x_s) (h, t, k) and log p(x) (h,) of one sequence under each of h params: a pass forward, in logs.

    log p(x) = Σ_s log p(x_s | x_1 … x_s-1), the normalisers on the way.
    """
    ahead, moves, log_emissions = _logs(model, every, x)
    filtered, total = np.empty(log_emissions.shape), np.zeros(len(every))
    for step in range(log_emissions.shape[1]):
        here = ahead + log_emissions[:, step]
        scale = np.logaddexp.reduce(here, axis=1)
        here -= scale[:, None]
        total += scale
        filtered[:, step] = np.exp(here)
        ahead = np.logaddexp.reduce(here[:, :, None] + moves, axis=1)
    return filtered, total


def likeliest_paths(model: Any, every: Sequence[Any], x: np.ndarray) -> np.ndarray:
    """The one most probable path (h, t) of one sequence under each of h params; the first of equals.

    Reference: Viterbi (1967), IEEE Trans. Inform. Theory 13, 260-269.
    """
    best, moves, log_emissions = _logs(model, every, x)
    best = best + log_emissions[:, 0]
    n_runs, steps, n_states = log_emissions.shape
    came_from = np.zeros((steps, n_runs, n_states), dtype=np.intp)
    for step in range(1, steps):
        arriving = best[:, :, None] + moves
        came_from[step] = arriving.argmax(axis=1)
        best = arriving.max(axis=1) + log_emissions[:, step]
    paths, runs = np.empty((n_runs, steps), dtype=np.intp), np.arange(n_runs)
    paths[:, -1] = best.argmax(axis=1)
    for step in range(steps - 1, 0, -1):
        paths[:, step - 1] = came_from[step, runs, paths[:, step]]
    return paths


def _logs(model: Any, every: Sequence[Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log start (h, k), log transitions (h, k, k) and log p(x_s | z_s) (h, t, k)."""
    starts = np.stack([model.start_of(params) for params in every])
    moves = np.stack([params.transitions for params in every])
    return (
        log_or_minus_inf(starts),
        log_or_minus_inf(moves),
        np.stack([model.family.log_prob(params, x) for params in every]),
    )
