"""The questions of the lesson on autoencoders, with answers from its own runs and closed forms."""

from typing import Any

import numpy as np

from emcore.classroom.curves import BOW, collapse_at, line_rate, rows
from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.shared import shared
from emcore.classroom.vae import CONTROLS, VaeSettings, vae_lesson

GUESSES = ("The encoder's: it has learnt from all rows.", "Each row's own: nothing is shared.", "They are equal.")


@shared(1)
def reveal() -> str:
    """The answer to the prediction, in the numbers of the run on the bow."""
    lesson = vae_lesson(VaeSettings())
    last = lesson.trace[-1]
    own = last.elbo + lesson.amortisation
    return (
        f"Each row's own can only be higher, at the same θ. In the first run of the VAE the encoder reaches an ELBO of "
        f"{last.elbo:,.2f}; a Gaussian of its own for every row reaches {own:,.2f}. The difference, "
        f"{lesson.amortisation:.3g} nats, is the amortisation gap; the {lesson.family:.3g} left up to log p(x) are "
        "the family gap (Cremer, Li & Duvenaud 2018). The encoder buys speed: a new row needs no climb."
    )


@shared(1)
def exercises() -> tuple[Exercise, ...]:
    """Marked by numbers that are computed here."""
    small, large = np.linalg.eigvalsh(np.cov(rows(BOW).T, ddof=0))
    lesson = vae_lesson(VaeSettings())
    last = lesson.trace[-1]
    return (
        Exercise(
            "What is the gap of the linear VAE at its optimum, in nats? (Presets 1 and 2)",
            0.0,
            "Both posteriors and encoder are linear in x with one variance: the family holds the posterior, so that "
            "the linear VAE's optimum is PPCA's (Lucas et al. 2019).",
            "Is the posterior of a line Gaussian? Is its mean linear in x?",
            tolerance=0.005,
        ),
        Exercise(
            f"The bow's covariance has the eigenvalues {small:.3f} and {large:.3f}. At which held noise variance does "
            "a line's latent collapse when β = 2?",
            collapse_at(BOW, 2.0),
            "ELBO_β with noise σ² has its optimum where the ELBO with noise βσ² has it, and PPCA's loading has the "
            "length √(λ − noise) (Lucas et al. 2019).",
            "The loading's length is √(λ₁ − βσ²): when is it 0?",
            tolerance=0.01,
            slips=(
                Slip(float(large), "That is for β = 1: β multiplies the noise."),
                Slip(2.0 * float(large), "β multiplies the noise, so less of it is enough."),
                Slip(float(small), "That direction has no latent even without noise: there is one z only."),
                Slip(float(small) / 2.0, "The latent lies along the direction with the largest eigenvalue."),
            ),
        ),
        Exercise(
            "How many nats does the best linear VAE tell of each row of the bow with noise 0.2 and β = 1?",
            float(line_rate(BOW, 0.2)),
            "½ log(λ₁/σ²): the rate falls by half a nat whenever the noise grows e-fold, down to 0.",
            "Q averages to the prior over the rows, so the rate is −log s, with s² = σ²/λ₁.",
            tolerance=0.01,
            slips=(
                Slip(2.0 * float(line_rate(BOW, 0.2)), "Half of that: s is a standard deviation, λ₁ a variance."),
                Slip(float(line_rate(BOW, 0.2)) / np.log(2.0), "That is in bits: use the natural logarithm."),
            ),
        ),
        Exercise(
            f"The first run of the VAE ends at log p(x) = {last.log_likelihood:,.2f} with an ELBO of {last.elbo:,.2f}. "
            f"With the decoder held, Gaussians of their own reach {last.elbo + lesson.amortisation:,.2f}. What is the "
            "amortisation gap?",
            lesson.amortisation,
            "It is the part that a better encoder could close; the rest needs a better family.",
            "It is the difference of two ELBOs at one θ.",
            tolerance=0.015,
            slips=(
                Slip(last.kl, "That is the whole gap: part of it no Gaussian can close."),
                Slip(lesson.family, "That is the family gap: what is left when every row has its own Q."),
            ),
        ),
    )


def as_link(settings: VaeSettings) -> dict[str, Any]:
    """The settings under the names of the controls."""
    return {name: getattr(settings, name) for name in CONTROLS}
