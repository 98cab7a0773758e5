"""Coordinates in which the rows as a whole have mean 0 and covariance I, so that units and offsets cost no digits.

y = T (x - centre), T = L⁻¹ for L Lᵀ = cov(x). Diagonal covariances stay diagonal only under a diagonal L (the standard
deviations), and spherical ones under a multiple of the identity.
"""

from typing import NamedTuple, Self

import numpy as np

from emcore.families.covariance import Covariance, Diag, Full, Spherical, Tied
from emcore.families.gaussian_stats import GaussianStats
from emcore.numerics import row_blocks

_BLOCK = 8192


class Components(NamedTuple):
    """Gaussian components in the coordinates of a frame; covariances are of the family's shape, or dense."""

    log_weights: np.ndarray  # (k,)
    means: np.ndarray  # (k, d)
    covariances: np.ndarray


class Frame:
    """An affine map of rows, params and statistics. LinAlgError where the rows have a singular covariance."""

    def __init__(self, shape: Covariance, centre: np.ndarray, factor: np.ndarray) -> None:
        self.shape, self.centre, self.factor = shape, centre, factor  # (d,), L (d, d)
        self.inverse = np.linalg.inv(factor)
        self.log_det = -float(np.log(np.diagonal(factor)).sum())  # of the Jacobian dy/dx
        self._scales = np.diagonal(factor)

    @classmethod
    def of_rows(cls, shape: Covariance, x: np.ndarray) -> Self:
        """The frame of rows x (n, d)."""
        n, d = x.shape
        centre = sum(x[rows].sum(axis=0) for rows in row_blocks(n, _BLOCK)) / n
        cov = np.zeros((d, d))
        for rows in row_blocks(n, _BLOCK):
            centred = x[rows] - centre
            cov += centred.T @ centred / n
        if isinstance(shape, Full | Tied):
            return cls(shape, centre, np.linalg.cholesky(cov))
        variances = np.diagonal(cov)
        if isinstance(shape, Spherical):
            variances = np.full(d, variances.mean())
        return cls(shape, centre, np.diag(np.sqrt(variances)))

    def rows(self, x: np.ndarray, dtype: np.typing.DTypeLike = np.float64) -> np.ndarray:
        """1, then y: (1 + d, n)."""
        n, d = x.shape
        out = np.ones((1 + d, n), dtype)
        for rows in row_blocks(n, _BLOCK):
            out[1:, rows] = self.inverse @ (x[rows] - self.centre).T
        return out

    def means(self, means: np.ndarray) -> np.ndarray:
        """Means (k, d) in the frame."""
        return (means - self.centre) @ self.inverse.T

    def covariances(self, covariances: np.ndarray) -> np.ndarray:
        """Covariances in the frame, of the same shape."""
        if isinstance(self.shape, Full | Tied):
            return self.inverse @ covariances @ self.inverse.T
        return covariances / (self._scales**2 if isinstance(self.shape, Diag) else self._scales[0] ** 2)

    def stats(self, counts: np.ndarray, means: np.ndarray, scatter: np.ndarray) -> GaussianStats:
        """Statistics of x from counts (k,), means (k, d) and the scatter about them in the frame."""
        if isinstance(self.shape, Full | Tied):
            scatter = self.factor @ scatter @ self.factor.T
        else:
            scatter = scatter * (self._scales**2 if isinstance(self.shape, Diag) else self._scales[0] ** 2)
        count = np.broadcast_to(counts[:, None], means.shape)
        return GaussianStats(count, self.centre + means @ self.factor.T, scatter, self.shape)
