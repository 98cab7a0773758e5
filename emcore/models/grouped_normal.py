"""Normal values, or a mixture of them, of which only the class is recorded: a histogram's counts.

component      ~  Categorical(weights)
value v        ~  N(means_k, scales_k²) given the component
class b        =  the interval (edges_b, edges_{b+1}] that v falls in;  P_b = Σ_k weights_k P(v in b | k)
log p(x_i)     =  log n!/Π_b x_ib! + Σ_b x_ib log P_b     (the multinomial coefficient is included)
latent         =  component and exact value of every individual: given its class, a mixture of truncated normals
M-step         :  weights, means and standard deviations of the values, expected within the classes
Reference: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 4.2; McLachlan & Jones (1988), Biometrics
44, 571-578.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import gammaln

from emcore.data import as_matrix, as_numbers, check_counts
from emcore.divergence import entropy_rows, kl_rows
from emcore.families.base import as_field, check_range
from emcore.initialise import starting_responsibilities
from emcore.models.checks import check_method, named_fields, simplex_field
from emcore.models.truncated import TruncatedNormalPosterior, truncated_normal
from emcore.numerics import LOG_2PI, DegenerateError, log_or_minus_inf, normalize_log_rows, total
from emcore.parameters import Constraint, Positive, Real, Simplex


class GroupedNormalParams(NamedTuple):
    """Shares, means and standard deviations of the components."""

    weights: np.ndarray  # (k,)
    means: np.ndarray  # (k,)
    scales: np.ndarray  # (k,)


class GroupedNormalStats(NamedTuple):
    """Expected counts, means and scatter of the exact values: additive by `merge`, and blind to an offset."""

    counts: np.ndarray  # (k,)
    mean: np.ndarray  # (k,)
    scatter: np.ndarray  # (k,)

    def merge(self, other: "GroupedNormalStats") -> "GroupedNormalStats":
        """stats(A ∪ B), by the pairwise update of Chan, Golub & LeVeque (1983), Amer. Statist. 37, 242-247."""
        count = self.counts + other.counts
        share = np.divide(other.counts, count, out=np.zeros_like(count), where=count > 0)
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + self.counts * share * shift**2
        return GroupedNormalStats(count, self.mean + share * shift, scatter)


class GroupedPosterior(NamedTuple):
    """Q over component and exact value of every individual, the same for all individuals of a class.

    Individuals are labelled and independent, so a row's entropy and divergence are sums over its counts.
    """

    probs: np.ndarray  # (b, k) of the components, for an individual of each class
    log_probs: np.ndarray  # (b, k)
    values: TruncatedNormalPosterior  # (b · k,) the exact value given class and component
    counts: np.ndarray  # (n, b)

    def entropy(self) -> np.ndarray:
        """H(Q_i) (n,), differential in the values: it may be negative."""
        return self.counts @ (entropy_rows(self.probs) + self._average(self.values.entropy()))

    def kl(self, other: "GroupedPosterior") -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,)."""
        labels = kl_rows(self.probs, other.probs, self.log_probs, other.log_probs)
        return self.counts @ (labels + self._average(self.values.kl(other.values)))

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the exact value given class and component, each (b, k)."""
        return self.values.expectation.reshape(self.probs.shape), self.values.variance.reshape(self.probs.shape)

    def _average(self, of_values: np.ndarray) -> np.ndarray:
        return (self.probs * of_values.reshape(self.probs.shape)).sum(axis=1)

    def with_probs(self, probs: np.ndarray) -> "GroupedPosterior":
        """The same values with other probabilities (b, k) of the components."""
        return self._replace(probs=probs, log_probs=log_or_minus_inf(probs))

    def mode(self) -> "GroupedPosterior":
        """All of Q's labels on the likeliest component of each class; of equals, the first."""
        return self.with_probs(np.eye(self.probs.shape[1])[self.log_probs.argmax(axis=1)])

    def rows(self, index: slice | np.ndarray) -> "GroupedPosterior":
        """The posterior of some of the tables."""
        return self._replace(counts=self.counts[index])


@dataclass(frozen=True)
class GroupedNormal:
    """x (n, b): counts of the b classes between `edges`, one table a row; rows are independent tables.

    `edges` rise from -inf to inf, b + 1 of them: the outer classes are open. Params have `weights`, `means` and
    `scales` (standard deviations), each (k,). Responsibilities are those of the classes (b, k), not of rows. The
    second form of the bound is degenerate: z determines x, so E_q log p(x | z) is the coefficient alone. A component
    narrower than a class makes the likelihood flat, not infinite.

    Raises ValueError for edges that do not rise or do not reach from -inf to inf.

    >>> import numpy as np, emcore as em
    >>> heights = em.GroupedNormal((-np.inf, 160, 165, 170, 175, 180, np.inf))
    >>> fit = em.fit(heights, np.array([[4, 12, 28, 31, 17, 8]]))
    >>> fit.params.means.round(1), fit.params.scales.round(1)
    (array([171.]), array([6.2]))
    """

    edges: tuple[float, ...]
    n_components: int = 1

    def __post_init__(self) -> None:
        edges = as_numbers(self.edges, "edges")
        object.__setattr__(self, "edges", tuple(np.atleast_1d(edges).tolist()))
        rising = edges.ndim == 1 and len(edges) >= 4 and (edges[1:] > edges[:-1]).all()
        if not (rising and edges[0] == -np.inf and edges[-1] == np.inf and np.isfinite(edges[1:-1]).all()):
            raise ValueError(
                "edges must rise from -inf to inf through at least two numbers: open the outer classes, or add empty "
                f"ones; not {self.edges!r}"
            )
        if isinstance(self.n_components, bool) or not isinstance(self.n_components, int | np.integer):
            raise TypeError(f"n_components must be a whole number, not {self.n_components!r}")
        if self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, not {self.n_components}")

    def check(self, x: Any) -> np.ndarray:
        """x (n, b) of whole counts."""
        if isinstance(x, np.ndarray | list | tuple) and np.ndim(x) == 1:
            raise ValueError("x has one axis; a table is one row of counts: use x[None, :]")
        x = as_matrix(x)
        if x.shape[1] != len(self.edges) - 1:
            raise ValueError(f"x has {x.shape[1]} columns, but the edges make {len(self.edges) - 1} classes")
        check_counts(x, "GroupedNormal")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where all counts are in one class, or too few for the components."""
        classes = int((x > 0).any(axis=0).sum())
        if classes < 2 * self.n_components:
            raise ValueError(
                f"counts are above 0 in {classes} classes, but n_components={self.n_components} needs at least "
                f"{2 * self.n_components}: a normal in one class has no best mean and scale"
            )
        return self

    def _values(self, params: Any, lower: Any, upper: Any) -> TruncatedNormalPosterior:
        """Normal values of every component cut to every class (b · k,)."""
        shape = (len(self.edges) - 1, self.n_components)
        parts = (np.broadcast_to(p, shape).ravel() for p in (params.means, params.scales, lower, upper))
        return truncated_normal(*parts)

    def _log_coefficient(self, x: np.ndarray) -> np.ndarray:
        return gammaln(x.sum(axis=1) + 1.0) - gammaln(x + 1.0).sum(axis=1)

    def infer(self, params: Any, x: Any) -> tuple[GroupedPosterior, np.ndarray]:
        """The posterior and log p(x_i) (n,), the multinomial coefficient included."""
        x, edges = self.check(x), np.asarray(self.edges)[:, None]
        values = self._values(params, edges[:-1], edges[1:])
        log_joint = log_or_minus_inf(params.weights) + values.log_mass.reshape(-1, self.n_components)
        probs, log_mass = normalize_log_rows(log_joint)
        q = GroupedPosterior(probs, log_joint - log_mass[:, None], values, x)
        return q, self._log_coefficient(x) + x @ log_mass

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x_i) (n,)."""
        return self.infer(params, x)[1]

    def posterior(self, params: Any, x: Any) -> GroupedPosterior:
        """Components given the class, and truncated normals given both."""
        return self.infer(params, x)[0]

    def expected_log_joint(self, params: Any, x: Any, q: GroupedPosterior) -> np.ndarray:
        """log n!/Π x! + Σ_b x_b E[log weights_k + log N(v; means_k, scales_k²)] (n,)."""
        mean, variance = q.moments()
        squares = ((mean - params.means) ** 2 + variance) / params.scales**2
        log_joint = log_or_minus_inf(params.weights) - np.log(params.scales) - 0.5 * (LOG_2PI + squares)
        each = np.multiply(q.probs, log_joint, out=np.zeros(q.probs.shape), where=q.probs > 0)
        return self._log_coefficient(self.check(x)) + q.counts @ each.sum(axis=1)

    def latent_prior(self, params: Any, x: Any) -> GroupedPosterior:
        """p(z): the weights, and normal values in any class."""
        weights = np.broadcast_to(params.weights, (len(self.edges) - 1, self.n_components))
        anywhere = self._values(params, -np.inf, np.inf)
        return GroupedPosterior(weights, log_or_minus_inf(weights), anywhere, self.check(x))

    def expected_log_conditional(self, params: Any, x: Any, q: GroupedPosterior) -> np.ndarray:
        """log n!/Π x! (n,): the values determine the classes, only their order is left."""
        return self._log_coefficient(self.check(x))

    def suff_stats(self, x: Any, q: GroupedPosterior, weight: np.ndarray | None = None) -> GroupedNormalStats:
        """Counts, means and scatter of the values (k,) under q."""
        totals = q.counts.sum(axis=0) if weight is None else weight @ q.counts
        each = totals[:, None] * q.probs  # (b, k)
        return _moments(each, *q.moments())

    def m_step(self, stats: GroupedNormalStats, params: Any) -> GroupedNormalParams:
        """Shares, means and standard deviations; DegenerateError where a component is left without a count."""
        if not (stats.counts > 0).all():
            raise DegenerateError(f"component {int(np.argmin(stats.counts))} has lost all its counts")
        scales = np.sqrt(stats.scatter / stats.counts)
        if not (scales > 0).all():
            raise DegenerateError(f"component {int(np.argmin(scales))} has collapsed inside a class")
        return GroupedNormalParams(stats.counts / stats.counts.sum(), stats.mean, scales)

    def log_prior(self, params: Any) -> float:
        """0: maximum likelihood."""
        return 0.0

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """One M-step with all values at the middle of their class, components seeded by a named method."""
        check_method(method)
        totals = x.sum(axis=0) if weight is None else weight @ x
        middle = self._middles()[0][:, None]
        responsibilities = starting_responsibilities(middle, self.n_components, method, rng, totals)
        return self.params_from_responsibilities(x, responsibilities, weight)

    def _middles(self) -> tuple[np.ndarray, np.ndarray]:
        """Middles and widths of the classes (b,); an open class is taken as wide as its neighbour."""
        inner = np.asarray(self.edges[1:-1])
        edges = np.concatenate([[2 * inner[0] - inner[1]], inner, [2 * inner[-1] - inner[-2]]])
        return 0.5 * (edges[:-1] + edges[1:]), edges[1:] - edges[:-1]

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from responsibilities of the classes (b, k), with values spread evenly over each class."""
        shape = (x.shape[1], self.n_components)
        if np.shape(responsibilities) != shape:
            raise ValueError(
                f"GroupedNormal starts from params, a method's name or responsibilities {shape} of classes"
            )
        totals = x.sum(axis=0) if weight is None else weight @ x
        middle, width = self._middles()
        each = totals[:, None] * responsibilities
        return self.m_step(_moments(each, middle[:, None], width[:, None] ** 2 / 12.0), None)

    def check_params(self, params: Any, x: Any) -> GroupedNormalParams:
        """weights, means and scales > 0, each (k,)."""
        fields = named_fields(params, GroupedNormalParams._fields, type(self).__name__)
        shape = (self.n_components,)
        scales = as_field(fields, "scales", shape)
        check_range("scales", scales, np.finfo(float).tiny)
        return GroupedNormalParams(simplex_field(fields, "weights", shape), as_field(fields, "means", shape), scales)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"weights": Simplex(), "means": Real(), "scales": Positive()}

    def n_observations(self, x: Any, weight: np.ndarray | None = None) -> float:
        """Individuals counted: n of the BIC, not the number of tables."""
        return total(self.check(x).sum(axis=1), weight)

    def n_params(self, params: Any) -> int:
        """3 k - 1."""
        return 3 * self.n_components - 1

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n tables x (n, b) of one individual each, and their exact values z (n,)."""
        k = rng.choice(self.n_components, size=n, p=params.weights)
        z = params.means[k] + params.scales[k] * rng.standard_normal(n)
        return np.eye(len(self.edges) - 1)[np.searchsorted(self.edges[1:-1], z)], z

    def relabel(self, params: Any, order: Any) -> GroupedNormalParams:
        """The same mixture with components in another order."""
        return GroupedNormalParams(*(field[order] for field in params))


def _moments(each: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> GroupedNormalStats:
    """Counts, means and scatter (k,) of values with these means and variances (b, k), counted `each` (b, k) times."""
    counts = each.sum(axis=0)
    share = np.divide(each, counts, out=np.zeros_like(each), where=counts > 0)
    pivot = mean[len(mean) // 2]
    centre = pivot + (share * (mean - pivot)).sum(axis=0)
    return GroupedNormalStats(counts, centre, (each * (variance + (mean - centre) ** 2)).sum(axis=0))
