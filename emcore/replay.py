"""The half-steps of a run whose params are known: what `trace.half_steps` records, for many iterations at once.

The rows of several iterations are stacked into one table, so that entropies, divergences and expectations are each one
call. The numbers are those of the generator, by the same functions.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from emcore.numerics import expectation_rows, normalize_log_rows, row_blocks
from emcore.passes import Expectations
from emcore.posteriors import CategoricalPosterior
from emcore.trace import HalfStep, Problem, Rows, half_steps, record

_CELLS = 1_000_000  # numbers of a table of stacked rows


def replay(problem: Problem, path: Sequence[Any], n_iter: int) -> Iterator[HalfStep]:
    """E, M, E, M, …: the half-steps of `n_iter` iterations of exact EM; the first E alone for none.

    `path`: the params of the run, or its start alone. DegenerateError where EM cannot go on.
    """
    start = path[0]
    q = problem.model.posterior(start, problem.x) if hasattr(problem.model, "kernel") else None
    if type(q) is not CategoricalPosterior:  # its z is not one label per row alone
        yield from islice(half_steps(problem, start), max(2 * n_iter, 1))
        return
    path = path if len(path) > n_iter else _path(problem, start, n_iter)
    most = max(_CELLS // q.probs.size, 1)
    for block in row_blocks(max(n_iter, 1), most):
        yield from _block(problem, path[block.start : min(block.stop, n_iter) + 1], block.start + 1)


def _path(problem: Problem, start: Any, n_iter: int) -> list[Any]:
    """The params before and after every iteration."""
    expectations, path = Expectations(problem), [start]
    for _ in range(n_iter):
        stats, _ = expectations(path[-1])
        path.append(problem.model.m_step(stats, path[-1]))
    return path


def _block(problem: Problem, path: Sequence[Any], first: int) -> Iterator[HalfStep]:
    """The half-steps from each of the params to the next."""
    model, x, _ = problem
    n, steps = len(x), max(len(path) - 1, 1)
    log_joint = _log_joints(model, path, x)
    probs, log_likelihood = normalize_log_rows(log_joint)
    posterior = CategoricalPosterior(probs, log_joint - log_likelihood[:, None])
    q = posterior.rows(slice(0, steps * n))
    entropy = q.entropy()  # q moves in the E-step alone

    def at(places: slice, kl: np.ndarray) -> Iterator[Rows]:
        """The rows of each step, at the params of these places."""
        tables = (log_likelihood[places], expectation_rows(q.probs, log_joint[places]), entropy, kl)
        return map(Rows, *(table.reshape(steps, n) for table in tables))

    after: Iterator[Rows] = iter(())
    if len(path) > 1:
        new = slice(n, None)
        after = at(new, q.kl(posterior.rows(new)))
    for i, rows in enumerate(at(slice(0, steps * n), np.zeros(steps * n))):  # q is the posterior: KL is 0
        own = q.rows(slice(i * n, (i + 1) * n))
        yield record(problem, first + i, "E", path[i], own, rows)
        if len(path) > 1:
            yield record(problem, first + i, "M", path[i + 1], own, next(after))


def _log_joints(model: Any, path: Sequence[Any], x: np.ndarray) -> np.ndarray:
    """log p(x_i, z) (steps·n, k), step after step."""
    if model.shared_fields:
        return np.concatenate([model.log_joint(params, x) for params in path])
    side_by_side = model.log_joint(model.pile(path), x).reshape(len(x), len(path), -1)
    return np.swapaxes(side_by_side, 0, 1).reshape(len(path) * len(x), -1)
