"""What a fit returns: the best run, how it ended, and what can be asked of it afterwards."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from emcore.accelerate import Accelerator
from emcore.esteps import EStep, exact
from emcore.numerics import DegenerateError
from emcore.replay import replay
from emcore.stopping import Run, Status
from emcore.trace import HalfStep, Problem, Trace, half_steps, read

NO_TRACE = "an accelerated run has no half-steps to trace"


@dataclass(frozen=True)
class Fit:
    """The best run of a fit. `log_likelihood` and `objective` are the values at `params`, exactly."""

    model: Any  # resolved: data-scaled hyper-parameters filled in
    params: Any
    log_likelihood: float
    objective: float
    status: Status
    message: str
    n_iter: int
    n_rows: float  # observations: Σ weights, or what the model counts (cells of a table, steps of a chain)
    restarts: tuple[Run, ...]
    best: int  # index into restarts
    problem: Problem = field(repr=False)
    e_step: EStep = field(repr=False, default=exact)
    accelerate: Accelerator | None = None
    recorded: tuple[HalfStep, ...] = field(repr=False, default=())

    @property
    def n_params(self) -> int:
        """Free parameters."""
        return self.model.n_params(self.params)

    @property
    def n_evaluations(self) -> int:
        """What the best run cost: evaluations of the EM map (see `Run`)."""
        return self.restarts[self.best].n_evaluations

    @cached_property
    def trace(self) -> Trace:
        """Every half-step of the best run: as recorded, or replayed from its start on first use.

        ValueError for an accelerated run: its leaps are no half-steps.
        """
        run = self.restarts[self.best]
        if self.accelerate is not None:
            raise ValueError(NO_TRACE + "; em.steps(model, x, fit.restarts[fit.best].start) shows EM from its start")
        halves: list[HalfStep] = list(self.recorded)
        if not halves:
            again = (
                replay(self.problem, [run.start], run.n_iter)
                if self.e_step is exact
                else half_steps(self.problem, run.start, self.e_step)
            )
            with suppress(DegenerateError):  # the run ended there too: what was recorded is the trace
                halves.extend(islice(again, max(2 * run.n_iter, 1)))
        return Trace(*self.problem, tuple(halves))

    def responsibilities(self, x: Any, lengths: Any = None) -> np.ndarray:
        """p(z = k | x_i; params) (n, k); of a Markov chain, given all of the sequence."""
        q = self.model.posterior(self.params, read(self.model, x, lengths))
        if not hasattr(q, "probs"):
            raise TypeError(f"{type(self.model).__name__} has no finite z per row: see model.posterior(params, x)")
        return q.probs

    def predict(self, x: Any, lengths: Any = None) -> np.ndarray:
        """The most probable z of every row (n,); of a Markov chain, the most probable path."""
        if hasattr(self.model, "decode"):
            return self.model.decode(self.params, read(self.model, x, lengths))
        return self.responsibilities(x, lengths).argmax(axis=1)

    def bic(self, x: Any = None, lengths: Any = None) -> float:
        """-2 log p(x) + n_params log n (Schwarz 1978; smaller is better), of the data fitted unless x is given."""
        log_likelihood, n = self._evaluated(x, lengths)
        return -2.0 * log_likelihood + self.n_params * float(np.log(n))

    def aic(self, x: Any = None, lengths: Any = None) -> float:
        """-2 log p(x) + 2 n_params (Akaike 1974; smaller is better)."""
        return -2.0 * self._evaluated(x, lengths)[0] + 2.0 * self.n_params

    def standard_errors(self, x: Any = None, method: str = "hessian") -> Any:
        """Standard errors of the params, NaN where held (see `uncertainty.standard_errors`), by the data fitted.

        Other rows given as x count once each; the same rows keep the weights of the fit.
        """
        from emcore.uncertainty import standard_errors

        model, fitted, weight = self.problem
        rows = fitted if x is None else model.check(x)
        if rows is not fitted and not (isinstance(rows, np.ndarray) and np.array_equal(rows, fitted, equal_nan=True)):
            fitted, weight = rows, None
        return standard_errors(model, self.params, fitted, weight=weight, method=method)

    def _evaluated(self, x: Any, lengths: Any) -> tuple[float, float]:
        if x is None:
            return self.log_likelihood, self.n_rows
        other = Problem(self.model, read(self.model, x, lengths), None)
        return float(self.model.log_likelihood(self.params, other.x).sum()), n_observations(other)


def total_weight(problem: Problem) -> float:
    """Σ weights, or the number of rows."""
    return float(len(problem.x)) if problem.weight is None else float(problem.weight.sum())


def n_observations(problem: Problem) -> float:
    """n of the BIC: a model whose rows are tables or sequences says itself how much it has seen."""
    if hasattr(problem.model, "n_observations"):
        return problem.model.n_observations(problem.x, problem.weight)
    return total_weight(problem)
