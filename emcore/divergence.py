"""Entropy and Kullback–Leibler divergence, computed so that a tiny divergence keeps its digits.

KL(q ‖ p) is asymmetric: the expectation is under q, its first argument, everywhere in this package.
"""

import numpy as np
from scipy.special import entr

from emcore.numerics import log_det_from_cholesky, log_or_minus_inf

_SERIES_BELOW = 1e-2  # |u| under which u - log1p(u) is summed as a series: direct subtraction cancels


def entropy_rows(q: np.ndarray) -> np.ndarray:
    """H(q_i) = -Σ_k q_ik log q_ik in nats, for probabilities (n, k)."""
    return entr(q).sum(axis=1)


def excess(u: np.ndarray) -> np.ndarray:
    """u - log(1 + u) ≥ 0 for u ≥ -1, with full relative precision near u = 0.

    Below |u| = 0.01 the alternating series u²/2 - u³/3 + … (nine terms, error under 1e-19 relative) replaces
    the difference of two nearly equal numbers.
    """
    with np.errstate(divide="ignore"):
        direct = u - np.log1p(u)
    return np.where(np.abs(u) < _SERIES_BELOW, _excess_series(u), direct)


def _excess_series(u: np.ndarray) -> np.ndarray:
    v = np.clip(u, -_SERIES_BELOW, _SERIES_BELOW)
    tail = np.zeros_like(v)
    for power in range(10, 1, -1):
        tail = 1.0 / power - v * tail
    return v * v * tail


def kl_rows(
    q: np.ndarray, p: np.ndarray, log_q: np.ndarray | None = None, log_p: np.ndarray | None = None
) -> np.ndarray:
    """KL(q_i ‖ p_i) = Σ_k q_ik log(q_ik / p_ik) in nats, for probabilities (n, k); +inf where p lacks q's support.

    Summed as Σ q·(u - log1p(u)) with u = (p - q)/q: every term is ≥ 0, so nothing cancels and a divergence of
    1e-25 is still right to several digits, where the difference of two log-likelihoods is rounding noise. Away
    from u = 0 the logarithms serve; where they are given, a probability that underflowed keeps its logarithm.
    """
    support = q > 0
    safe = np.where(support, q, 1.0)
    with np.errstate(over="ignore"):  # a subnormal q: then u is not near 0, and the logarithms serve
        u = (p - q) / safe
    near = q * _excess_series(u)
    is_near = np.abs(u) < _SERIES_BELOW
    if is_near[support].all():
        return np.where(support, near, p).sum(axis=1)
    log_q = np.log(safe) if log_q is None else np.where(support, log_q, 0.0)
    log_p = log_or_minus_inf(p) if log_p is None else log_p
    far = np.maximum(q * np.where(support, log_q - log_p, 0.0) + (p - q), 0.0)
    return np.where(support, np.where(is_near, near, far), p).sum(axis=1)


def kl_gaussian(mean_q: np.ndarray, factor_q: np.ndarray, mean_p: np.ndarray, factor_p: np.ndarray) -> np.ndarray:
    """KL(N(mean_q, L_q L_qᵀ) ‖ N(mean_p, L_p L_pᵀ)) for means (..., d) and lower factors (..., d, d).

    With B = L_p⁻¹ Σ_q L_p⁻ᵀ and δ the whitened shift it is ½ (Σ_j (λ_j - 1 - log λ_j) + |δ|²), λ the eigenvalues
    of B: each term is ≥ 0 (compare Cover & Thomas 2006, ch. 8; the eigenvalue form avoids cancellation).
    """
    ratio = np.linalg.solve(factor_p, factor_q)
    shift = np.linalg.solve(factor_p, (mean_q - mean_p)[..., None])[..., 0]
    # B - I through its difference form keeps small deviations: B - I = ratio·ratioᵀ - I.
    identity = np.eye(ratio.shape[-1])
    deviations = np.linalg.eigvalsh(ratio @ np.swapaxes(ratio, -1, -2) - identity)
    spread = excess(np.maximum(deviations, -1.0)).sum(axis=-1)
    same = (factor_q == factor_p).all(axis=(-2, -1))  # then exactly 0, whatever LAPACK rounds
    return 0.5 * (np.where(same, 0.0, spread) + (shift * shift).sum(axis=-1))


def entropy_gaussian(factors: np.ndarray) -> np.ndarray:
    """Differential entropy ½ log |2πe Σ| in nats of N(·, L Lᵀ), for lower factors (..., d, d)."""
    d = factors.shape[-1]
    return 0.5 * (log_det_from_cholesky(factors) + d * (1.0 + np.log(2.0 * np.pi)))
