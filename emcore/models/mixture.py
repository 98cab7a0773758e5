"""Finite mixtures of any observation family.

z_i            ~  Categorical(weights)
x_i | z_i = k  ~  family with its own θ_k
log p(x_i)     =  log Σ_k weights_k p(x_i | θ_k)
prior          ~  c pseudo-rows in every component:  c Σ log weights, Dirichlet(1 + c) up to a constant
Reference: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 4.3; McLachlan & Peel (2000).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Self

import numpy as np
from scipy.special import xlogy

from emcore.data import check_pseudo_count
from emcore.families.base import Family, as_field, check_range
from emcore.families.missing import (
    CompletesCells,
    LabelsAndCells,
    MissingCells,
    available_cells,
    condition,
    expected_log_prob,
    expected_log_prob_of_seen,
    prior_of_cells,
)
from emcore.initialise import responsibility_blocks, soften, starting_responsibilities
from emcore.kernels.base import Kernel, MixtureStats, pile_up, take_apart
from emcore.kernels.choice import kernel_for
from emcore.kernels.chunks import ChunkedKernel, chunk_rows
from emcore.kernels.plain import PlainKernel
from emcore.model import AbstractDiscreteLatent, Survey
from emcore.models.checks import check_family, check_order, named_fields
from emcore.numerics import (
    DegenerateError,
    emptied,
    expectation_rows,
    log_or_minus_inf,
    normalize_log_rows,
    row_blocks,
)
from emcore.parameters import Constraint, Fixed, Simplex
from emcore.posteriors import CategoricalPosterior
from emcore.trees import add_stats, joined

_EMPTY = 1e-10  # share of the rows under which a component holds nothing
_CELLS = 500_000  # starting responsibilities held at a time


@dataclass(frozen=True)
class Mixture(AbstractDiscreteLatent):
    """A mixture of `n_components` of `family`; params have `weights` (k,) and the family's fields.

    `weight_prior` counts that many pseudo-rows in every component; `fixed_weights` holds the weights still.

    Missing cells (NaN) are marginalised where the family knows how. Under full and tied Gaussians they are latent
    beside z, and the posterior is a `LabelsAndCells`; a start from labels or responsibilities first fills them at the
    mean and variance of what their component has seen of the column.

    >>> import numpy as np, emcore as em
    >>> model = em.Mixture(em.Poisson(), 2)
    >>> x = np.repeat(np.arange(10.0), [162, 267, 271, 185, 111, 61, 27, 8, 3, 1])[:, None]
    >>> fit = em.fit(model, x, restarts=1, seed=0)
    >>> np.sort(fit.params.rates.ravel()).round(3), round(fit.log_likelihood, 4)
    (array([1.256, 2.663]), -1989.9459)
    """

    family: Family
    n_components: int
    weight_prior: float = 0.0
    fixed_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.n_components, bool) or not isinstance(self.n_components, int | np.integer):
            raise TypeError(f"n_components must be a whole number, not {self.n_components!r}")
        if self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, not {self.n_components}")
        check_family(self.family)
        check_pseudo_count(self.weight_prior, "weight_prior")
        if self.fixed_weights is not None:
            weights = self._check_weights({"weights": self.fixed_weights})
            object.__setattr__(self, "fixed_weights", tuple(weights.tolist()))

    def check(self, x: Any) -> np.ndarray:
        """x as the family reads it."""
        return self.family.check_incomplete(x) if isinstance(self.family, CompletesCells) else self.family.check(x)

    def _completing(self, x: np.ndarray) -> CompletesCells | None:
        """The family where missing cells of x are latent beside z; None otherwise."""
        return self.family if isinstance(self.family, CompletesCells) and self.family.completes(x) else None

    def resolve(self, x: np.ndarray) -> Self:
        """The mixture with its family resolved; ValueError where there are fewer rows than components."""
        if len(x) < self.n_components:
            raise ValueError(
                f"n_components={self.n_components} needs at least as many rows, but x has {len(x)}; "
                "use fewer components or more data"
            )
        return replace(self, family=self.family.resolve(x, self.n_components))

    def make_params(self, weights: np.ndarray, family_params: Any) -> Any:
        """The flat params tuple: weights, then the family's fields."""
        return joined("MixtureParams", ("weights",), self.family.Params)(weights, *family_params)

    def log_joint(self, params: Any, x: Any) -> np.ndarray:
        """log weights_k + log p(x_i | θ_k) (n, k)."""
        return log_or_minus_inf(params.weights) + self.family.log_prob(params, self.check(x))

    def survey(self, params: Any, x: Any) -> Survey:
        """The posterior p(z, x_miss | x_i), log p(x_i) (n,) and q -> E_q log p(x_i, z, x_miss) (n,).

        From one evaluation of the densities.
        """
        x = self.check(x)
        family = self._completing(x)
        if family is None:
            return super().survey(params, x)
        by_component, cells = condition(*family.moments(params), x)
        log_joint = log_or_minus_inf(params.weights) + by_component.T
        probs, log_likelihood = normalize_log_rows(log_joint)
        posterior = LabelsAndCells(probs, log_joint - log_likelihood[:, None], cells)
        return posterior, log_likelihood, lambda q: self.expected_log_joint(params, x, q)

    def expected_log_joint(self, params: Any, x: Any, q: Any) -> np.ndarray:
        """E_q log p(x_i, z, x_miss; θ) (n,); a q of 0 wipes out log 0."""
        x = self.check(x)
        family = self._completing(x)
        if family is not None and isinstance(q, LabelsAndCells):
            expected = expected_log_prob(*family.moments(params), q.cells).T
        else:
            expected = self.family.log_prob(params, x)
        return expectation_rows(q.probs, log_or_minus_inf(params.weights) + expected)

    def latent_prior(self, params: Any, x: Any) -> CategoricalPosterior | LabelsAndCells:
        """p(z) for every row: the weights (n, k); and p(x_miss | z) where missing cells are latent."""
        x = self.check(x)
        family = self._completing(x)
        cells = None if family is None else prior_of_cells(*family.moments(params), x)
        return _posterior(np.broadcast_to(params.weights, (len(x), self.n_components)), None, cells)

    def expected_log_conditional(self, params: Any, x: Any, q: Any) -> np.ndarray:
        """E_q log p(x_i | z) (n,); of the seen cells given z and the missing ones where those are latent."""
        x = self.check(x)
        family = self._completing(x)
        if family is not None and isinstance(q, LabelsAndCells):
            return expectation_rows(q.probs, expected_log_prob_of_seen(*family.moments(params), q.cells).T)
        return expectation_rows(q.probs, self.family.log_prob(params, x))

    def suff_stats(self, x: Any, q: Any, weight: np.ndarray | None = None) -> MixtureStats:
        """Expected counts (k,) and the family's statistics under q."""
        x = self.check(x)
        responsibilities = q.probs if weight is None else q.probs * weight[:, None]
        family = self._completing(x)
        if family is not None and isinstance(q, LabelsAndCells):
            stats = family.completed_stats(q.cells, responsibilities)
        else:
            stats = self.family.suff_stats(x, responsibilities)
        return MixtureStats(responsibilities.sum(axis=0), stats)

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from given responsibilities (n, k); missing cells as the class says."""
        weighted = responsibilities if weight is None else responsibilities * weight[:, None]
        cells = None if self._completing(x) is None else available_cells(x, weighted)
        return self.m_step(self.suff_stats(x, _posterior(responsibilities, None, cells), weight), None)

    def m_step(self, stats: MixtureStats, params: Any) -> Any:
        """weights = (counts + c) / (n + k·c), and the family's estimates."""
        return self.make_params(self._weights(stats.counts), self.family.mle(stats.family, params))

    def _weights(self, counts: np.ndarray) -> np.ndarray:
        """The weights from expected counts (..., k)."""
        counts = counts + self.weight_prior
        rows = counts.sum(axis=-1, keepdims=True)
        if not rows.min() > 0:
            raise DegenerateError("no rows are left: every responsibility or weight is zero")
        if self.fixed_weights is not None:
            return np.broadcast_to(np.asarray(self.fixed_weights), counts.shape)
        shares = counts / rows
        if shares.min() < _EMPTY:
            raise emptied(int(shares.argmin()) % counts.shape[-1])
        return shares

    def kernel(
        self, x: np.ndarray, weight: np.ndarray | None = None, *, dtype: Any = np.float64, threads: int = 1
    ) -> Kernel:
        """The rows (checked; the model resolved) laid out for passes that serve one start, or many piled up.

        `dtype` float32 is heard where the rows are Gaussian (see `kernels.gaussian` for what it costs); `threads` work
        on chunks of the rows, where there are enough for more than one (see `kernels.chunks`).
        """
        singly = bool(self.shared_fields) or self._completing(x) is not None
        plain = PlainKernel(self, x, weight, singly=singly)
        chunks = list(row_blocks(len(x), chunk_rows(self.n_components, x.shape[1])))
        if len(chunks) == 1:
            return kernel_for(self.family, x, weight, plain, dtype)
        parts = []
        for rows in chunks:
            own = None if weight is None else weight[rows]
            part = PlainKernel(self, x[rows], own, singly=singly)
            parts.append(kernel_for(self.family, x[rows], own, part, dtype))
        return ChunkedKernel(parts, plain, self.shared_fields, threads)

    @property
    def shared_fields(self) -> Mapping[str, int]:
        """Fields of params and statistics that all components share, and their axes: a pile stacks them."""
        return getattr(self.family, "shared_fields", {})

    def pile(self, starts: Sequence[Any]) -> Any:
        """The params of many starts as those of one mixture of all their components (see `kernels.base`)."""
        return pile_up(starts, self.shared_fields)

    def unpile(self, pile: Any, n_starts: int) -> list[Any]:
        """The params of each start in a pile."""
        return take_apart(pile, n_starts, self.shared_fields)

    def m_step_pile(self, stats: MixtureStats, pile: Any, n_starts: int) -> Any:
        """`m_step` for every start of a pile; DegenerateError where any of them has collapsed or emptied."""
        if getattr(self.family, "piles", True):
            weights = self._weights(stats.counts.reshape(n_starts, -1)).ravel()
            return self.make_params(weights, self.family.mle(stats.family, pile))
        parts = take_apart(stats, n_starts, self.shared_fields)
        return self.pile([self.m_step(*pair) for pair in zip(parts, self.unpile(pile, n_starts))])

    def log_priors(self, pile: Any, n_starts: int) -> np.ndarray:
        """`log_prior` (n_starts,) of every start of a pile."""
        if not (self.weight_prior or np.any(getattr(self.family, "prior", None))):
            return np.zeros(n_starts)
        return np.array([self.log_prior(start) for start in self.unpile(pile, n_starts)])

    def log_prior(self, params: Any) -> float:
        """c Σ log weights + the family's log prior."""
        weights = float(xlogy(self.weight_prior, params.weights).sum()) if self.fixed_weights is None else 0.0
        return weights + self.family.log_prior(params)

    def check_params(self, params: Any, x: np.ndarray) -> Any:
        """The params with every field checked for shape and range, float64."""
        fields = named_fields(params, ("weights", *self.family.Params._fields), type(self.family).__name__)
        weights = self._check_weights(fields)
        return self.make_params(weights, self.family.check_params(fields, self.n_components, x.shape[1]))

    def _check_weights(self, fields: Mapping[str, Any]) -> np.ndarray:
        weights = as_field(fields, "weights", (self.n_components,))
        check_range("weights", weights, 0.0, 1.0)
        if abs(weights.sum() - 1.0) > 1e-8:
            raise ValueError(f"params.weights must sum to 1, but they sum to {weights.sum():.10g}")
        return weights

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """One M-step from responsibilities that a named method seeds (see `initialise`)."""
        features, k = self.family.seeding_features(x), self.n_components
        if self._completing(x) is not None:
            responsibilities = starting_responsibilities(features, k, method, rng, weight)
            return self.params_from_responsibilities(x, responsibilities, weight)
        blocks = responsibility_blocks(features, k, method, rng, weight, max(_CELLS // k, 1))
        parts = (
            self.suff_stats(x[rows], CategoricalPosterior(some), None if weight is None else weight[rows])
            for rows, some in blocks
        )
        return self.m_step(reduce(add_stats, parts), None)

    def many_initial_params(
        self, x: np.ndarray, method: str, rngs: Sequence[np.random.Generator], weight: Any = None
    ) -> list[Any]:
        """`initial_params` for every generator, by one M-step for many."""
        apart = self.shared_fields or not getattr(self.family, "piles", True) or len(x) * self.n_components > _CELLS
        if apart or self._completing(x) is not None:
            return [self.initial_params(x, method, rng, weight) for rng in rngs]
        features, k = self.family.seeding_features(x), self.n_components
        found: list[Any] = []
        for some in row_blocks(len(rngs), max(1, _CELLS // (len(x) * k))):
            seeded = [starting_responsibilities(features, k, method, rng, weight) for rng in rngs[some]]
            stats = self.suff_stats(x, CategoricalPosterior(np.concatenate(seeded, axis=1)), weight)
            found += self.unpile(self.m_step_pile(stats, None, len(seeded)), len(seeded))
        return found

    def params_at_means(self, x: Any, means: Any) -> Any:
        """A start with `means` (k, d) where they were put: every row to the nearest one, one M-step, then those means.

        Nearness is Euclidean in standardised columns. For families that have a field `means`.
        """
        x, means = self.check(x), np.asarray(means, dtype=float)
        features = self.family.seeding_features(np.concatenate([x, means]))
        rows, seeds = features[: len(x)], features[len(x) :]
        labels = ((rows[:, None] - seeds) ** 2).sum(axis=2).argmin(axis=1)
        resolved = self.resolve(x)
        return resolved.params_from_responsibilities(x, soften(labels, self.n_components))._replace(means=means)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        weights: Constraint = Simplex() if self.fixed_weights is None else Fixed()
        return {"weights": weights, **self.family.constraints()}

    def n_params(self, params: Any) -> int:
        """k - 1 weights (unless fixed) and the family's."""
        free_weights = self.n_components - 1 if self.fixed_weights is None else 0
        n_features = np.shape(params[1])[1]
        return free_weights + self.family.n_params(self.n_components, n_features)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n rows x (n, d) and the labels z (n,) that made them."""
        z = rng.choice(self.n_components, size=n, p=params.weights)
        return self.family.sample(params, z, rng), z

    def relabel(self, params: Any, order: Any) -> Any:
        """The same mixture with components in another order."""
        order = check_order(order, self.n_components)
        return self.make_params(params.weights[order], self.family.select(params, order))


def _posterior(
    probs: np.ndarray, log_probs: np.ndarray | None, cells: MissingCells | None
) -> CategoricalPosterior | LabelsAndCells:
    return CategoricalPosterior(probs, log_probs) if cells is None else LabelsAndCells(probs, log_probs, cells)
