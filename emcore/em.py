"""`fit`: the loop with a stopping rule, restarts and an honest account of how it ended."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from emcore.accelerate import Accelerator, accelerator
from emcore.data import check_seed
from emcore.esteps import EStep, e_step_at, exact, is_judged, is_monotone
from emcore.initialise import is_params
from emcore.lockstep import Lockstep
from emcore.numerics import DegenerateError
from emcore.passes import EMMap, Engine, Expectations, Pass, plain_passes, traced_passes
from emcore.replay import replay
from emcore.result import NO_TRACE, Fit, n_observations, total_weight
from emcore.stopping import (
    Progress,
    Run,
    Status,
    check_tol,
    contraction,
    out_of_iterations,
    parameter_change,
    verdict,
)
from emcore.trace import HalfStep, Problem, many_start_params, pose, start_params
from emcore.trees import to_vector

_DEFAULT_RESTARTS = 10
_SINGLE_TOL = 1e-7  # nats per row that single precision can tell


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
    dtype: Any = np.float64,
    threads: int = 1,
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
    `dtype`: "float32" lets passes over many Gaussian rows compute each in single precision, sums in double (see
    `kernels.gaussian` for the loss): `tol` is then at least 1e-7. `threads`: work on chunks of the rows; the result is
    the same to the last bit. Two of them were 1.6 times as fast as one with 32 features and 16 components, and no
    faster with 16 features or fewer. What is reported is computed at the end in double precision.

    Raises TypeError or ValueError for bad input; never for how the run ended: see `Fit.status` and `Fit.message`.
    """
    _check_settings(restarts, tol, max_iter)
    check_seed(seed)
    scheme = _check_scheme(accelerate, e_step, trace)
    problem = pose(model, x, weight, lengths)
    engine = _check_engine(problem.model, dtype, threads)
    single = engine.dtype == np.float32
    tol = max(tol, _SINGLE_TOL) if single and tol > 0 else tol
    starts = list(_starts(problem, init, restarts, seed))
    alone = trace and len(starts) == 1
    halves: list[HalfStep] = []
    if hasattr(problem.model, "kernel") and scheme is None and e_step is exact:
        together = Lockstep(problem, tol, max_iter, total_weight(problem), engine, keep_path=alone)
        runs = [_in_double(problem, run) if single else run for run in together.runs(starts)]
        halves += replay(problem, together.path, runs[0].n_iter) if alone else ()
    else:
        record = halves if alone else None
        ways = (_passes(problem, start, e_step, scheme, engine, record) for start in starts)
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
        n_rows=n_observations(problem),
        restarts=tuple(runs),
        best=best,
        problem=problem,
        e_step=e_step,
        accelerate=scheme,
        recorded=tuple(halves[: max(2 * run.n_iter, 1)]),
    )


def _passes(
    problem: Problem,
    start: Any,
    e_step: EStep,
    scheme: Accelerator | None,
    engine: Engine,
    halves: list[HalfStep] | None,
) -> Iterator[Pass]:
    if scheme is not None:
        return scheme.passes(EMMap(problem, engine), start)
    if halves is None:
        return plain_passes(problem, start, e_step, engine)
    return traced_passes(problem, start, e_step, halves)


def _best(runs: list[Run]) -> int:
    """The first run as good as the best sound one to rounding: which of equals wins hangs on no last digit."""
    sound = [i for i, run in enumerate(runs) if run.sound] or list(range(len(runs)))
    top = max(runs[i].objective for i in sound)
    return next(i for i in sound if runs[i].objective >= top - 1e-9 * (1.0 + abs(top)))


def _check_settings(restarts: Any, tol: Any, max_iter: Any) -> None:
    if restarts is not None and not (isinstance(restarts, int | np.integer) and restarts >= 1):
        raise ValueError(f"restarts must be a whole number of at least 1, not {restarts!r}")
    check_tol(tol)
    if not (isinstance(max_iter, int | np.integer) and max_iter >= 1):
        raise ValueError(f"max_iter must be a whole number of at least 1, not {max_iter!r}")


def _check_scheme(accelerate: Any, e_step: EStep, trace: bool) -> Accelerator | None:
    scheme = accelerator(accelerate)
    if scheme is not None and trace:
        raise ValueError(f"{NO_TRACE}: leave out trace=True or accelerate=")
    if scheme is not None and e_step is not exact:
        raise ValueError(
            "accelerate= extrapolates a map of the parameters alone, and only with the exact E-step is EM one: leave "
            "out e_step= or accelerate="
        )
    return scheme


def _check_engine(model: Any, dtype: Any, threads: Any) -> Engine:
    if not (isinstance(threads, int | np.integer) and threads >= 1):
        raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
    if dtype not in ("float64", "float32", np.float64, np.float32):
        raise ValueError(f'dtype must be "float64" or "float32", not {dtype!r}')
    engine = Engine(np.dtype(dtype), int(threads))
    if engine.dtype == np.float32 and not hasattr(model, "kernel"):
        raise ValueError(f"dtype float32 is for mixtures of Gaussians; {type(model).__name__} computes in float64")
    return engine


def _in_double(problem: Problem, run: Run) -> Run:
    """The same run with the values at its params in double precision."""
    log_likelihood = Expectations(problem)(run.params)[1]
    objective = log_likelihood + problem.model.log_prior(run.params)
    return run._replace(log_likelihood=log_likelihood, objective=objective)


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


def _run(problem: Problem, start: Any, passes: Iterator[Pass], tol: float, max_iter: int, e_step: EStep) -> Run:
    """Follow `passes` until the stopping rule speaks; what is reported belongs to the params returned."""
    n_rows = total_weight(problem)
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
    return Progress(now.objective, gain, change, contraction(change, before.change))


def _advice(run: Run, runs: list[Run]) -> str:
    lost = sum(not other.sound for other in runs)
    if lost and run.status is not Status.DEGENERATE:
        return f"{run.message}; {lost} of {len(runs)} starts ended degenerate and were set aside"
    return run.message
