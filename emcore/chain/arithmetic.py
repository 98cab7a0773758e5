"""The three number systems of a scan over a chain: it is one algorithm, Σ Π, with another meaning of Σ and Π in each.

Columns are (…, k, m): k states, m pieces side by side. A matrix (…, k, k) acts from the left on the states.
Reference: Aji & McEliece (2000), The generalized distributive law, IEEE Trans. Inform. Theory 46, 325-343.
"""

from typing import Any, Protocol

import numpy as np

_TINY = np.finfo(float).tiny


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

    def rescale(self, columns: np.ndarray, also: Any = None) -> np.ndarray:
        """Divide each column by its Σ, in place; the logarithms of these (…, m). A column of zeros stays.

        `also`: more columns to divide by the same.
        """
        ...

    def rejoin(self, columns: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
        """Matrices (to, from, m) from columns that were rescaled apart, log_factors (from, m); one factor may go."""
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

    def rescale(self, columns: np.ndarray, also: Any = None) -> np.ndarray:
        """Divide by the sum over states."""
        factors = np.add.reduce(columns, axis=-2, keepdims=True)
        safe = np.maximum(factors, _TINY)
        columns /= safe
        if also is not None:
            also /= safe
        return np.log(factors[..., 0, :])

    def rejoin(self, columns: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
        """The columns in one scale, the largest summing to one."""
        top = log_factors.max(axis=0)
        return columns * np.exp(log_factors - np.where(np.isfinite(top), top, 0.0))


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

    def rescale(self, columns: np.ndarray, also: Any = None) -> np.ndarray:
        """Subtract the Σ over states, so that it becomes log 1."""
        log_factors = self.apply(np.zeros((1, columns.shape[-2])), columns)
        safe = np.where(np.isfinite(log_factors), log_factors, 0.0)
        columns -= safe
        if also is not None:
            also -= safe
        return log_factors[..., 0, :]

    def rejoin(self, columns: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
        """The columns with their factors back."""
        return columns + log_factors


class MaxPlus(Logs):
    """Logarithms with the largest term in place of the sum: the most probable path."""

    def apply(self, matrix: np.ndarray, columns: np.ndarray, out: Any = None) -> np.ndarray:
        """max_i of matrix_ji + columns_i."""
        return np.max(matrix[..., None] + columns[..., None, :, :], axis=-2, out=out)
