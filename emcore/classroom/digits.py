"""What the digits app asks for: a Bernoulli mixture on 8 by 8 images, and how it compares with labels it never saw.

Pure functions of their arguments; runs are remembered by settings. Bad settings come back as words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom import links
from emcore.classroom.exercises import Exercise, Slip, Verdict
from emcore.classroom.mixture import Lesson
from emcore.datasets import load
from emcore.em import fit
from emcore.families.binomial import Bernoulli
from emcore.families.gaussian import Gaussian
from emcore.models.factor_analysis import PPCA, FactorAnalysis
from emcore.models.mixture import Mixture

DIGITS = tuple(range(10))
N_STARTS = 12
TOLERANCE = 1e-8  # nats per row: enough for the eye
SPLIT = 0.2  # the share of a digit that each of two prototypes must hold
FACTOR_MODELS = MappingProxyType({"PPCA": PPCA, "factor analysis": FactorAnalysis})
CONTROLS = MappingProxyType(
    {
        "k": links.Number(10, 2, 20),
        "prior": links.Choice([0, 0.1, 0.5, 1, 2, 5, 10], 1),
        "start": links.Choice(["random-responsibilities", "random-rows", "k-means++"]),
        "seed": links.Number(0, 0, 9999),
        "threshold": links.Number(8, 1, 16),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Ten causes": {},
        "Twenty styles": {"k": 20},
        "Three causes": {"k": 3},
        "No prior": {"prior": 0},
        "Too strong a prior": {"prior": 10},
    }
)


@dataclass(frozen=True)
class DigitsSettings:
    """The controls of the digits app; `prior` is pseudo-inked and pseudo-blank images for every pixel."""

    n_components: int = 10
    prior: float = 1.0
    init: str = "random-responsibilities"
    seed: int = 0
    threshold: int = 8
    max_iter: int = 30


class Agreement(NamedTuple):
    """Components against the digits at every half-step of a run."""

    counts: np.ndarray  # (h, k, 10) images of each digit that a component claims
    matched: np.ndarray  # (h, k) the digit paired with each component, -1 for none
    accuracy: np.ndarray  # (h,) share of the images in paired cells
    purity: np.ndarray  # (h,) share that agrees when each component is named by its commonest digit


class Start(NamedTuple):
    """Where one start ended."""

    log_likelihood: float
    accuracy: float


class FactorRow(NamedTuple):
    """A model of the grey levels, and what it makes of a row."""

    model: str
    free_parameters: int
    log_likelihood_per_row: float


@lru_cache(maxsize=32)
def images(threshold: int = 8) -> np.ndarray:
    """Pixels (1797, 64), row by row: 1 where the ink, 0 to 16, is at least `threshold`."""
    pixels = (_grey() >= threshold).astype(float)
    pixels.flags.writeable = False
    return pixels


@lru_cache(maxsize=1)
def labels() -> np.ndarray:
    """The digits that were written (1797,)."""
    return load("digits")["digit"].to_numpy()


@lru_cache(maxsize=1)
def _grey() -> np.ndarray:
    return load("digits").drop("digit").to_numpy().astype(float)


def _model(settings: DigitsSettings) -> Mixture:
    return Mixture(Bernoulli((settings.prior, settings.prior)), settings.n_components)


@lru_cache(maxsize=24)
def digits_lesson(settings: DigitsSettings) -> Lesson:
    """The settings' run from one start, half-steps recorded; bad settings come back as a sentence in `trouble`."""
    try:
        return Lesson(
            fit(
                _model(settings),
                images(settings.threshold),
                init=settings.init,
                restarts=1,
                seed=settings.seed,
                tol=TOLERANCE,
                max_iter=settings.max_iter,
                trace=True,
            )
        )
    except ValueError as error:
        return Lesson(None, str(error))


def agreement(lesson: Lesson) -> Agreement:
    """The run's components against the digits, each image given to its likeliest component."""
    counts = np.stack([contingency(half.q.probs) for half in lesson.trace])
    matched = np.stack([pairing(table) for table in counts])
    total = counts[0].sum()
    paired = np.take_along_axis(counts, np.maximum(matched, 0)[:, :, None], axis=2)[:, :, 0] * (matched >= 0)
    return Agreement(counts, matched, paired.sum(axis=1) / total, counts.max(axis=2).sum(axis=1) / total)


def contingency(probs: np.ndarray) -> np.ndarray:
    """Images of each digit (k, 10) by likeliest component, from responsibilities (n, k)."""
    table = np.zeros((probs.shape[1], len(DIGITS)), dtype=int)
    np.add.at(table, (probs.argmax(axis=1), labels()), 1)
    return table


def pairing(counts: np.ndarray) -> np.ndarray:
    """The digit for each component (k,), each digit once at most, that agrees with most images; -1 for none.

    Kuhn (1955), Naval Research Logistics 2, 83-97.
    """
    from scipy.optimize import linear_sum_assignment

    components, digits = linear_sum_assignment(-counts)
    matched = np.full(len(counts), -1)
    matched[components] = digits
    return matched


@lru_cache(maxsize=16)
def many_starts(settings: DigitsSettings) -> tuple[Start, ...]:
    """Twelve starts of the same model: the log-likelihood and the matched accuracy of each; () for bad settings."""
    x = images(settings.threshold)
    try:
        found = fit(
            _model(settings), x, init=settings.init, restarts=N_STARTS, seed=settings.seed, tol=TOLERANCE, max_iter=40
        )
    except ValueError:
        return ()
    ends = []
    for run in found.restarts:
        counts = contingency(found.model.posterior(run.params, x).probs)
        agreed = sum(counts[c, digit] for c, digit in enumerate(pairing(counts)) if digit >= 0)
        ends.append(Start(run.log_likelihood, float(agreed / counts.sum())))
    return tuple(ends)


def blot(lesson: Lesson, settings: DigitsSettings) -> float:
    """How much log p of the first image falls, in nats, when ink is put into its top left pixel, which none has."""
    clean = images(settings.threshold)[:1]
    stained = clean.copy()
    stained[0, 0] = 1.0
    assert lesson.fit is not None
    log_p = lesson.fit.model.log_likelihood(lesson.fit.params, np.concatenate([clean, stained]))
    return float(log_p[1] - log_p[0])


def inked_pixels() -> tuple[int, ...]:
    """The pixels (61) that vary: three are blank in every image."""
    return tuple(np.flatnonzero(_grey().std(axis=0) > 0).tolist())


@lru_cache(maxsize=24)
def factor_lesson(name: str, n_factors: int) -> Lesson:
    """PPCA or factor analysis of the grey levels of the pixels that vary, half-steps recorded."""
    model = FACTOR_MODELS[name](n_factors, noise_prior=1.0)
    return Lesson(fit(model, _grey()[:, inked_pixels()], restarts=1, seed=0, tol=TOLERANCE, max_iter=20, trace=True))


@lru_cache(maxsize=8)
def round_mixture(n_components: int) -> FactorRow:
    """The mixture's rival to the factors on their own ground: round Gaussian clusters of the same grey levels."""
    found = fit(
        Mixture(Gaussian("spherical"), n_components),
        _grey()[:, inked_pixels()],
        restarts=1,
        seed=0,
        tol=1e-6,
        max_iter=30,
    )
    return FactorRow(
        f"{n_components} round Gaussian clusters", found.n_params, round(found.log_likelihood / found.n_rows, 2)
    )


def factor_row(name: str, n_factors: int) -> FactorRow:
    """A factor model as a line of the comparison."""
    found = factor_lesson(name, n_factors).fit
    assert found is not None
    return FactorRow(f"{name}, {n_factors} factors", found.n_params, round(found.log_likelihood / found.n_rows, 2))


def merged(counts: np.ndarray) -> tuple[int, int]:
    """The two digits (smaller first) that share one prototype most: its second commonest digit is the largest."""
    ranked = np.argsort(-counts, axis=1, kind="stable")
    component = int(np.take_along_axis(counts, ranked[:, 1:2], axis=1).argmax())
    a, b = sorted(int(digit) for digit in ranked[component, :2])
    return a, b


def split(counts: np.ndarray) -> tuple[int, ...]:
    """The digits of which two prototypes or more hold a fifth each."""
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    return tuple(np.flatnonzero((shares >= SPLIT).sum(axis=0) >= 2).tolist())


def pairs() -> list[str]:
    """Every pair of digits, as the exercise offers them."""
    return [pair_words(a, b) for a in DIGITS for b in DIGITS if a < b]


def pair_words(a: int, b: int) -> str:
    """A pair of digits in words."""
    return f"{a} and {b}"


def merge_exercise(counts: np.ndarray) -> Exercise:
    """Which two digits does this run merge?"""
    pair = merged(counts)
    together = counts[:, list(pair)].min(axis=1).max()
    return Exercise(
        "Which two digits share one prototype the most? Look for an image that could be either.",
        pair_words(*pair),
        f"One prototype holds at least {together} images of each: to 64 independent pixels they look alike.",
        "Blurred prototypes are the suspects. Reveal the labels and look for a row with two large counts.",
    )


def mark_split(given: str | None, counts: np.ndarray) -> Verdict:
    """Marks a digit said to be split between two prototypes; any that is counts as right."""
    found = [str(digit) for digit in split(counts)]
    if not found:
        return Verdict("neutral", "In this run no digit is split: try more components or another seed.")
    exercise = Exercise(
        "",
        given if given in found else found[0],
        "Two prototypes hold at least a fifth of its images each: two styles of writing one digit.",
        "Reveal the labels and look for a column with two large counts.",
    )
    return exercise.mark(given)


PRIOR_EXERCISE = Exercise(
    "A prototype holds 18 images, and none has ink in the corner. With a prior of 1 pseudo-image with ink and 1 "
    "without, which probability of ink does the M-step give that pixel?",
    1 / 20,
    "(0 + 1) / (18 + 2) = 1/20: unlikely, not impossible. With a prior of 0 it is 0, and one blot costs log 0 = −∞.",
    "Add the pseudo-images: inked to the count, both to the number of images.",
    0.0005,
    (
        Slip(0.0, "That is the answer without a prior: then one blot in the corner makes log p = log 0 = −∞."),
        Slip(1 / 18, "The pseudo-images are images too: they count in the denominator."),
        Slip(1 / 19, "There are two pseudo-images, one with ink and one without."),
        Slip(2 / 20, "Only one of the two pseudo-images has ink."),
    ),
)


def as_link(settings: DigitsSettings) -> dict[str, Any]:
    """What a link must hold to restore the settings."""
    return {
        "k": settings.n_components,
        "prior": settings.prior,
        "start": settings.init,
        "seed": settings.seed,
        "threshold": settings.threshold,
    }
