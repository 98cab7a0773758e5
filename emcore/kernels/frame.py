"""Coordinates in which the rows as a whole have mean 0 and covariance I, so that units and offsets cost no digits.

x = centre + L y, with L Lᵀ the covariance of all rows. Diagonal covariances stay diagonal only under a diagonal L (the
standard deviations), and spherical ones under a multiple of the identity.
"""

from typing import NamedTuple, Self

import numpy as np

from emcore.families.covariance import Covariance, Full, Spherical, Tied
from emcore.kernels.small import solve_lower
from emcore.numerics import row_blocks

_BLOCK = 8192


class Frame(NamedTuple):
    """The affine map from y to x."""

    centre: np.ndarray  # (d,)
    factor: np.ndarray  # L (d, d), lower triangular
    inverse: np.ndarray  # L⁻¹

    @classmethod
    def of_rows(cls, shape: Covariance, x: np.ndarray, weight: np.ndarray | None) -> Self:
        """The frame of rows x (n, d) under a covariance shape; LinAlgError where their covariance is singular."""
        n, d = x.shape
        share = np.full(n, 1.0 / n) if weight is None or not weight.any() else weight / weight.sum()
        centre, covariance = np.zeros(d), np.zeros((d, d))
        for rows in row_blocks(n, _BLOCK):
            centre += share[rows] @ x[rows]
        for rows in row_blocks(n, _BLOCK):
            centred = x[rows] - centre
            covariance += (centred.T * share[rows]) @ centred
        if not isinstance(shape, Full | Tied):
            variances = np.diagonal(covariance)
            covariance = np.diag(np.full(d, variances.mean()) if isinstance(shape, Spherical) else variances)
        factor = np.linalg.cholesky(covariance)
        return cls(centre, factor, np.linalg.inv(factor))

    def rows(self, x: np.ndarray, dtype: np.typing.DTypeLike = np.float64) -> np.ndarray:
        """1, then y: (1 + d, n)."""
        n, d = x.shape
        out = np.ones((1 + d, n), dtype)
        for rows in row_blocks(n, _BLOCK):
            out[1:, rows] = self.inverse @ (x[rows] - self.centre).T
        return out

    def residual_maps(self, factors: np.ndarray, means: np.ndarray) -> np.ndarray:
        """B (k, d, c + d) with r = B (e_c, y) the residual of a row in coordinates where a component is N(0, I).

        factors (k, d, d) of the covariances, means (k, c, d) that have each of them in common.
        """
        k, c, d = means.shape
        target = np.empty((k, d, c + d))
        np.subtract(self.centre[:, None], means.transpose(0, 2, 1), out=target[:, :, :c])
        target[:, :, c:] = self.factor
        return solve_lower(factors, target)
