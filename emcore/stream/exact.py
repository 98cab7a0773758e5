"""EM over a stream by additive statistics: an iteration is one pass over the rows; the rule to stop is `fit`'s."""

from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from emcore.numerics import DegenerateError
from emcore.stopping import Progress, Status, contraction, out_of_iterations, parameter_change, verdict
from emcore.stream.blocks import Survey, Totals
from emcore.stream.checkpoint import Identity, State, load, save
from emcore.stream.progress import Meter
from emcore.stream.sources import Reader
from emcore.trees import map_leaves


class Rule(NamedTuple):
    """When to stop."""

    tol: float
    max_iter: int


class Keeper:
    """Keeps a run on disk: at most once in `every` seconds, and at its end. Without a path it does nothing."""

    def __init__(self, path: Path | None, every: float, identity: Identity) -> None:
        self._path, self._every, self._identity = path, every, identity
        self._saved = -np.inf
        self._unsaved: State | None = None

    def last(self, like: Any) -> State | None:
        """The state on disk; None where there is no file."""
        return load(self._path, self._identity, like) if self._path is not None and self._path.exists() else None

    def keep(self, state: State) -> None:
        """A state that the run has reached."""
        self._unsaved = state
        if self._path is not None and perf_counter() - self._saved >= self._every:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written."""
        if self._path is not None and self._unsaved is not None:
            save(self._path, self._unsaved, self._identity)
            self._saved, self._unsaved = perf_counter(), None


def climb(
    reader: Reader, model: Any, start: Any, found: Survey, rule: Rule, keeper: Keeper, meter: Meter
) -> tuple[State, Status, str]:
    """The state that the run ended in, and how. KeyboardInterrupt ends it too, with the last state known."""
    start = _tidy(start)
    state = keeper.last(start)
    try:
        if state is None:
            state = _visit(reader, model, start, None, found, meter)
            keeper.keep(state)
        while (end := _end(state, found.weight, rule)) is None:
            after = _visit(reader, model, state.ahead, state, found, meter)
            if not np.isfinite(after.progress.objective):
                _, why = verdict(after.progress, found.weight, 0.0, monotone=False) or ("", "")
                end = Status.NONFINITE, why
                break
            state = after
            keeper.keep(state)
    except KeyboardInterrupt:
        end = _interrupted(state)
    keeper.flush()
    return state or _nowhere(start), *end


def _visit(reader: Reader, model: Any, params: Any, before: State | None, found: Survey, meter: Meter) -> State:
    """One pass at `params`, and the M-step after it."""
    try:
        totals = _complete(reader.evaluate(model, params, found.schema, meter.tick), found)
    except DegenerateError as error:
        if before is None:
            raise ValueError(f"the start is degenerate: {error}") from error
        return before._replace(ahead=None, trouble=str(error))
    objective = totals.log_likelihood + model.log_prior(params)
    ahead, trouble = _m_step(model, totals.stats, params, objective)
    state = State(
        params=params,
        n_iter=0 if before is None else before.n_iter + 1,
        log_likelihood=totals.log_likelihood,
        progress=Progress(objective) if before is None else _progress(objective, params, before),
        ahead=ahead,
        trouble=trouble,
        history=(*(() if before is None else before.history), totals.log_likelihood),
    )
    meter.passed(state.n_iter, state.log_likelihood, totals.n_rows)
    return state


def _m_step(model: Any, stats: Any, params: Any, objective: float) -> tuple[Any, str]:
    if not np.isfinite(objective):
        return None, ""
    try:
        return _tidy(model.m_step(stats, params)), ""
    except DegenerateError as error:
        return None, str(error)


def _tidy(params: Any) -> Any:
    """Arrays laid out as a checkpoint gives them back: another layout may round otherwise."""
    return map_leaves(lambda leaf: np.array(leaf, dtype=float, order="C"), params)


def _complete(totals: Totals | None, found: Survey) -> Totals:
    n_rows = 0 if totals is None else totals.n_rows
    if totals is None or n_rows != found.n_rows:
        raise ValueError(
            f"the source gave {found.n_rows} rows when it was first read and {n_rows} now: it must give the same "
            "blocks every time (a function that returns a new iterator, not one iterator twice)"
        )
    return totals


def _progress(objective: float, params: Any, before: State) -> Progress:
    change = parameter_change(params, before.params)
    rate = contraction(change, before.progress.change)
    return Progress(objective, objective - before.progress.objective, change, rate)


def _end(state: State, weight: float, rule: Rule) -> tuple[Status, str] | None:
    ended = verdict(state.progress, weight, rule.tol, monotone=True)
    if ended is not None:
        return ended
    if state.n_iter >= rule.max_iter:
        return out_of_iterations(rule.max_iter, state.progress.gain)
    return None if state.ahead is not None else (Status.DEGENERATE, state.trouble)


def _interrupted(state: State | None) -> tuple[Status, str]:
    if state is None:
        return Status.INTERRUPTED, "interrupted in the first pass over the rows: the parameters are those of the start"
    return Status.INTERRUPTED, (
        f"interrupted after {state.n_iter} iterations; the last one gained {state.progress.gain:.2g} nats, and the "
        "parameters are the best so far"
    )


def _nowhere(start: Any) -> State:
    """Where an interrupted run is that has not completed a pass."""
    nothing = float("nan")
    return State(start, 0, nothing, Progress(nothing), None, "", ())
