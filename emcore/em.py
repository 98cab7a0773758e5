"""`fit`: the loop with a stopping rule, restarts and an honest account of how it ended."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from emcore.accelerate import Accelerator, accelerator
from emcore.esteps import EStep, e_step_at, exact, is_judged, is_monotone
from emcore.initialise import is_params
from emcore.lockstep import Lockstep
from emcore.numerics import DegenerateError
from emcore.passes import EMMap, Pass, plain_passes, traced_passes
from emcore.replay import replay
from emcore.stopping import Progress, Run, Status, out_of_iterations, parameter_change, verdict
from emcore.trace import HalfStep, Problem, Trace, half_steps, many_start_params, pose, read, start_params
from emcore.trees import to_vector

_DEFAULT_RESTARTS = 10
_NO_TRACE = "an accelerated run has no half-steps to trace"


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
            raise ValueError(_NO_TRACE + "; em.steps(model, x, fit.restarts[fit.best].start) shows EM from its start")
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
        return float(self.model.log_likelihood(self.params, other.x).sum()), _n_observations(other)


def fit(
    model: Any,
    x: Any,
    *,
    init: Any = "k-means++",
    restarts: int | None = None,
    seed: int = 0,
    tol: float = 1e-12,
    max_iter: int = 10_000,
    weight: Any = None,
    lengths: Any = None,
    e_step: EStep = exact,
    accelerate: Any = None,
    trace: bool = False,
) -> Fit:
    """Fit a latent-variable model by EM from one or many starts, and keep the best sound one.

    `x`: array (n, d) or data frame. `init`: "k-means++", "random-rows", "random-responsibilities", a params tuple (or
    mapping of its fields), labels (n,) or responsibilities (n, k). `restarts`: 10 random starts unless given; explicit
    starts allow one. `seed`: of all random starts. `tol`: nats per row that an iteration may still gain, with √tol/10
    the relative distance that the parameters may still have to go; 0 runs to `max_iter`. `weight` (n,): frequencies or
    sample weights. `lengths`: of the sequences of a Markov model. `trace=True` records the half-steps of a single start
    as it goes; otherwise `Fit.trace` replays them when first asked. Runs that end DEGENERATE lose to any that do not.
    `e_step`: the choice of Q (see `esteps`). `accelerate`: "anderson" (the fastest, mostly), "squarem", "over-relaxed"
    or a configured one (see `accelerate`): limits of EM in fewer evaluations, but without half-steps to trace.

    Raises TypeError or ValueError for bad input; never for how the run ended: see `Fit.status` and `Fit.message`.
    """
    _check_settings(restarts, tol, max_iter)
    scheme = _check_scheme(accelerate, e_step, trace)
    problem = pose(model, x, weight, lengths)
    starts = list(_starts(problem, init, restarts, seed))
    alone = trace and len(starts) == 1
    halves: list[HalfStep] = []
    if hasattr(problem.model, "kernel") and scheme is None and e_step is exact:
        together = Lockstep(problem, tol, max_iter, _n_rows(problem), keep_path=alone)
        runs = together.runs(starts)
        halves += replay(problem, together.path, runs[0].n_iter) if alone else ()
    else:
        record = halves if alone else None
        ways = (_passes(problem, start, e_step, scheme, record) for start in starts)
        runs = [_run(problem, start, way, tol, max_iter, e_step) for start, way in zip(starts, ways)]
    best = _best(runs)
    run = runs[best]
    return Fit(
        model=problem.model,
        params=run.params,
        log_likelihood=run.log_likelihood,
        objective=run.objective,
        status=run.status,
        message=_advice(run, runs),
        n_iter=run.n_iter,
        n_rows=_n_observations(problem),
        restarts=tuple(runs),
        best=best,
        problem=problem,
        e_step=e_step,
        accelerate=scheme,
        recorded=tuple(halves[: max(2 * run.n_iter, 1)]),
    )


def _passes(
    problem: Problem, start: Any, e_step: EStep, scheme: Accelerator | None, halves: list[HalfStep] | None
) -> Iterator[Pass]:
    if scheme is not None:
        return scheme.passes(EMMap(problem), start)
    if halves is None:
        return plain_passes(problem, start, e_step)
    return traced_passes(problem, start, e_step, halves)


def _best(runs: list[Run]) -> int:
    """The first run as good as the best sound one to rounding: which of equals wins hangs on no last digit."""
    sound = [i for i, run in enumerate(runs) if _sound(run)] or list(range(len(runs)))
    top = max(runs[i].objective for i in sound)
    return next(i for i in sound if runs[i].objective >= top - 1e-9 * (1.0 + abs(top)))


def _check_settings(restarts: Any, tol: Any, max_iter: Any) -> None:
    if restarts is not None and not (isinstance(restarts, int | np.integer) and restarts >= 1):
        raise ValueError(f"restarts must be a whole number of at least 1, not {restarts!r}")
    if not (isinstance(tol, int | float | np.number) and 0 <= float(tol) < np.inf):
        raise ValueError(f"tol must be a number ≥ 0 (nats per row), not {tol!r}")
    if not (isinstance(max_iter, int | np.integer) and max_iter >= 1):
        raise ValueError(f"max_iter must be a whole number of at least 1, not {max_iter!r}")


def _check_scheme(accelerate: Any, e_step: EStep, trace: bool) -> Accelerator | None:
    scheme = accelerator(accelerate)
    if scheme is not None and trace:
        raise ValueError(f"{_NO_TRACE}: leave out trace=True or accelerate=")
    if scheme is not None and e_step is not exact:
        raise ValueError(
            "accelerate= extrapolates a map of the parameters alone, and only with the exact E-step is EM one: leave "
            "out e_step= or accelerate="
        )
    return scheme


def _starts(problem: Problem, init: Any, restarts: int | None, seed: int) -> Iterator[Any]:
    if not isinstance(init, str):
        if restarts not in (None, 1):
            kind = "params" if is_params(init) else "labels or responsibilities"
            raise ValueError(f"restarts={restarts} makes no sense from explicit {kind}: every run would be the same")
        yield start_params(problem, init, np.random.default_rng(seed))
        return
    seen: set[bytes] = set()
    for params in many_start_params(problem, init, seed, _DEFAULT_RESTARTS if restarts is None else restarts):
        drawn = to_vector(params).tobytes()
        if drawn not in seen:  # some named starts draw nothing
            seen.add(drawn)
            yield params


def _sound(run: Run) -> bool:
    return run.status not in (Status.DEGENERATE, Status.NONFINITE) and bool(np.isfinite(run.objective))


def _run(problem: Problem, start: Any, passes: Iterator[Pass], tol: float, max_iter: int, e_step: EStep) -> Run:
    """Follow `passes` until the stopping rule speaks; what is reported belongs to the params returned."""
    n_rows = _n_rows(problem)
    last: Pass | None = None
    mark: Pass | None = None  # the last one that may be compared with
    progress, gain = Progress(-np.inf), np.inf
    for n_iter in range(max_iter + 1):
        try:
            now = next(passes)
        except DegenerateError as error:
            if last is None:
                raise ValueError(f"the start is degenerate: {error}") from error
            return _ended(start, last, n_iter - 1, Status.DEGENERATE, str(error))
        step = e_step_at(e_step, n_iter + 1)
        if last is not None:
            gain = now.objective - last.objective
            ended = verdict(Progress(now.objective, gain), n_rows, 0.0, monotone=is_monotone(step))
            if ended is None and mark is not None and is_judged(step):
                progress = _progress(now, mark, progress)
                ended = verdict(progress, n_rows, tol, monotone=False)
            if ended is not None:
                lost = ended[0] is Status.NONFINITE
                return _ended(start, last if lost else now, n_iter - lost, *ended)
        last, mark = now, now if is_judged(step) else mark
    return _ended(start, now, max_iter, *out_of_iterations(max_iter, gain))


def _ended(start: Any, end: Pass, n_iter: int, status: Status, message: str) -> Run:
    return Run(start, end.params, end.objective, end.log_likelihood, n_iter, status, message, end.n_evaluations)


def _progress(now: Pass, mark: Pass, before: Progress) -> Progress:
    gain = now.objective - mark.objective
    if now.outlook is not None:
        return Progress(now.objective, gain, *now.outlook)
    change = parameter_change(now.params, mark.params)
    rate = change / before.change if 0 < before.change < np.inf else np.inf
    return Progress(now.objective, gain, change, rate)


def _n_rows(problem: Problem) -> float:
    return float(len(problem.x)) if problem.weight is None else float(problem.weight.sum())


def _n_observations(problem: Problem) -> float:
    """n of the BIC: a model whose rows are tables or sequences says itself how much it has seen."""
    if hasattr(problem.model, "n_observations"):
        return problem.model.n_observations(problem.x, problem.weight)
    return _n_rows(problem)


def _advice(run: Run, runs: list[Run]) -> str:
    lost = sum(not _sound(other) for other in runs)
    if lost and run.status is not Status.DEGENERATE:
        return f"{run.message}; {lost} of {len(runs)} starts ended degenerate and were set aside"
    return run.message
