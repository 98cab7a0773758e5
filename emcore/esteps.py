"""E-steps: plain callables (model, params, x, q_prev) -> q. The notes' "choice of Q".

Whatever they return, the bound stays a bound; only `exact` makes it tight. Configured E-steps are frozen dataclasses
in lower case, because they stand where a function does. What the loop may read of one, besides calling it:

`monotone`       the objective is promised to rise (the default): a fall is then an error.
`at(iteration)`  the E-step of that iteration (1, 2, …). So one that changes as it goes holds no state, and a replay
                 from the same start repeats it exactly.
`judged`         params after this iteration may be compared with earlier ones to see whether the run has arrived
                 (the default): not amid a schedule, a sweep over blocks, or draws.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from emcore.data import as_numbers
from emcore.numerics import normalize_log_rows
from emcore.posteriors import CategoricalPosterior

EStep = Callable[[Any, Any, Any, Any], Any]


def e_step_at(e_step: EStep, iteration: int) -> EStep:
    """The E-step of one iteration (1, 2, …): itself, unless it has a clock. TypeError for one without its settings."""
    if isinstance(e_step, type):
        raise TypeError(f"e_step must be made with its settings: {e_step.__name__}(...), not {e_step.__name__}")
    if not callable(e_step):
        raise TypeError(f"e_step must be a function such as em.exact, em.hard or em.sparse(2), not {e_step!r}")
    return e_step.at(iteration) if hasattr(e_step, "at") else e_step


def is_monotone(e_step: EStep) -> bool:
    """Whether the objective is promised to rise; a callable that says nothing is held to it."""
    return getattr(e_step, "monotone", True)


def is_judged(e_step: EStep) -> bool:
    """Whether params after this E-step may be compared with earlier ones."""
    return getattr(e_step, "judged", True)


def exact(model: Any, params: Any, x: Any, q_prev: Any) -> Any:
    """Q = p(z | x; θ): the E-step of EM; the bound touches log p(x)."""
    return model.posterior(params, x)


def hard(model: Any, params: Any, x: Any, q_prev: Any) -> Any:
    """All of Q on the most probable z: classification EM, of which k-means is a case; for chains, Viterbi training.

    The best one-point Q for the ELBO, so the ELBO never falls; log p(x) may. TypeError where z is continuous: a point
    has no density. Reference: Celeux & Govaert (1992), Comput. Statist. Data Anal. 14, 315-332.
    """
    q = model.posterior(params, x)
    if not hasattr(q, "mode"):
        raise TypeError(
            f"hard puts all of Q on one z, but the {type(q).__name__} of {type(model).__name__} has no mode(): "
            "use exact or fixed"
        )
    return q.mode()


@dataclass(frozen=True)
class fixed:
    """The same Q for ever, or an encoder's Q = q(x): what it costs not to listen to θ is the gap.

    `q`: a posterior, probabilities (n, k), or a callable x -> either. The objective rises, because θ moves alone.
    """

    q: Any

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> Any:
        """The given Q. ValueError where a table is not one probability vector for every z of the model's posterior."""
        q = self.q(x) if callable(self.q) else self.q
        return q if hasattr(q, "entropy") else _as_posterior(q, model, model.posterior(params, x))


def _as_posterior(table: Any, model: Any, like: Any) -> CategoricalPosterior:
    if not isinstance(like, CategoricalPosterior):
        raise TypeError(
            f"fixed takes probabilities (n, k) where z is one of a few values for every row; {type(model).__name__} "
            f"needs a {type(like).__name__}"
        )
    probs = as_numbers(table, "fixed")
    if probs.shape != like.probs.shape:
        raise ValueError(f"fixed needs probabilities of shape {like.probs.shape}, but their shape is {probs.shape}")
    if not ((probs >= 0).all() and np.allclose(probs.sum(axis=1), 1.0, rtol=0, atol=1e-8)):
        raise ValueError("fixed needs probabilities: every row ≥ 0, with sum 1")
    return CategoricalPosterior(probs)


@dataclass(frozen=True)
class mean_field:
    """Coordinate ascent over factorised Q from where the last E-step left it; the ELBO never falls.

    The model brings the updates: `model.mean_field(params, x, q_prev, sweeps)`. TypeError where it has none.
    """

    sweeps: int = 10

    def __post_init__(self) -> None:
        _check_whole("sweeps", self.sweeps)

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> Any:
        """Q after `sweeps` rounds of updates."""
        if not hasattr(model, "mean_field"):
            raise TypeError(
                f"{type(model).__name__} has no mean_field(params, x, q_prev, sweeps): its z is not split into "
                "factors; use exact"
            )
        return model.mean_field(params, x, q_prev, self.sweeps)


@dataclass(frozen=True)
class sparse:
    """The posterior cut to its m most probable z and renormalised: the best Q on any m values, so the ELBO never falls.

    m = 1 is `hard`, m = k is `exact`. The values are chosen anew in every E-step; the sparse EM of Neal & Hinton
    (1998), in Learning in Graphical Models, 355-368, keeps them for several, with the rest of Q frozen.
    """

    m: int

    def __post_init__(self) -> None:
        _check_whole("m", self.m)

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> CategoricalPosterior:
        """Q on the m most probable z of every row; ties go to the first."""
        log_probs = _log_posterior(model, params, x, "sparse")
        kept = np.argsort(-log_probs, axis=1, kind="stable")[:, : self.m]
        cut = np.full_like(log_probs, -np.inf)
        np.put_along_axis(cut, kept, np.take_along_axis(log_probs, kept, axis=1), axis=1)
        return _normalised(cut)


class Schedule(Protocol):
    """An inverse temperature that depends on the iteration."""

    def beta(self, iteration: int) -> float:
        """β > 0 of an iteration (1, 2, …)."""
        ...

    @property
    def last_change(self) -> int:
        """The iteration from which β stays as it is."""
        ...


@dataclass(frozen=True)
class Annealing:
    """β from `start` up to 1 in equal ratios: `levels` values, each kept for `hold` iterations, then 1 for ever."""

    start: float = 0.3
    levels: int = 10
    hold: int = 5

    def __post_init__(self) -> None:
        _check_beta(self.start)
        _check_whole("levels", self.levels)
        _check_whole("hold", self.hold)

    def beta(self, iteration: int) -> float:
        """start^(1 - level/levels), level counted from 0."""
        level = min((iteration - 1) // self.hold, self.levels)
        return self.start ** (1.0 - level / self.levels)

    @property
    def last_change(self) -> int:
        """The first iteration at β = 1."""
        return self.levels * self.hold + 1


@dataclass(frozen=True)
class tempered:
    """Q ∝ p(z | x; θ)^β: flatter than the posterior for β < 1, the maximiser of E log p(x, z) + H(Q)/β.

    `beta` is a number > 0 or a schedule (`Annealing`), which makes it deterministic annealing: less depends on the
    start, and nothing promises the best maximum. At small β components coincide, and would for ever; so until its
    schedule ends, log Q is nudged by normal noise of that size (`seed` says which). The ELBO is promised to rise only
    while β stays at 1, and a run has not arrived before its schedule ends.
    Reference: Ueda & Nakano (1998), Neural Networks 11, 271-282.
    """

    beta: Any  # a number or a Schedule
    nudge: float = 0.1
    seed: int = 0
    iteration: int = 1

    def __post_init__(self) -> None:
        if not self._scheduled:
            _check_beta(self.beta)
        if not (isinstance(self.nudge, int | float) and 0 <= self.nudge < math.inf):
            raise ValueError(f"nudge must be a number ≥ 0, not {self.nudge!r}")
        _check_whole("seed", self.seed, least=0)

    def at(self, iteration: int) -> Self:
        """The E-step at that point of the schedule."""
        return replace(self, iteration=iteration)

    @property
    def _scheduled(self) -> bool:
        return hasattr(self.beta, "last_change")

    @property
    def beta_now(self) -> float:
        """β of this iteration."""
        return self.beta.beta(self.iteration) if self._scheduled else float(self.beta)

    @property
    def judged(self) -> bool:
        """From the schedule's last change on."""
        return not self._scheduled or self.iteration >= self.beta.last_change

    @property
    def monotone(self) -> bool:
        """At β = 1, once the E-step before was there too."""
        return self.beta_now == 1.0 and (not self._scheduled or self.iteration > self.beta.last_change)

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> CategoricalPosterior:
        """Q of this iteration."""
        log_weights = self.beta_now * _log_posterior(model, params, x, "tempered")
        if not self.judged and self.nudge:
            noise = np.random.default_rng((self.seed, self.iteration)).standard_normal(log_weights.shape)
            log_weights += self.nudge * noise
        return _normalised(log_weights)


@dataclass(frozen=True)
class stochastic:
    """One draw of z from the posterior for every row: stochastic EM. It climbs on average and never comes to rest.

    Draws are a function of `seed` and the iteration alone. One draw stands for all that a row's weight counts: repeat
    rows rather than weighting them. Runs end at `max_iter`: average the params of a trace's later iterations.
    Reference: Celeux & Diebolt (1985), Comput. Statist. Quarterly 2, 73-82.
    """

    seed: int = 0
    iteration: int = 1
    monotone = False
    judged = False

    def __post_init__(self) -> None:
        _check_whole("seed", self.seed, least=0)

    def at(self, iteration: int) -> Self:
        """The E-step with that iteration's draws."""
        return replace(self, iteration=iteration)

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> CategoricalPosterior:
        """A one-hot Q: argmax of log p(z | x) + Gumbel noise, which is a draw from the posterior."""
        log_probs = _log_posterior(model, params, x, "stochastic")
        noise = np.random.default_rng((self.seed, self.iteration)).gumbel(size=log_probs.shape)
        return CategoricalPosterior(np.eye(log_probs.shape[1])[(log_probs + noise).argmax(axis=1)])


@dataclass(frozen=True)
class incremental:
    """The exact posterior for one block of rows in turn; the others keep the Q that they had. The ELBO never falls.

    The first E-step serves all rows; then block b = 0, …, n_blocks - 1 (rows b, b + n_blocks, …) has every n_blocks-th
    one. The run is judged after whole sweeps. Here all rows are still evaluated for the record: it shows the
    algorithm, not the time that it saves. Reference: Neal & Hinton (1998).
    """

    n_blocks: int
    iteration: int = 1

    def __post_init__(self) -> None:
        _check_whole("n_blocks", self.n_blocks)

    def at(self, iteration: int) -> Self:
        """The E-step with that iteration's block."""
        return replace(self, iteration=iteration)

    @property
    def judged(self) -> bool:
        """After the last block of a sweep."""
        return self.iteration % self.n_blocks == 0

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> Any:
        """q_prev with this iteration's rows brought up to date."""
        q = model.posterior(params, x)
        if not hasattr(q, "with_rows"):
            raise TypeError(
                f"incremental renews Q row by row, but the {type(q).__name__} of {type(model).__name__} has no "
                "with_rows(index, other): use exact"
            )
        block = slice((self.iteration - 1) % self.n_blocks, None, self.n_blocks)
        return q if q_prev is None else q_prev.with_rows(block, q.rows(block))


def _log_posterior(model: Any, params: Any, x: Any, name: str) -> np.ndarray:
    """log p(z | x; θ) (n, k), which does not underflow; TypeError unless z is one of a few values for every row."""
    q = model.posterior(params, x)
    if not isinstance(q, CategoricalPosterior) or q.log_probs is None:
        raise TypeError(
            f"{name} needs log-probabilities of one finite z per row, but the posterior of {type(model).__name__} is "
            f"a {type(q).__name__}: use exact, hard or fixed"
        )
    return q.log_probs


def _normalised(log_weights: np.ndarray) -> CategoricalPosterior:
    probs, log_total = normalize_log_rows(log_weights)
    return CategoricalPosterior(probs, log_weights - log_total[:, None])


def _check_beta(beta: Any) -> None:
    if isinstance(beta, bool) or not isinstance(beta, int | float | np.number) or not 0 < beta < math.inf:
        raise ValueError(f"beta must be a number > 0 (1 is the posterior itself) or a schedule, not {beta!r}")


def _check_whole(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
