"""The protocol of an observation family p(x | z = k; θ_k), and the checks that families share.

A family serves every structure (mixture, Markov chain): it knows densities, statistics and estimates, and nothing
of the latent structure. It reads its own fields (`means`, `rates`, …) from whatever NamedTuple holds them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from emcore.data import as_numbers
from emcore.parameters import Constraint


class Family(Protocol):
    """Densities, additive statistics and (penalised) maximum-likelihood estimates of k components at once."""

    Params: ClassVar[Any]  # a NamedTuple type; every field has the component as its first axis unless shared

    def check(self, x: Any) -> np.ndarray:
        """The data as float64 (n, d) in the family's support, or an error that names the place."""
        ...

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """The family with what is scaled from the data filled in."""
        ...

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log p(x_i | z = k) (n, k)."""
        ...

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> Any:
        """Additive statistics of rows weighted by responsibilities (n, k), sample weights included."""
        ...

    def mle(self, stats: Any, params: Any) -> Any:
        """The Params that maximise expected log density + log prior; a component without rows keeps `params`."""
        ...

    def log_prior(self, params: Any) -> float:
        """log p(θ) up to a constant, as `mle` maximises it."""
        ...

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> Any:
        """Params from named arrays, shapes and ranges checked."""
        ...

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        ...

    def n_params(self, n_components: int, n_features: int) -> int:
        """Free parameters of k components."""
        ...

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """A matrix (n, m) in which Euclidean distance is a fair guess of dissimilarity."""
        ...

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw of x for each label in z (n,)."""
        ...

    def select(self, params: Any, order: Any) -> Any:
        """The Params with components in another order."""
        ...


@runtime_checkable
class ExponentialFamily(Protocol):
    """What a family adds to `Family` whose log-density is η · t(x) + log h(x), so that fast passes are open to it."""

    def sufficient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t(x_i) (n, p) and log h(x_i) (n,); what is 0 for missing cells leaves them out."""
        ...

    def natural(self, params: Any) -> np.ndarray:
        """η (k, p), log 0 a huge finite number (see `numerics.log_for_counts`)."""
        ...

    def stats_of_sums(self, sums: np.ndarray) -> Any:
        """What `suff_stats` gives, from Σ_i r_ik t(x_i) (k, p)."""
        ...


_SQUARED = ("means", "mean", "loadings", "coefficients", "scales")
_LARGEST = 1e150


def as_field(fields: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One named parameter as a finite float64 array of the given shape.

    A vector (k,) is taken for (k, 1) where there is one feature. ValueError names the field otherwise.
    """
    if name not in fields:
        raise ValueError(f"params lack the field {name!r}; they have {', '.join(fields)}")
    array = as_numbers(fields[name], f"params.{name}")
    if array.shape != shape and array.size == np.prod(shape) and array.ndim < len(shape):
        array = array.reshape(shape)
    if array.shape != shape:
        raise ValueError(f"params.{name} must have shape {shape}, but its shape is {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"params.{name} has a value that is not finite: {array.tolist()}")
    if name in _SQUARED and (np.abs(array) > _LARGEST).any():
        raise ValueError(f"params.{name} has a value beyond {_LARGEST:g}, whose square overflows: {array.tolist()}")
    return array


def check_range(name: str, array: np.ndarray, low: float, high: float = np.inf) -> None:
    """ValueError unless low ≤ array ≤ high."""
    bad = (array < low) | (array > high)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        limits = f"at least {low:g}" if np.isinf(high) else f"between {low:g} and {high:g}"
        raise ValueError(f"params.{name} must be {limits}, but params.{name}{list(place)} is {array[place]:g}")


_LEAST = float(np.nextafter(0.0, 1.0))


def ratio_or_keep(numerator: np.ndarray, denominator: np.ndarray, previous: np.ndarray | None) -> np.ndarray:
    """numerator / denominator; where nothing was observed (0/0), the previous value, or the pooled ratio.

    What was observed, however little, keeps a value above 0: a 0 would make rows impossible that Q still holds.
    """
    empty = ~(denominator > 0)
    if not empty.any():
        ratio = numerator / denominator
        return np.maximum(ratio, _LEAST, out=ratio, where=(ratio == 0) & (numerator > 0))
    if previous is None:
        pooled = numerator.sum(axis=0) / np.maximum(denominator.sum(axis=0), np.finfo(float).tiny)
        previous = np.broadcast_to(pooled, numerator.shape)
    return np.where(empty, previous, numerator / np.where(empty, 1.0, denominator))


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns centred and scaled to unit spread, missing cells at the mean; a constant column becomes 0."""
    filled = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    centred = filled - filled.mean(axis=0)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 0, spread, 1.0)
