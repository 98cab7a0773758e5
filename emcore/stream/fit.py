"""`fit_stream`: what it accepts, where it starts, and which way it goes through the rows."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emcore.data import check_seed
from emcore.em import fit
from emcore.initialise import is_params
from emcore.stopping import Status, check_tol
from emcore.stream.blocks import Survey, dependent, refuse_unlearnable
from emcore.stream.checkpoint import Identity, digest
from emcore.stream.dask import DaskReader, is_distributed
from emcore.stream.exact import Keeper, Rule, climb
from emcore.stream.online import Stepwise, head, walk
from emcore.stream.progress import Meter
from emcore.stream.result import StreamFit
from emcore.stream.sources import LocalReader, Reader, open_blocks, totals_of
from emcore.trace import Problem, pose, refuse_no_model, start_params


def fit_stream(
    model: Any,
    source: Any,
    *,
    init: Any = "k-means++",
    restarts: int = 1,
    seed: int = 0,
    tol: float = 1e-12,
    max_iter: int = 10_000,
    weight: str | None = None,
    online: Stepwise | None = None,
    block_rows: int = 65_536,
    sample_rows: int = 20_000,
    checkpoint: Any = None,
    checkpoint_every: float = 0.0,
    progress: Any = None,
    client: Any = None,
) -> StreamFit:
    """Fit a model by EM to rows that are read block by block, one in memory at a time: `fit` for more than memory.

    `source`: a Parquet file or folder, a polars LazyFrame, an array (memory-mapped, say) or frame, cut into blocks of
    `block_rows`; or a list of blocks, or a function that returns a new iterator of them: arrays (n, d), frames, or
    pairs (x, weights). A dask data frame or bag of blocks goes to the workers of `client` (a `distributed.Client`).
    `weight`: the column of frequencies or sample weights.

    Exact EM reads the source in every iteration, with the stopping rule of `fit` (`tol`, `max_iter`). Statistics are
    added in a fixed tree: the same blocks give the same bits, on one machine or many. `online=Stepwise()` reads once.

    The first reading counts and draws `sample_rows` rows with `seed` (all of them, where there are no more). Named
    starts, and hyper-parameters that are scaled from the data, are taken from that sample; `restarts` > 1 fits the
    sample from as many starts, and begins where the best one ended. `init`: as in `fit`, but no labels.

    `checkpoint`: a file that keeps the run, written after an iteration at most every `checkpoint_every` seconds; where
    it exists, the run goes on from it, to the same bits as if it had never stopped. `progress`: True for a line on
    stderr (the default on a terminal), or a function of a `StreamProgress`. Ctrl-C ends with the best params so far,
    INTERRUPTED.

    Raises TypeError or ValueError for bad input, naming the block; for a model whose rows hang together (chains, tables
    of counts, groups); and for a checkpoint of another run.

    >>> import numpy as np, emcore as em
    >>> blocks = [np.random.default_rng(i).poisson([[1.0]] * 500 + [[9.0]] * 500) for i in range(4)]
    >>> fit = em.fit_stream(em.Mixture(em.Poisson(), 2), blocks, progress=False)
    >>> fit.status.value, fit.n_rows, np.sort(fit.params.rates.ravel()).round(1)
    ('CONVERGED', 4000.0, array([1.1, 8.9]))
    """
    _check_settings(restarts, tol, max_iter, block_rows, sample_rows, weight)
    check_seed(seed)
    refuse_no_model(model)
    _refuse_dependent_rows(model)
    begin, meter = Begin(init, restarts, seed, sample_rows), Meter(progress)
    try:
        if online is not None:
            _refuse_with_online(online, checkpoint, client, source)
            return _once(model, source, weight, block_rows, online, begin, meter)
        reader: Reader
        if client is not None or is_distributed(source):
            reader = DaskReader(source, client, weight)
        else:
            reader = LocalReader(open_blocks(source, block_rows), weight)
        path = None if checkpoint is None else Path(checkpoint)
        return _many(model, reader, begin, Rule(tol, max_iter), (path, checkpoint_every), meter)
    finally:
        meter.done()


class Begin(NamedTuple):
    """Where a run begins."""

    init: Any
    restarts: int
    seed: int
    sample_rows: int

    def pose(self, model: Any, found: Survey) -> Problem:
        """The model resolved on the sample. Errors say that it is one, where rows were left out."""
        try:
            problem = pose(model, found.x, found.row_weight)
        except (TypeError, ValueError) as error:
            if found.n_rows == len(found.x):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"in a sample of {len(found.x)} of {found.n_rows} rows (see sample_rows=): {error}") from error
        return problem

    def start(self, problem: Problem) -> Any:
        """Params to start from."""
        if not (isinstance(self.init, str) or is_params(self.init)):
            raise TypeError("init must be a method's name or params: a stream has no labels or responsibilities")
        if not isinstance(self.init, str):
            if self.restarts != 1:
                raise ValueError(
                    f"restarts={self.restarts} makes no sense from explicit params: every run would be the same"
                )
            return start_params(problem, self.init, np.random.default_rng(self.seed))
        if self.restarts == 1:
            return start_params(problem, self.init, np.random.default_rng(self.seed).spawn(1)[0])
        model, x, weight = problem
        return fit(model, x, init=self.init, restarts=self.restarts, seed=self.seed, weight=weight).params


def _many(
    model: Any, reader: Reader, begin: Begin, rule: Rule, on_disk: tuple[Path | None, float], meter: Meter
) -> StreamFit:
    """Exact EM: one reading for every iteration, and one before."""
    found = refuse_unlearnable(reader.survey(model, begin.sample_rows, begin.seed))
    problem = begin.pose(model, found)
    start = begin.start(problem)
    identity = Identity(digest(problem.model), digest(*found), digest(*start))
    keeper = Keeper(*on_disk, identity)
    state, status, message = climb(reader, problem.model, start, found, rule, keeper, meter)
    return StreamFit(
        model=problem.model,
        params=state.params,
        log_likelihood=state.log_likelihood,
        objective=state.progress.objective,
        status=status,
        message=message,
        n_iter=state.n_iter,
        n_rows=found.weight,
        history=state.history,
    )


def _once(
    model: Any, source: Any, weight: str | None, block_rows: int, scheme: Stepwise, begin: Begin, meter: Meter
) -> StreamFit:
    """Online EM, and one more reading for log p(x) where that is asked for and possible."""
    again = not isinstance(source, Iterator)
    open_source = open_blocks(source, block_rows) if again else lambda: source
    blocks = open_source()
    first, kept = head(blocks, model, weight, begin.sample_rows, begin.seed)
    found = refuse_unlearnable(first)
    problem = begin.pose(model, found)
    params = [begin.start(problem)]
    totals = totals_of(chain(_released(kept), blocks), problem.model, lambda: params[-1], weight, found.schema)
    end = walk(scheme, totals, problem.model, params, meter)
    log_likelihood, message = float("nan"), f"{end.message}; log p(x) was not computed at the final params"
    if again and scheme.evaluate and end.status is Status.MAX_ITER:
        total = LocalReader(open_source, weight).evaluate(problem.model, end.params, found.schema, meter.tick)
        log_likelihood, message = float("nan") if total is None else total.log_likelihood, end.message
    return StreamFit(
        model=problem.model,
        params=end.params,
        log_likelihood=log_likelihood,
        objective=log_likelihood + problem.model.log_prior(end.params),
        status=end.status,
        message=message,
        n_iter=end.n_blocks,
        n_rows=end.weight,
        history=end.history,
    )


def _released(blocks: list[Any]) -> Iterator[Any]:
    """The blocks in order, each let go of when it is handed on."""
    blocks.reverse()
    while blocks:
        yield blocks.pop()


def _check_settings(restarts: Any, tol: Any, max_iter: Any, block_rows: Any, sample_rows: Any, weight: Any) -> None:
    counts = {"restarts": restarts, "max_iter": max_iter, "block_rows": block_rows, "sample_rows": sample_rows}
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    check_tol(tol)
    if not (weight is None or isinstance(weight, str)):
        raise TypeError("weight must be the name of a column; beside arrays, give blocks as pairs (x, weights)")


def _refuse_dependent_rows(model: Any) -> None:
    if hasattr(model, "check_sequences") or hasattr(model, "n_observations"):
        raise dependent(model)


def _refuse_with_online(scheme: Any, checkpoint: Any, client: Any, source: Any) -> None:
    if not isinstance(scheme, Stepwise):
        raise TypeError(f"online must be a Stepwise(power=...), not {scheme!r}")
    if client is not None or is_distributed(source):
        raise ValueError("online EM goes through the blocks one after another: leave out client=, or leave out online=")
    if checkpoint is not None:
        raise ValueError(
            "an online fit reads once and keeps no checkpoint: leave out checkpoint=, or leave out online="
        )
