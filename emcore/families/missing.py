"""Missing cells of Gaussian rows: their conditional distribution given the seen ones, pattern by pattern.

x_i ~ N(μ, Σ), of which the cells o are seen and the cells m are not.
x_m | x_o     ~  N(μ_m + B (x_o - μ_o), Σ_mm - B Σ_om)   with   B = Σ_mo Σ_oo⁻¹
log p(x_o)    =  log N(x_o; μ_o, Σ_oo)
One Cholesky factor of Σ with the seen cells first holds all of it: its blocks are the factor of Σ_oo, the map B and
the factor of the conditional covariance, so nothing is subtracted. Means and covariances may have leading axes (one
entry a component). Reference: Little & Rubin (2002), section 11.2; Ghahramani & Jordan (1994), NIPS 6.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from emcore.data import as_matrix
from emcore.divergence import kl_gaussian
from emcore.numerics import LOG_2PI, cholesky, log_det_from_cholesky
from emcore.posteriors import CategoricalPosterior


def has_holes(x: np.ndarray) -> bool:
    """True where a cell is NaN; one cheap pass."""
    return bool(np.isnan(x.sum()))


def missing_patterns(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which cells each row has: the number of its pattern (n,), and the distinct patterns (p, d), True = seen."""
    seen = ~np.isnan(x)
    packed = np.ascontiguousarray(np.packbits(seen, axis=1))
    keys = packed.view(f"V{packed.shape[1]}").ravel()
    _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
    return pattern.ravel(), seen[first]


def rows_by_pattern(pattern: np.ndarray, n_patterns: int) -> Iterator[np.ndarray]:
    """The rows of each pattern in turn."""
    order = np.argsort(pattern, kind="stable")
    yield from np.split(order, np.cumsum(np.bincount(pattern, minlength=n_patterns))[:-1])


class MissingCells(NamedTuple):
    """Q(x_miss) for every row: a Gaussian over its missing cells. Leading axes, if any, are components.

    Factors are embedded in (d, d): the lower factor in the missing rows and columns, the identity elsewhere, so that
    seen cells add nothing to a divergence and a determinant.
    """

    completed: np.ndarray  # (..., n, d) seen cells as they are, missing ones at their expectation
    factors: np.ndarray  # (..., p, d, d), one for each pattern
    pattern: np.ndarray  # (n,) which factor belongs to the row
    seen: np.ndarray  # (p, d)

    @property
    def spread(self) -> np.ndarray:
        """Factors (..., p, d, d) of the covariances with zeros for seen cells."""
        return self.factors * ~self.seen[:, None, :]

    def entropy(self) -> np.ndarray:
        """Differential entropy of the missing cells (..., n); 0 for a row without any."""
        half = 0.5 * (log_det_from_cholesky(self.factors) + (~self.seen).sum(axis=1) * (1.0 + LOG_2PI))
        return half[..., self.pattern]

    def kl(self, other: "MissingCells") -> np.ndarray:
        """KL(Q_i ‖ other_i) (..., n); ValueError where the two do not miss the same cells."""
        pairs, pair = np.unique(np.stack([self.pattern, other.pattern]), axis=1, return_inverse=True)
        mine, theirs = pairs
        if self.seen.shape[1:] != other.seen.shape[1:] or (self.seen[mine] != other.seen[theirs]).any():
            raise ValueError("the two posteriors do not miss the same cells: they belong to different data")
        q, p = self.factors[..., mine, :, :], other.factors[..., theirs, :, :]
        centre = np.zeros(q.shape[:-1])
        spread = kl_gaussian(centre, q, centre, p)
        return spread[..., pair.ravel()] + 0.5 * other.squared_distances(self.completed - other.completed)

    def squared_distances(self, shift: np.ndarray) -> np.ndarray:
        """shiftᵀ C⁻¹ shift (..., n) in each row's own covariance C, for shifts that are 0 at seen cells."""
        inverse = np.linalg.solve(self.factors, np.eye(shift.shape[-1]))
        squares = np.zeros(shift.shape[:-1])
        for j, rows in enumerate(rows_by_pattern(self.pattern, len(self.seen))):
            whitened = shift[..., rows, :] @ np.swapaxes(inverse[..., j, :, :], -1, -2)
            squares[..., rows] = (whitened * whitened).sum(axis=-1)
        return squares

    def pattern_counts(self, responsibilities: np.ndarray) -> np.ndarray:
        """Rows of each pattern in each component (k, p), counted by responsibilities (n, k)."""
        groups = rows_by_pattern(self.pattern, len(self.seen))
        return np.stack([responsibilities[rows].sum(axis=0) for rows in groups], axis=1)

    def rows(self, index: slice | np.ndarray) -> "MissingCells":
        """The distribution of some of the rows."""
        return MissingCells(self.completed[..., index, :], self.factors, self.pattern[index], self.seen)

    def with_rows(self, index: slice | np.ndarray, other: "MissingCells") -> "MissingCells":
        """The distribution with some of the rows replaced by `other`, row for row."""
        completed, pattern = self.completed.copy(), self.pattern.copy()
        completed[..., index, :], pattern[index] = other.completed, other.pattern + len(self.seen)
        used, pattern = np.unique(pattern, return_inverse=True)  # what no row has any more is dropped
        factors = np.concatenate([self.factors, other.factors], axis=-3)
        return MissingCells(completed, factors[..., used, :, :], pattern, np.concatenate([self.seen, other.seen])[used])


class LabelsAndCells(NamedTuple):
    """Q(z, x_miss) = Q(z) Q(x_miss | z): the posterior of a mixture whose rows have missing cells."""

    probs: np.ndarray  # (n, k)
    log_probs: np.ndarray | None  # (n, k) where the E-step knows them
    cells: MissingCells  # one leading axis: (k, ...)

    @property
    def labels(self) -> CategoricalPosterior:
        """Q(z) alone."""
        return CategoricalPosterior(self.probs, self.log_probs)

    def entropy(self) -> np.ndarray:
        """H(Q(z)) + Σ_k Q(k) H(Q(x_miss | k)) (n,)."""
        return self.labels.entropy() + (self.probs * self.cells.entropy().T).sum(axis=1)

    def kl(self, other: "LabelsAndCells") -> np.ndarray:
        """KL(Q(z) ‖ P(z)) + Σ_k Q(k) KL(Q(x_miss | k) ‖ P(x_miss | k)) (n,)."""
        return self.labels.kl(other.labels) + (self.probs * self.cells.kl(other.cells).T).sum(axis=1)

    def with_probs(self, probs: np.ndarray) -> "LabelsAndCells":
        """Other probabilities of z (n, k), the same distribution of the missing cells given z."""
        return LabelsAndCells(probs, None, self.cells)

    def rows(self, index: slice | np.ndarray) -> "LabelsAndCells":
        """The posterior of some of the rows."""
        labels = self.labels.rows(index)
        return LabelsAndCells(*labels, self.cells.rows(index))

    def with_rows(self, index: slice | np.ndarray, other: "LabelsAndCells") -> "LabelsAndCells":
        """The posterior with some of the rows replaced by `other`, row for row."""
        labels = self.labels.with_rows(index, other.labels)
        return LabelsAndCells(*labels, self.cells.with_rows(index, other.cells))

    def mode(self) -> "LabelsAndCells":
        """All of Q(z_i) on its most probable value; the missing cells given z as they were."""
        return LabelsAndCells(*self.labels.mode(), self.cells)


class CompletesCells(ABC):
    """A family whose rows are Gaussian within a component, so that a structure may average over missing cells.

    `Family.check`, `log_prob` and `suff_stats` serve structures that know nothing of this; one that does takes
    `check_incomplete` for `check`, and where `completes(x)` its E-step is `condition(*moments(params), x)` and its
    statistics are `completed_stats`.
    """

    @abstractmethod
    def check_incomplete(self, x: Any) -> np.ndarray:
        """x as float64 (n, d), NaN where a cell is missing."""

    @abstractmethod
    def completes(self, x: np.ndarray) -> bool:
        """True where x has missing cells that `suff_stats` cannot leave out."""

    @abstractmethod
    def moments(self, params: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means (k, d) and covariances (k, d, d)."""

    @abstractmethod
    def completed_stats(self, cells: MissingCells, responsibilities: np.ndarray) -> Any:
        """What `suff_stats` gives, in expectation over the missing cells; responsibilities (n, k)."""


def as_incomplete_matrix(x: Any) -> np.ndarray:
    """x as float64 (n, d), NaN where a cell is missing."""
    return as_matrix(x, allow_missing=True)


def condition(means: np.ndarray, covariances: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, MissingCells]:
    """log p(x_o) (..., n) and the exact p(x_m | x_o), for means (..., d), covariances (..., d, d), x (n, d)."""
    lead, d = means.shape[:-1], x.shape[1]
    pattern, seen = missing_patterns(x)
    completed = np.broadcast_to(x, (*lead, *x.shape)).copy()
    factors = np.broadcast_to(np.eye(d), (*lead, len(seen), d, d)).copy()
    log_prob = np.zeros((*lead, len(x)))
    for j, rows in enumerate(rows_by_pattern(pattern, len(seen))):
        o, m = np.flatnonzero(seen[j]), np.flatnonzero(~seen[j])
        factor = _factor(covariances, o, m)
        whitened = _whiten(factor[..., : len(o), : len(o)], x[np.ix_(rows, o)] - means[..., None, o])
        squares = (whitened * whitened).sum(axis=-1)
        log_det = log_det_from_cholesky(factor[..., : len(o), : len(o)])
        log_prob[..., rows] = -0.5 * (squares + (len(o) * LOG_2PI + log_det)[..., None])
        shift = whitened @ np.swapaxes(factor[..., len(o) :, : len(o)], -1, -2)
        completed[..., rows[:, None], m] = means[..., None, m] + shift
        factors[..., j, m[:, None], m] = factor[..., len(o) :, len(o) :]
    return log_prob, MissingCells(completed, factors, pattern, seen)


def expected_log_prob(means: np.ndarray, covariances: np.ndarray, cells: MissingCells) -> np.ndarray:
    """E_Q log N(x_i; μ, Σ) (..., n) of the whole row, over Q of its missing cells."""
    factor = cholesky(covariances)
    whitened = _whiten(factor, cells.completed - means[..., None, :])
    spread = np.linalg.solve(factor[..., None, :, :], cells.spread)
    expected = (whitened * whitened).sum(axis=-1) + (spread * spread).sum(axis=(-2, -1))[..., cells.pattern]
    return -0.5 * (expected + (log_det_from_cholesky(factor) + means.shape[-1] * LOG_2PI)[..., None])


def expected_log_prob_of_seen(means: np.ndarray, covariances: np.ndarray, cells: MissingCells) -> np.ndarray:
    """E_Q log p(x_o | x_m) (..., n): the seen cells given the missing ones, by the factor with the latter first."""
    expected = np.zeros(cells.completed.shape[:-1])
    for j, rows in enumerate(rows_by_pattern(cells.pattern, len(cells.seen))):
        o, m = np.flatnonzero(cells.seen[j]), np.flatnonzero(~cells.seen[j])
        order = np.concatenate([m, o])
        factor = _factor(covariances, m, o)
        residuals = cells.completed[..., rows[:, None], order] - means[..., None, order]
        whitened = _whiten(factor, residuals)[..., len(m) :]
        spread = np.linalg.solve(factor, cells.spread[..., j, order[:, None], order])[..., len(m) :, :]
        squares = (whitened * whitened).sum(axis=-1) + (spread * spread).sum(axis=(-2, -1))[..., None]
        log_det = log_det_from_cholesky(factor[..., len(m) :, len(m) :])
        expected[..., rows] = -0.5 * (squares + (len(o) * LOG_2PI + log_det)[..., None])
    return expected


def prior_of_cells(means: np.ndarray, covariances: np.ndarray, x: np.ndarray) -> MissingCells:
    """p(x_m) of every row before its seen cells are looked at: N(μ_m, Σ_mm)."""
    lead, d = means.shape[:-1], x.shape[1]
    pattern, seen = missing_patterns(x)
    completed = np.where(np.isnan(x), means[..., None, :], x)
    factors = np.broadcast_to(np.eye(d), (*lead, len(seen), d, d)).copy()
    for j in range(len(seen)):
        m = np.flatnonzero(~seen[j])
        factors[..., j, m[:, None], m] = cholesky(covariances[..., m[:, None], m])
    return MissingCells(completed, factors, pattern, seen)


def available_cells(x: np.ndarray, responsibilities: np.ndarray) -> MissingCells:
    """A first guess of the missing cells: independent, at each component's mean and variance of what it has seen.

    A component that has seen nothing of a column takes the mean and variance of all rows. (k, n, d).
    """
    pattern, seen = missing_patterns(x)
    means, variances = available_moments(x, responsibilities)
    completed = np.where(np.isnan(x), means[:, None, :], x)
    scales = np.where(seen, 1.0, np.sqrt(variances)[:, None, :])
    return MissingCells(completed, scales[..., None] * np.eye(x.shape[1]), pattern, seen)


def available_moments(x: np.ndarray, responsibilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances (k, d) of the seen cells of each column, weighted by responsibilities (n, k)."""
    seen = ~np.isnan(x)
    pivot = np.where(seen, x, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    centred = np.where(seen, x - pivot, 0.0)
    pooled = responsibilities.sum(axis=1, keepdims=True)
    groups = np.concatenate([responsibilities, pooled], axis=1).T
    count = groups @ seen.astype(float)
    safe = np.where(count > 0, count, 1.0)
    shift = (groups @ centred) / safe
    variances = np.einsum("kn,knd->kd", groups, seen * (centred - shift[:, None]) ** 2) / safe
    own = count[:-1] > 0
    return pivot + np.where(own, shift[:-1], shift[-1]), np.where(own, variances[:-1], variances[-1])


def _factor(covariances: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Lower factor of the covariances with the features in another order."""
    order = np.concatenate([first, last])
    return cholesky(covariances[..., order[:, None], order])


def _whiten(factor: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """L⁻¹ r for every row r (..., n, d)."""
    return np.swapaxes(np.linalg.solve(factor, np.swapaxes(residuals, -1, -2)), -1, -2)
