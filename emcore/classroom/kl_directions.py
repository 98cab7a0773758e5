"""Two directions of KL for two correlated normals, and the exercises of the lesson on a restricted Q."""

from typing import Any, NamedTuple

import numpy as np

from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.restricted import MEAN_FIELD, SUMMIT, TWO, RestrictedSettings, restricted_lesson
from emcore.classroom.shared import shared
from emcore.objective import kl
from emcore.posteriors import GaussianPosterior

TITLE = "KL's direction"
SIGNS = ("below the maximum-likelihood value", "at it", "above it")


class Directions(NamedTuple):
    """p = N(0, (1, ρ; ρ, 1)), and the best product of normals in either direction of KL."""

    rho: float
    covariance: np.ndarray  # (2, 2)
    narrow: float  # variance of the factors that minimise KL(q ‖ p)
    wide: float  # variance of the factors that minimise KL(p ‖ q)
    narrow_kl: tuple[float, float]  # KL(q ‖ p), KL(p ‖ q) of the narrow one
    wide_kl: tuple[float, float]  # of the wide one


def directions(rho: float) -> Directions:
    """Factors of variance 1 - ρ² minimise KL(q ‖ p), the marginals KL(p ‖ q); the least is -½ log(1 - ρ²) either way.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 10.1.2. ValueError unless |ρ| < 1.
    """
    if not -1 < rho < 1:
        raise ValueError(f"a correlation lies between -1 and 1, not at {rho!r}")
    covariance = np.array([[1.0, rho], [rho, 1.0]])
    p = GaussianPosterior(np.zeros((1, 2)), np.linalg.cholesky(covariance)[None])
    narrow, wide = 1.0 - rho * rho, 1.0
    both = []
    for variance in (narrow, wide):
        q = GaussianPosterior(np.zeros((1, 2)), np.sqrt(variance) * np.eye(2)[None])
        both.append((float(kl(q, p)[0]), float(kl(p, q)[0])))
    return Directions(rho, covariance, narrow, wide, both[0], both[1])


def said(found: Directions) -> tuple[str, str]:
    """Which product is which, with both its divergences."""
    (a, b), (c, d) = found.narrow_kl, found.wide_kl
    return (
        f"least KL(Q || p) = {a:.3f}, dashed: too narrow; its KL(p || Q) = {b:.3f}",
        f"least KL(p || Q) = {d:.3f}, dotted: too wide; its KL(Q || p) = {c:.3f}",
    )


def drawn(rho: float) -> dict[str, Any]:
    """What a picture of both directions shows."""
    found = directions(rho)
    return {"covariance": found.covariance, "narrow": found.narrow, "wide": found.wide, "words": said(found)}


@shared(1)
def exercises() -> tuple[Exercise, ...]:
    """The exercises, their answers computed."""
    lesson = restricted_lesson(RestrictedSettings(TWO, MEAN_FIELD, SUMMIT))
    assert lesson.profile is not None
    top, end = lesson.profile.summit, lesson.profile.end
    gap = directions(0.8).narrow_kl[0]
    return (
        Exercise(
            "Two latents explain one measurement. On which side does mean field put the loading?",
            SIGNS[0] if end < top else SIGNS[2],
            f"It goes from {top:.3f} to {end:.3f}: a smaller loading leaves the causes less correlated in the "
            "posterior, so that a product fits it better. The ELBO is log p(x) less the gap, and it leans to where the "
            "gap is small (Turner & Sahani 2011).",
            "The ELBO is log p(x) less the gap: at which loadings are the two causes nearly independent given x?",
        ),
        Exercise(
            "A Gaussian posterior over two latents has correlation ρ = 0.8. How many nats is mean field's gap?",
            gap,
            "−½ log(1 − ρ²) = −½ log 0.36 = 0.511.",
            "The factors have variance 1 − ρ²; put them into the KL between normals, or see the tab on KL's direction.",
            0.002,
            (
                Slip(2 * gap, "Mind the ½: that is −log(1 − ρ²)."),
                Slip(float(-0.5 * np.log(1 - 0.8)), "The correlation comes squared: 1 − ρ² = 0.36."),
                Slip(float(gap / np.log(2)), "Nats are natural logarithms; that is a logarithm to base 2."),
                Slip(-gap, "A KL divergence is never negative: mind the sign."),
                Slip(directions(0.8).narrow_kl[1], "That is KL(posterior ‖ Q), the other direction."),
            ),
        ),
    )
