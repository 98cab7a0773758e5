"""Where many starts end: the optima found, how often, and which of them are sound.

Fits that differ by the order of their components are one optimum, so components are matched first. The highest value
is not the best fit where the likelihood is unbounded: runs that ended degenerate are listed apart, and never chosen.
References: Day (1969), Biometrika 56, 463-474; McLachlan & Peel (2000), Finite Mixture Models, sections 3.8-3.10.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from emcore.em import fit
from emcore.result import Fit
from emcore.stopping import Run, Status, parameter_change
from emcore.trace import Problem

_SAME_OBJECTIVE = 1e-6  # relative to |objective| + n
_SAME_PARAMS = 1e-2  # of the largest of its kind (see `stopping.parameter_change`)
_FEW = 6  # components whose orders can all be tried


class Optimum(NamedTuple):
    """One end point of EM and the starts that led there."""

    objective: float
    log_likelihood: float
    starts: int  # how many ended here, of the starts that differ
    share: float  # of all those
    sound: bool  # False: a run that ended DEGENERATE or NONFINITE
    status: Status  # of the run with the highest objective here
    params: Any  # of that run, its components in the order of the best optimum's
    runs: tuple[int, ...]  # indices into `fit.restarts`


@dataclass(frozen=True)
class Multistart:
    """The optima, best first, sound ones before degenerate ones. Index it like a sequence."""

    optima: tuple[Optimum, ...]
    fit: Fit  # with every run in `fit.restarts`

    def __len__(self) -> int:
        return len(self.optima)

    def __getitem__(self, index: int) -> Optimum:
        return self.optima[index]

    def __iter__(self) -> Iterator[Optimum]:
        return iter(self.optima)

    @property
    def best(self) -> Optimum:
        """The sound optimum with the highest objective; ValueError where every run ended degenerate."""
        if not self.optima[0].sound:
            raise ValueError(f"none of {len(self.fit.restarts)} starts ended sound: {self.fit.message}")
        return self.optima[0]

    def to_frame(self) -> Any:
        """A polars frame, one row per optimum, without the params."""
        import polars as pl

        names = ("objective", "log_likelihood", "starts", "share", "sound", "status")
        return pl.DataFrame({name: [_plain(getattr(row, name)) for row in self.optima] for name in names})


def multistart(
    model: Any, x: Any, *, restarts: int = 60, init: str = "k-means++", seed: int = 0, **settings: Any
) -> Multistart:
    """Fit from many starts and say which optima there are, how often each was reached, and which are sound.

    Two runs ended at one optimum where objectives agree to 1e-6 (relative) and params to 1e-2, after components are
    matched by their responsibilities (Hungarian algorithm). `init` names a random start; `settings` go to `fit`
    (`weight`, `tol`, `max_iter`, `lengths`, …).
    """
    if not isinstance(init, str):
        raise ValueError("init must name a random start: from explicit params every run would be the same")
    found = fit(model, x, restarts=restarts, init=init, seed=seed, **settings)
    runs = found.restarts
    order = sorted(range(len(runs)), key=lambda i: (runs[i].sound, runs[i].objective), reverse=True)
    reference = runs[order[0]].params
    groups: list[list[int]] = []
    for i in order:
        for group in groups:
            if _same(found.problem, runs[group[0]], runs[i]):
                group.append(i)
                break
        else:
            groups.append([i])
    return Multistart(tuple(_optimum(found.problem, runs, group, reference) for group in groups), found)


def _optimum(problem: Problem, runs: tuple[Run, ...], group: list[int], reference: Any) -> Optimum:
    top = runs[group[0]]
    return Optimum(
        objective=top.objective,
        log_likelihood=top.log_likelihood,
        starts=len(group),
        share=len(group) / len(runs),
        sound=top.sound,
        status=top.status,
        params=matched(problem, top.params, reference),
        runs=tuple(sorted(group)),
    )


def _same(problem: Problem, one: Run, other: Run) -> bool:
    size = abs(one.objective) + len(problem.x)
    if one.sound != other.sound or not abs(one.objective - other.objective) <= _SAME_OBJECTIVE * size:
        return False
    return parameter_change(matched(problem, other.params, one.params), one.params) <= _SAME_PARAMS


def matched(problem: Problem, params: Any, reference: Any) -> Any:
    """`params` with its components in the order that shares most responsibility with those of `reference`.

    The overlap Σ_i r_ij r'_ij, summed over matched pairs, is greatest for equal components whatever their scale. Where
    z is not one component per row, up to six are put in the order nearest in the params themselves. Params of a model
    without `relabel` come back as they are.
    """
    from scipy.optimize import linear_sum_assignment

    model, x, weight = problem
    if not hasattr(model, "relabel"):
        return params
    q, other = (getattr(model.posterior(p, x), "probs", np.zeros((0, 0))) for p in (params, reference))
    k = n_labels(model)
    if q.shape == other.shape == (len(q), k):
        rows = other if weight is None or len(weight) != len(other) else other * weight[:, None]
        return model.relabel(params, linear_sum_assignment(rows.T @ q, maximize=True)[1])
    orders = permutations(range(k)) if k is not None and k <= _FEW else ()
    candidates = [params, *(model.relabel(params, list(order)) for order in orders)]
    return min(candidates, key=lambda candidate: parameter_change(candidate, reference))


def n_labels(model: Any) -> int | None:
    """The number of components, states, classes or factors of a model, by whichever name it has."""
    names = ("n_components", "n_states", "n_classes", "n_factors")
    return next((getattr(model, name) for name in names if hasattr(model, name)), None)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Status) else value
