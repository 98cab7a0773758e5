"""Two examples small enough to see through: one parameter with its likelihood drawn whole, and five rows in full.

Each gives what pictures of the bound need at every half-step: log p(x) and the bound along one number θ, and
log p(x, z)/Q(z) for every value of z.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.families.binomial import Binomial, BinomialParams
from emcore.genetics import linkage
from emcore.landscape import Slice
from emcore.models.merged_multinomial import SplitPosterior
from emcore.models.mixture import Mixture
from emcore.numerics import log_or_minus_inf
from emcore.trace import HalfStep, Problem, Trace, pose, read_only

_GRID = tuple(np.linspace(0.005, 0.995, 100).tolist())  # a tuple: nothing may change it


class Ratios(NamedTuple):
    """log p(x, z)/Q(z) at each half-step: flat over z, at log p(x), where the bound is tight."""

    log_evidence: np.ndarray  # (h, n) log p(x_i)
    log_ratio: np.ndarray  # (h, n, k), NaN where Q(z) = 0
    q: np.ndarray  # (h, n, k)
    rows: tuple[str, ...]  # (n,) what x_i is
    values: tuple[str, ...]  # (k,) what z may be


@dataclass(frozen=True)
class Example:
    """A model on a few rows, with the number θ along which the bound is drawn."""

    problem: Problem
    theta: str  # title of the axis
    iterations: int
    start: Callable[[float], Any]  # params at a chosen θ
    along: Any  # θ as `bound_slice` names it
    slices: Callable[[Trace], list[Slice]]  # one per half-step, θ along the grid
    ratios: Callable[[Trace], Ratios]
    rows: tuple[str, ...] = ()  # the rows whose Q may be set apart


@shared(1)
def linkage_example() -> Example:
    """197 animals in four classes; the first hides a split. Its maximum is at θ = .6268215.

    Reference: Rao (1965), section 5g; Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 1.
    """
    problem = pose(linkage(), load("linkage"))
    return Example(
        problem,
        theta="θ",
        iterations=8,
        start=lambda theta: problem.model.check_params({"theta": theta}, problem.x),
        along="theta",
        slices=_linkage_slices,
        ratios=_linkage_ratios,
    )


def _linkage_slices(trace: Trace) -> list[Slice]:
    """As many `bound_slice`s: every Q is a row of hidden counts, and the bound is linear in them."""
    grid, (level, log_hidden) = np.array(_GRID), _linkage_grid()
    counts = np.concatenate([half.q.counts * half.q.shares for half in trace])  # (h, cells)
    coefficient = float(trace.model.expected_log_conditional(trace[0].params, trace.x, trace[0].q)[0])
    entropy = np.array([half.entropy for half in trace])
    bound = counts @ log_hidden.T + (coefficient + entropy)[:, None]
    flat = np.zeros(len(grid))
    return [Slice(grid, level, row, flat, float(half.params.theta)) for row, half in zip(bound, trace, strict=True)]


@shared(1)
def _linkage_grid() -> tuple[np.ndarray, np.ndarray]:
    """At each θ of the grid log p(x) (g,) and the log-probability of each hidden cell (g, cells): no run moves them."""
    model, x, _ = linkage_example().problem
    params = [model.check_params({"theta": theta}, x) for theta in _GRID]
    size = len(model.hidden.cell)
    one_each = SplitPosterior(np.eye(size), np.ones((size, size)))  # one animal, surely in that cell
    nobody = np.zeros((size, x.shape[1]))
    log_hidden = np.stack([model.expected_log_joint(at, nobody, one_each) for at in params])
    return read_only(np.array([model.log_likelihood(at, x)[0] for at in params])), read_only(log_hidden)


def _linkage_ratios(trace: Trace) -> Ratios:
    """Of one animal of the first class, which is all that hides anything."""
    one, hidden = np.array([[1.0, 0.0, 0.0, 0.0]]), np.flatnonzero(trace.model.hidden.cell == 0)
    inferred = _inferred(trace, one)
    return _ratios(
        [level for _, level in inferred],
        [posterior.shares[:, hidden] for posterior, _ in inferred],
        [half.q.shares[:, hidden] for half in trace],
        ("an animal of the first class",),
        ("the ½ part", "the θ/4 part"),
    )


@shared(1)
def coins_example() -> Example:
    """Five times ten tosses of one of two coins, which one unknown; θ is the chance of heads of coin 0.

    The data of Do & Batzoglou (2008), Nat. Biotechnol. 26, 897-899. Either coin is as likely to be picked; coin 1
    starts at .5. The maximum is at .7968 and .5196.
    """
    heads = load("coin_tosses")["heads"].to_numpy()
    rows = tuple(f"row {i}: {count} heads" for i, count in enumerate(heads))
    model = Mixture(Binomial(10), 2, fixed_weights=(0.5, 0.5))
    problem = pose(model, heads[:, None])
    return Example(
        problem,
        theta="θ, the chance of heads of coin 0",
        iterations=12,
        start=lambda theta: model.check_params({"weights": [0.5, 0.5], "probs": [[theta], [0.5]]}, problem.x),
        along=("probs", (0, 0)),
        slices=_coin_slices,
        ratios=lambda trace: _coin_ratios(trace, rows),
        rows=rows,
    )


def _coin_slices(trace: Trace) -> list[Slice]:
    """As many `bound_slice`s, coin 1 where it is: every θ of the grid is a coin of one family."""
    grid, family = np.array(_GRID), trace.model.family
    log_weights = log_or_minus_inf(trace[0].params.weights)
    coin0 = log_weights[0] + family.log_prob(BinomialParams(grid[:, None]), trace.x)  # (n, g)
    held = np.stack([half.params.probs[1] for half in trace])
    coin1 = log_weights[1] + family.log_prob(BinomialParams(held), trace.x)  # (n, h)
    return [_coin_slice(half, grid, coin0, log_joint) for half, log_joint in zip(trace, coin1.T, strict=True)]


def _coin_slice(half: HalfStep, grid: np.ndarray, coin0: np.ndarray, coin1: np.ndarray) -> Slice:
    q = half.q.probs
    level = np.logaddexp(coin0, coin1[:, None]).sum(axis=0)
    bound = q[:, 0] @ coin0 + float(q[:, 1] @ coin1) + half.entropy
    return Slice(grid, level, bound, np.zeros(len(grid)), float(half.params.probs[0, 0]))


def _coin_ratios(trace: Trace, rows: tuple[str, ...]) -> Ratios:
    inferred = _inferred(trace, trace.x)
    return _ratios(
        [level for _, level in inferred],
        [posterior.probs for posterior, _ in inferred],
        [half.q.probs for half in trace],
        rows,
        ("coin 0", "coin 1"),
    )


def _inferred(trace: Trace, x: np.ndarray) -> list[tuple[Any, np.ndarray]]:
    """Posterior and log p(x_i) at every half-step; an E-step stands where the M-step before it went."""
    places = [trace[0].params, *(half.params for half in trace if half.kind == "M")]
    found = [trace.model.infer(params, x) for params in places]
    return [found[(index + 1) // 2] for index in range(len(trace))]


def _ratios(
    log_evidence: Sequence[np.ndarray],
    posterior: Sequence[np.ndarray],
    q: Sequence[np.ndarray],
    rows: tuple[str, ...],
    values: tuple[str, ...],
) -> Ratios:
    """From log p(x, z) = log p(x) + log p(z | x)."""
    level, held = np.stack(log_evidence), np.stack(q)
    log_joint = level[:, :, None] + log_or_minus_inf(np.stack(posterior))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = log_joint - np.log(held)
    return Ratios(level, np.where(held > 0, ratio, np.nan), held, rows, values)
