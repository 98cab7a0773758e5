"""Many starts advanced together: one pass over the rows serves them all.

The components of S starts are S·k components of one *pile* (see `Mixture.pile`), so an iteration costs one E-step, one
M-step and one look at the stopping rule for all of them. A start leaves the pile when its own run ends, converged or
degenerate, and for no other reason: no sign short of that can promise that it would not have won.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from emcore.numerics import DegenerateError
from emcore.passes import DOUBLE, Engine
from emcore.stopping import (
    Progress,
    Run,
    Status,
    contraction,
    is_over,
    is_settled,
    out_of_iterations,
    parameter_changes,
    verdict,
)
from emcore.trace import Problem


class _Front(NamedTuple):
    """The runs still going: params, the statistics there, and the values there. Arrays have one entry per run."""

    numbers: np.ndarray  # which starts they are
    params: Any  # a pile
    stats: Any  # a pile
    log_likelihood: np.ndarray
    progress: Progress

    def only(self, keep: np.ndarray) -> "_Front":
        """Those marked True."""
        return self if keep.all() else _select(self, keep)


def _select(tree: Any, keep: np.ndarray) -> Any:
    if isinstance(tree, tuple):
        parts = [_select(part, keep) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, np.ndarray):
        return tree.reshape(len(keep), -1, *tree.shape[1:])[keep].reshape(-1, *tree.shape[1:])
    return tree  # what statistics carry besides numbers


class Lockstep:
    """The runs of one problem from many starts; the model brings its `kernel` and can pile params.

    With `keep_path`, `path` holds the params of a single start before the first iteration and after each.
    """

    def __init__(
        self,
        problem: Problem,
        tol: float,
        max_iter: int,
        n_rows: float,
        engine: Engine = DOUBLE,
        *,
        keep_path: bool = False,
    ) -> None:
        self._model = problem.model
        self._kernel = problem.model.kernel(problem.x, problem.weight, **engine._asdict())
        self._tol, self._max_iter, self._n_rows = tol, max_iter, n_rows
        self._rounding = float(np.finfo(engine.dtype).eps)
        self._keep_path = keep_path
        self.path: list[Any] = []

    def runs(self, starts: Sequence[Any]) -> list[Run]:
        """One `Run` for every start, as if it had gone alone. ValueError for a start that is degenerate itself."""
        ended: dict[int, Run] = {}
        never = np.full(len(starts), np.inf)
        try:
            params = self._model.pile(starts)
            front = self._arrive(np.arange(len(starts)), params, Progress(-never, never, never, never))
        except DegenerateError as error:
            raise ValueError(f"the start is degenerate: {error}") from error
        for n_iter in range(1, self._max_iter + 1):
            after, before = self._advance(front, starts, n_iter, ended)
            front = self._judge(after, before, starts, n_iter, ended)
            if not len(front.numbers):
                break
        for i, (index, gain) in enumerate(zip(front.numbers, front.progress.gain)):
            how = out_of_iterations(self._max_iter, gain)
            ended[index] = self._end(front, i, starts, self._max_iter, *how)
        return [ended[i] for i in range(len(starts))]

    def _arrive(self, index: np.ndarray, params: Any, before: Progress) -> _Front:
        """The front at new params: statistics and values there, and how far it has come."""
        stats, log_likelihood = self._kernel.evaluate(params, len(index))
        if self._keep_path:
            self.path += self._model.unpile(params, 1)
        objective = log_likelihood + self._model.log_priors(params, len(index))
        return _Front(index, params, stats, log_likelihood, before._replace(objective=objective))

    def _step(self, front: _Front) -> _Front:
        """One M-step and one pass over the rows. DegenerateError where any of the runs cannot go on."""
        n_runs, (objective, _, moved, _) = len(front.numbers), front.progress
        params = self._model.m_step_pile(front.stats, front.params, n_runs)
        after = self._arrive(front.numbers, params, front.progress)
        gain = after.progress.objective - objective
        change = rate = np.full(n_runs, np.inf)
        if is_settled(after.progress.objective, gain, self._n_rows, self._tol, self._rounding).any():
            change = parameter_changes(params, front.params, n_runs)
            rate = contraction(change, moved)
        return after._replace(progress=Progress(after.progress.objective, gain, change, rate))

    def _advance(
        self, front: _Front, starts: Sequence[Any], n_iter: int, ended: dict[int, Run]
    ) -> tuple[_Front, _Front]:
        """The front after an iteration, and before it; runs that ended degenerate are out of both."""
        try:
            return self._step(front), front
        except DegenerateError:
            sound = np.ones(len(front.numbers), dtype=bool)
        for i, index in enumerate(front.numbers):
            try:
                self._step(_select(front, np.arange(len(sound)) == i))
            except DegenerateError as error:
                sound[i] = False
                ended[index] = self._end(front, i, starts, n_iter - 1, Status.DEGENERATE, str(error))
        front = front.only(sound)
        return (self._step(front) if sound.any() else front), front

    def _judge(
        self, after: _Front, before: _Front, starts: Sequence[Any], n_iter: int, ended: dict[int, Run]
    ) -> _Front:
        """The runs that go on."""
        over = is_over(after.progress, self._n_rows, self._tol, monotone=True, rounding=self._rounding)
        for i in np.flatnonzero(over).tolist():
            own = Progress(*(float(part[i]) for part in after.progress))
            how = verdict(own, self._n_rows, self._tol, monotone=True, rounding=self._rounding)
            assert how is not None
            lost = how[0] is Status.NONFINITE
            ended[after.numbers[i]] = self._end(before if lost else after, i, starts, n_iter - lost, *how)
        return after.only(~over)

    def _end(self, front: _Front, i: int, starts: Sequence[Any], n_iter: int, status: Status, message: str) -> Run:
        (params,) = self._model.unpile(_select(front.params, np.arange(len(front.numbers)) == i), 1)
        value, log_likelihood = float(front.progress.objective[i]), float(front.log_likelihood[i])
        start = starts[front.numbers[i]]
        return Run(start, params, value, log_likelihood, n_iter, status, message, n_iter + 1)
