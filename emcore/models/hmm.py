"""Hidden Markov models over any observation family.

z_1            ~  Categorical(start)                      (the stationary distribution of transitions, if so chosen)
z_s | z_s-1=i  ~  Categorical(transitions_i)
x_s | z_s = k  ~  family with its own θ_k
prior          ~  pseudo-counts:  a Σ log start + b Σ log transitions, Dirichlet up to a constant
The rows of one table are the steps of one sequence, or of several of given lengths, which are independent.
Reference: Baum, Petrie, Soules & Weiss (1970), Ann. Math. Statist. 41, 164-171; Rabiner (1989), Proc. IEEE 77, 257-286.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import xlogy

from emcore.chain import (
    ChainPosterior,
    Layout,
    Sequences,
    as_lengths,
    chain_posterior,
    independent_chain,
    log_totals,
    most_probable_path,
    placed_posterior,
)
from emcore.data import check_pseudo_count, refuse_empty_columns
from emcore.families.base import Family
from emcore.initialise import starting_responsibilities
from emcore.models.checks import check_family, check_order, named_fields, simplex_field
from emcore.models.hmm_rows import EmissionRows
from emcore.models.stationary import best_transitions, stationary_distribution
from emcore.numerics import DegenerateError, log_or_minus_inf, row_blocks
from emcore.parameters import Constraint, Fixed, Simplex
from emcore.trees import add_stats, joined

_BLOCK_ROWS = 16_384
_EMPTY = 1e-10  # share of the steps under which a state holds nothing


class HMMStats(NamedTuple):
    """Expected first states and transitions, and what the family keeps."""

    starts: np.ndarray  # (k,)
    transitions: np.ndarray  # (k, k), from row to column
    family: Any


@dataclass(frozen=True)
class HMM:
    """A Markov chain of `n_states` seen through `family`; params: `start` (k,), `transitions` (k, k), the family's.

    Several sequences are one table and their `lengths`: `fit(model, x, lengths=[50, 70])`; weights, log-likelihoods and
    bounds are per sequence, responsibilities per row. `stationary=True` starts every sequence in equilibrium: `start`
    then follows from `transitions`, whose M-step is a numerical maximisation. `start_prior` and `transition_prior`
    count that many pseudo-observations of every first state and every transition.

    A start or transition probability of exactly 0 stays 0.

    >>> import emcore as em
    >>> model = em.HMM(em.Poisson(), 2, stationary=True)
    >>> x = em.datasets.load("earthquakes").select("count")
    >>> fit = em.fit(model, x, init={"transitions": [[0.9, 0.1], [0.1, 0.9]], "rates": [[15.0], [25.0]]})
    >>> round(fit.log_likelihood, 4), fit.params.rates.ravel().round(3)
    (-342.3183, array([15.472, 26.125]))
    >>> fit.params.start.round(3)
    array([0.661, 0.339])
    """

    family: Family
    n_states: int
    stationary: bool = False
    start_prior: float = 0.0
    transition_prior: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.n_states, bool) or not isinstance(self.n_states, int | np.integer):
            raise TypeError(f"n_states must be a whole number, not {self.n_states!r}")
        if self.n_states < 1:
            raise ValueError(f"n_states must be at least 1, not {self.n_states}")
        check_family(self.family)
        check_pseudo_count(self.start_prior, "start_prior")
        check_pseudo_count(self.transition_prior, "transition_prior")

    @property
    def n_components(self) -> int:
        """The number of states, as the starts call it."""
        return self.n_states

    def check(self, x: Any) -> Sequences:
        """Sequences as they are; a table as one sequence."""
        if isinstance(x, Sequences):
            return x
        x = self.family.check(x)
        return Sequences(x, Layout(np.array([len(x)])))

    def check_sequences(self, x: Any, lengths: Any) -> Sequences:
        """The rows of x (t, d) as sequences of these lengths, one after another; ValueError unless they add up to t."""
        x = self.family.check(x)
        return Sequences(x, Layout(as_lengths(lengths, len(x))))

    def resolve(self, x: Sequences) -> Self:
        """The model with its family resolved; ValueError where there are fewer rows than states."""
        if len(x.x) < self.n_states:
            raise ValueError(
                f"n_states={self.n_states} needs at least as many rows, but x has {len(x.x)}; "
                "use fewer states or more data"
            )
        refuse_empty_columns(x.x)
        return replace(self, family=self.family.resolve(x.x, self.n_states))

    def make_params(self, start: np.ndarray, transitions: np.ndarray, family_params: Any) -> Any:
        """The flat params tuple: start, transitions, then the family's fields."""
        return joined("HMMParams", ("start", "transitions"), self.family.Params)(start, transitions, *family_params)

    def start_of(self, params: Any) -> np.ndarray:
        """p(z_1) (k,): `params.start`, or the stationary distribution of `params.transitions`."""
        return stationary_distribution(params.transitions) if self.stationary else params.start

    def complete(self, params: Any) -> Any:
        """The params with `start` as it follows from the transitions of a stationary chain."""
        return params._replace(start=self.start_of(params)) if self.stationary else params

    def _log_prob(self, params: Any, x: Sequences) -> np.ndarray:
        """log p(x_s | z_s = k) (t, k)."""
        columns = np.empty((self.n_states, len(x.x)))
        for block in row_blocks(len(x.x), _BLOCK_ROWS):
            columns[:, block] = self.family.log_prob(params, x.x[block]).T
        return columns.T

    def _filler(self, params: Any, x: Sequences) -> Callable[[slice, np.ndarray], object]:
        """A function that writes log p(x_s | z_s = k) of a slice of places into columns (k, b)."""
        features = x.once(EmissionRows.of, self.family)
        quick = None if features is None else features.log_prob(params)
        if quick is not None:
            return quick

        def fill(places: slice, columns: np.ndarray) -> None:
            columns[...] = self.family.log_prob(params, x.placed[places]).T

        return fill

    def infer(self, params: Any, x: Any) -> tuple[ChainPosterior, np.ndarray]:
        """p(z | x) of whole sequences and log p(x) (n,), by one pass forward and one back.

        Raises ValueError naming a sequence that no path makes possible.
        """
        x = self.check(x)
        return placed_posterior(self.start_of(params), params.transitions, self._filler(params, x), x.layout)

    def posterior(self, params: Any, x: Any) -> ChainPosterior:
        """p(z | x; θ) of whole sequences."""
        return self.infer(params, x)[0]

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x; θ) of every sequence (n,); -inf where one is impossible."""
        x = self.check(x)
        return log_totals(self.start_of(params), params.transitions, self._log_prob(params, x), x.layout)

    def decode(self, params: Any, x: Any) -> np.ndarray:
        """The most probable path of every sequence, as the states of all rows (t,) (Viterbi 1967)."""
        x = self.check(x)
        return most_probable_path(self.start_of(params), params.transitions, self._log_prob(params, x), x.layout)

    def expected_log_joint(self, params: Any, x: Any, q: ChainPosterior) -> np.ndarray:
        """E_q log p(x, z; θ) of every sequence (n,)."""
        x = self.check(x)
        first = log_or_minus_inf(self.start_of(params))
        moves = q.expected_transitions(log_or_minus_inf(params.transitions))
        return q.expected_first(first) + moves + q.expected_states(self._log_prob(params, x))

    def latent_prior(self, params: Any, x: Any) -> ChainPosterior:
        """p(z): the chain before any observation."""
        x = self.check(x)
        nothing = np.zeros((self.n_states, len(x.x))).T
        return chain_posterior(self.start_of(params), params.transitions, nothing, x.layout)[0]

    def expected_log_conditional(self, params: Any, x: Any, q: ChainPosterior) -> np.ndarray:
        """E_q log p(x | z) of every sequence (n,)."""
        return q.expected_states(self._log_prob(params, self.check(x)))

    def suff_stats(self, x: Any, q: ChainPosterior, weight: np.ndarray | None = None) -> HMMStats:
        """Expected first states, transitions and the family's statistics under q; `weight` (n,) is per sequence."""
        x = self.check(x)
        blocks = partial(_weighted_blocks, q, x.per_row(weight))
        features = x.once(EmissionRows.of, self.family) if q.is_placed else None
        family = None if features is None else features.stats(blocks())
        if family is None:
            rows = x.placed if q.is_placed else x.x
            family = reduce(add_stats, (self.family.suff_stats(rows[block], own) for block, own in blocks()))
        starts = q.firsts if weight is None else q.firsts * weight[:, None]
        return HMMStats(starts.sum(axis=0), q.transition_counts(weight), family)

    def m_step(self, stats: HMMStats, params: Any) -> Any:
        """Counts + pseudo-counts over their totals, and the family's estimates.

        A state that nothing leaves keeps its transitions (even ones at a start). `stationary`: see `best_transitions`.
        DegenerateError where a state has emptied that could be reached.
        """
        starts, counts = stats.starts + self.start_prior, stats.transitions + self.transition_prior
        self._refuse_emptied(starts + counts.sum(axis=0), params)
        present = np.full(counts.shape, 1.0 / self.n_states) if params is None else params.transitions
        family_params = self.family.mle(stats.family, params)
        if self.stationary:
            transitions = best_transitions(counts, starts, present)
            return self.make_params(stationary_distribution(transitions), transitions, family_params)
        total = counts.sum(axis=1, keepdims=True)
        transitions = np.where(total > 0, counts / np.where(total > 0, total, 1.0), present)
        return self.make_params(starts / starts.sum(), transitions, family_params)

    def _refuse_emptied(self, visits: np.ndarray, params: Any) -> None:
        if not visits.sum() > 0:
            raise DegenerateError("no rows are left: every weight is zero")
        empty = visits < _EMPTY * visits.sum()
        if params is not None:
            off_diagonal = params.transitions * (1.0 - np.eye(self.n_states))
            empty &= (self.start_of(params) > 0) | (off_diagonal > 0).any(axis=0)
        if empty.any():
            raise DegenerateError(f"state {int(np.flatnonzero(empty)[0])} has emptied: the rows need fewer states")

    def log_prior(self, params: Any) -> float:
        """a Σ log start + b Σ log transitions + the family's log prior."""
        chain = xlogy(self.start_prior, self.start_of(params)).sum()
        chain += xlogy(self.transition_prior, params.transitions).sum()
        return float(chain) + self.family.log_prior(params)

    def check_params(self, params: Any, x: Sequences) -> Any:
        """The params with every field checked for shape and range, float64; a stationary model needs no `start`."""
        names = ("start", "transitions", *self.family.Params._fields)
        fields = named_fields(params, names, "HMM")
        transitions = simplex_field(fields, "transitions", (self.n_states, self.n_states))
        family_params = self.family.check_params(fields, self.n_states, x.x.shape[1])
        if not self.stationary:
            return self.make_params(simplex_field(fields, "start", (self.n_states,)), transitions, family_params)
        try:
            start = stationary_distribution(transitions)
        except DegenerateError as error:
            raise ValueError(f"params.transitions do not do for a stationary chain: {error}") from error
        if "start" in fields and np.abs(simplex_field(fields, "start", (self.n_states,)) - start).max() > 1e-6:
            raise ValueError(f"params.start is not the stationary distribution {start.tolist()}: leave it out")
        return self.make_params(start, transitions, family_params)

    def initial_params(self, x: Sequences, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """One M-step from responsibilities that a named method seeds without regard to time (see `initialise`).

        The transitions are those between neighbouring responsibilities, so that runs of one label make sticky states.
        """
        features = self.family.seeding_features(x.x)
        rows = x.per_row(weight)
        responsibilities = starting_responsibilities(features, self.n_states, method, rng, rows)
        return self.params_from_responsibilities(x, responsibilities, weight)

    def params_from_responsibilities(self, x: Any, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from given responsibilities (t, k), as if independent from step to step."""
        x = self.check(x)
        return self.m_step(self.suff_stats(x, independent_chain(responsibilities, x.layout), weight), None)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in; a stationary start is not free."""
        start: Constraint = Fixed() if self.stationary else Simplex()
        return {"start": start, "transitions": Simplex(), **self.family.constraints()}

    def n_params(self, params: Any) -> int:
        """k - 1 first states (unless stationary), k(k - 1) transitions, and the family's."""
        k, n_features = self.n_states, np.shape(params[2])[1]
        return (0 if self.stationary else k - 1) + k * (k - 1) + self.family.n_params(k, n_features)

    def n_observations(self, x: Any, weight: np.ndarray | None = None) -> float:
        """n of the BIC: the steps of all sequences, weighted."""
        lengths = self.check(x).lengths
        return float(lengths.sum() if weight is None else weight @ lengths)

    def sample(self, params: Any, n: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows x (t, d) and states z (t,) of one sequence of n steps, or of several where n gives their lengths."""
        lengths = np.atleast_1d(np.asarray(n))
        z = np.concatenate([self._sample_path(params, int(length), rng) for length in lengths])
        return self.family.sample(params, z, rng), z

    def _sample_path(self, params: Any, length: int, rng: np.random.Generator) -> np.ndarray:
        cumulative = np.vstack([params.transitions, self.start_of(params)]).cumsum(axis=1)
        cumulative /= cumulative[:, -1:]
        path = np.empty(length, dtype=np.intp)
        state = self.n_states  # the last row: before the first step
        for step, draw in enumerate(rng.random(length)):
            path[step] = state = int(np.searchsorted(cumulative[state], draw, side="right"))
        return path

    def relabel(self, params: Any, order: Any) -> Any:
        """The same chain with states in another order."""
        order = check_order(order, self.n_states)
        transitions = params.transitions[order][:, order]
        return self.make_params(params.start[order], transitions, self.family.select(params, order))


def _weighted_blocks(q: ChainPosterior, share: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows (by place where `q` is placed) and their responsibilities (b, k), times the rows' weights."""
    if share is not None and q.is_placed:
        share = share[q.layout.order]
    for block, probs in q.row_blocks(_BLOCK_ROWS):
        yield block, probs if share is None else probs * share[block, None]
