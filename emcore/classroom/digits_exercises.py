"""Exercises of the digits lesson: two are about the run on the screen, one is for pencil and paper."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emcore.classroom.digits import DIGITS
from emcore.classroom.exercises import Exercise, Mark, Slip, Verdict

MERGE_QUESTION = "Which two digits share one prototype the most? Look for an image that could be either."
SPLIT_QUESTION = "Find a digit that is split: two prototypes hold a fifth of its images each, or more."
SPLIT = 0.2  # the share of a digit that each of two prototypes must hold


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


def digits() -> list[str]:
    """Every digit, as the exercise offers them."""
    return [str(digit) for digit in DIGITS]


def pair_words(a: int, b: int) -> str:
    """A pair of digits in words."""
    return f"{a} and {b}"


def merge(counts: np.ndarray) -> Exercise:
    """Which two digits does this run merge?"""
    pair = merged(counts)
    together = counts[:, list(pair)].min(axis=1).max()
    return Exercise(
        MERGE_QUESTION,
        pair_words(*pair),
        f"One prototype holds at least {together} images of each: to 64 independent pixels they look alike.",
        "Blurred prototypes are the suspects. Reveal the labels and look for a row with two large counts.",
    )


def mark_split(given: str | None, counts: np.ndarray, mark: Mark = Exercise.mark) -> Verdict:
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
    return mark(exercise, given)


PRIOR = Exercise(
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


def marked(given: Sequence[Any], counts: np.ndarray, mark: Mark = Exercise.mark) -> tuple[Verdict, ...]:
    """What to say of the three answers: the pair, the digit, the probability."""
    pair, digit, probability = given
    return mark(merge(counts), pair), mark_split(digit, counts, mark), mark(PRIOR, probability)
