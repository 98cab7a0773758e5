"""EM by half-steps: an endless generator, and the record of a run.

Each half-step climbs elbo + log_prior: E moves q with θ held, M moves θ with q held. Both quantities of the theorem
log p(x) = ELBO + KL are recorded after each, on their own, so that their agreement is a check and not a definition.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from emcore.data import check_seed, check_weight, refuse_empty_columns
from emcore.esteps import EStep, e_step_at, exact
from emcore.initialise import as_responsibilities, is_params
from emcore.model import Survey
from emcore.numerics import DegenerateError, total
from emcore.trees import map_leaves

_TURN = RLock()


class Problem(NamedTuple):
    """A model resolved on checked data, with checked weights."""

    model: Any
    x: Any
    weight: np.ndarray | None


class HalfStep(NamedTuple):
    """The state after one half-step; totals over rows (weighted), in nats."""

    iteration: int  # 1, 2, …
    kind: str  # "E" (q moved) or "M" (params moved)
    params: Any
    q: Any
    log_likelihood: float  # log p(x; params)
    log_prior: float
    expected_log_joint: float  # E_q log p(x, z; params)
    entropy: float  # H(q)
    kl: float  # KL(q ‖ p(z | x; params)), computed directly
    kl_rows: np.ndarray  # (n,) its rows, unweighted

    def __repr__(self) -> str:
        """The numbers; params and q would fill the screen."""
        numbers = {"log_likelihood": self.log_likelihood, "elbo": self.elbo, "kl": self.kl}
        shown = ", ".join(f"{name}={value:.8g}" for name, value in numbers.items())
        return f"HalfStep({self.iteration}, {self.kind!r}, {shown})"

    @property
    def elbo(self) -> float:
        """E_q log p(x, z) + H(q)."""
        return self.expected_log_joint + self.entropy

    @property
    def objective(self) -> float:
        """elbo + log_prior: what both half-steps climb."""
        return self.elbo + self.log_prior


@dataclass(frozen=True, eq=False)  # one run is no other, and what is drawn of it can be remembered by it
class Trace:
    """The half-steps of one run, with the model and data that made them. Index it like a sequence."""

    model: Any
    x: Any
    weight: np.ndarray | None
    halves: tuple[HalfStep, ...]

    def __len__(self) -> int:
        return len(self.halves)

    def __getitem__(self, index: int) -> HalfStep:
        return self.halves[index]

    def __iter__(self) -> Iterator[HalfStep]:
        return iter(self.halves)

    @cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is made of this run under a key, such as a picture: by the first who asks. It goes with the run.

        One is made at a time: who asks for the same waits for it, and has it too.
        """
        with _TURN:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def to_frame(self) -> Any:
        """A tidy polars frame: one row per half-step, the numbers of `HalfStep` as columns."""
        from emcore.tables import halves_frame

        return halves_frame(self)


def pose(model: Any, x: Any, weight: Any = None, lengths: Any = None) -> Problem:
    """Check data and weights and resolve the model on them; every error of bad input comes from here."""
    refuse_no_model(model)
    x = read(model, x, lengths)
    if isinstance(x, np.ndarray):
        refuse_empty_columns(x)
    try:
        model = model.resolve(x)
    except DegenerateError as error:
        raise ValueError(f"the model cannot be scaled to these data: {error}") from error
    return Problem(model, x, check_weight(weight, len(x)))


def refuse_no_model(model: Any) -> None:
    """TypeError for what is no model."""
    if isinstance(model, type) or not hasattr(model, "m_step"):
        raise TypeError(f"model must be a model such as em.Mixture(em.Gaussian(), 2), not {model!r}")


def read(model: Any, x: Any, lengths: Any = None) -> Any:
    """The data as the model reads them; with `lengths`, the sequences of a Markov model."""
    if lengths is None:
        return model.check(x)
    if not hasattr(model, "check_sequences"):
        raise TypeError(f"{type(model).__name__} has no use for lengths=: its rows are independent")
    return model.check_sequences(x, lengths)


def start_params(problem: Problem, init: Any, rng: np.random.Generator) -> Any:
    """Params from a method's name, a params tuple, labels (n,) or responsibilities (n, k).

    ValueError where the start itself is degenerate (a label without rows, a cluster without spread).
    """
    try:
        return _start_params(problem, init, rng)
    except DegenerateError as error:
        raise ValueError(f"the start is degenerate: {error}; give another init") from error


def many_start_params(problem: Problem, method: str, seed: int, n_starts: int) -> list[Any]:
    """`start_params` by a method's name, once for every child of the seed; together where the model can."""
    model, x, weight = problem
    if hasattr(model, "many_initial_params"):
        with suppress(DegenerateError):  # one of them: let each speak for itself
            return model.many_initial_params(x, method, np.random.default_rng(seed).spawn(n_starts), weight)
    return [start_params(problem, method, rng) for rng in np.random.default_rng(seed).spawn(n_starts)]


def _start_params(problem: Problem, init: Any, rng: np.random.Generator) -> Any:
    model, x, weight = problem
    if isinstance(init, str):
        return model.initial_params(x, init, rng, weight)
    if is_params(init):
        return model.check_params(init, x)
    if not hasattr(model, "n_components"):
        return model.params_from_responsibilities(x, np.asarray(init), weight)
    responsibilities = as_responsibilities(init, np.shape(x)[0], model.n_components)
    return model.params_from_responsibilities(x, responsibilities, weight)


def steps(
    model: Any,
    x: Any,
    params0: Any,
    e_step: EStep = exact,
    *,
    weight: Any = None,
    lengths: Any = None,
    seed: int = 0,
) -> Iterator[HalfStep]:
    """Half-steps of EM from `params0`, without end: E, M, E, M, … as `HalfStep` records.

    `params0` is a params tuple, labels, responsibilities, or a method's name (then `seed` counts). Bad input raises
    at the call, not at the first step; an M-step that cannot go on raises DegenerateError.
    """
    check_seed(seed)
    problem = pose(model, x, weight, lengths)
    return half_steps(problem, start_params(problem, params0, np.random.default_rng(seed)), e_step)


def half_steps(problem: Problem, params: Any, e_step: EStep = exact) -> Iterator[HalfStep]:
    """`steps` on a problem already posed."""
    model, x, weight = problem
    q: Any = None
    seen = survey(model, params, x)
    for iteration in count(1):
        q = seen[0] if e_step is exact else e_step_at(e_step, iteration)(model, params, x, q)
        yield _record_seen(problem, iteration, "E", params, q, seen)
        params = model.m_step(model.suff_stats(x, q, weight), params)
        seen = survey(model, params, x)
        yield _record_seen(problem, iteration, "M", params, q, seen)


def survey(model: Any, params: Any, x: Any) -> Survey:
    """The posterior, log p(x_i) (n,) and q -> E_q log p(x_i, z) (n,), from one evaluation of densities if possible."""
    if hasattr(model, "survey"):
        return model.survey(params, x)
    return *model.infer(params, x), lambda q: model.expected_log_joint(params, x, q)


def _record_seen(problem: Problem, iteration: int, kind: str, params: Any, q: Any, seen: Survey) -> HalfStep:
    posterior, log_likelihood, expected_log_joint = seen
    rows = Rows(log_likelihood, expected_log_joint(q), q.entropy(), q.kl(posterior))
    return record(problem, iteration, kind, params, q, rows)


class Rows(NamedTuple):
    """What a half-step records, row by row (n,)."""

    log_likelihood: np.ndarray
    expected_log_joint: np.ndarray
    entropy: np.ndarray
    kl: np.ndarray


def record(problem: Problem, iteration: int, kind: str, params: Any, q: Any, rows: Rows) -> HalfStep:
    """The half-step from its rows."""
    model, _, weight = problem
    log_likelihood, expected_log_joint, entropy, kl = (total(values, weight) for values in rows)
    return HalfStep(
        iteration=iteration,
        kind=kind,
        params=map_leaves(read_only, params),
        q=q,
        log_likelihood=log_likelihood,
        log_prior=model.log_prior(params),
        expected_log_joint=expected_log_joint,
        entropy=entropy,
        kl=kl,
        kl_rows=rows.kl,
    )


def read_only(array: np.ndarray) -> np.ndarray:
    """The same numbers, not to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
