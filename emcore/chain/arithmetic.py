"""The three number systems of a scan over a chain: it is one algorithm, Σ Π, with another meaning of Σ and Π in each.

Columns are (…, k, m): k states, m pieces side by side. A matrix (…, k, k) acts from the left on the states.
Reference: Aji & McEliece (2000), The generalized distributive law, IEEE Trans. Inform. Theory 46, 325-343.
"""

from typing import Any, Protocol

import numpy as np


class Arithmetic(Protocol):
    """What a scan asks of a number system."""

    one: float

    def number(self, p: np.ndarray) -> np.ndarray:
        """Probabilities as numbers of this system."""
        ...

    def apply(self, matrix: np.ndarray, columns: np.ndarray, out: Any = None) -> np.ndarray:
        """Σ_i matrix_ji · columns_i."""
        ...

    def times(self, a: np.ndarray, b: np.ndarray, out: Any = None) -> np.ndarray:
        """The product, entry by entry."""
        ...

    def rescale(self, columns: np.ndarray) -> np.ndarray:
        """Divide each column by its Σ, in place; the logarithms of these (…, m). A column of zeros stays."""
        ...

    def rejoin(self, rows: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
        """Matrices (k, k, m) from rows that were rescaled apart, log_factors (k, m); a factor of the whole may go."""
        ...


class Scaled:
    """Plain numbers, divided now and then by their sum so that products neither vanish nor grow: fast."""

    one = 1.0

    def number(self, p: np.ndarray) -> np.ndarray:
        """p."""
        return p

    def apply(self, matrix: np.ndarray, columns: np.ndarray, out: Any = None) -> np.ndarray:
        """The matrix product."""
        return np.matmul(matrix, columns, out=out)

    def times(self, a: np.ndarray, b: np.ndarray, out: Any = None) -> np.ndarray:
        """a · b."""
        return np.multiply(a, b, out=out)

    def rescale(self, columns: np.ndarray) -> np.ndarray:
        """Divide by the sum over states."""
        factors = columns.sum(axis=-2)
        columns /= np.where(factors > 0, factors, 1.0)[..., None, :]
        return np.log(factors)

    def rejoin(self, rows: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
        """The rows in one scale, the largest row summing to one."""
        top = log_factors.max(axis=0)
        return rows * np.exp(log_factors - np.where(np.isfinite(top), top, 0.0))[:, None]


class Logs:
    """Logarithms: slower, and right whatever the range of the numbers."""

    one = 0.0

    def number(self, p: np.ndarray) -> np.ndarray:
        """log p."""
        with np.errstate(divide="ignore"):
            return np.log(p)

    def apply(self, matrix: np.ndarray, columns: np.ndarray, out: Any = None) -> np.ndarray:
        """log Σ exp."""
        terms = matrix[..., None] + columns[..., None, :, :]  # (…, j, i, m)
        top = terms.max(axis=-2)
        safe = np.where(np.isfinite(top), top, 0.0)
        total = np.exp(terms - safe[..., None, :]).sum(axis=-2)
        return np.add(np.log(total), safe, out=out)

    def times(self, a: np.ndarray, b: np.ndarray, out: Any = None) -> np.ndarray:
        """a + b."""
        return np.add(a, b, out=out)

    def rescale(self, columns: np.ndarray) -> np.ndarray:
        """Subtract the Σ over states, so that it becomes log 1."""
        log_factors = self.apply(np.zeros((1, columns.shape[-2])), columns)
        columns -= np.where(np.isfinite(log_factors), log_factors, 0.0)
        return log_factors[..., 0, :]

    def rejoin(self, rows: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
        """The rows with their factors back."""
        return rows + log_factors[:, None]


class MaxPlus(Logs):
    """Logarithms with the largest term in place of the sum: the most probable path."""

    def apply(self, matrix: np.ndarray, columns: np.ndarray, out: Any = None) -> np.ndarray:
        """max_i of matrix_ji + columns_i."""
        return np.max(matrix[..., None] + columns[..., None, :, :], axis=-2, out=out)
