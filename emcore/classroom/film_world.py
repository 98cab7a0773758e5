"""A simulated world of film ratings, in which every blank is known.

The people are simulated and the "films" are kinds of film: nothing here is anyone's rating. Five tastes, each with
a mean number of stars for every genre; a rating is 1 + Binomial(4, p) with that mean. Who has seen what depends on how
strongly people seek out what they like.
"""

from typing import NamedTuple

import numpy as np

from emcore.classroom.shared import shared

GENRES = ("spectacle", "romance", "horror", "comedy", "slow cinema")
FILMS = (
    ("Space battle", "spectacle"),
    ("Car chase", "spectacle"),
    ("Masked heroes", "spectacle"),
    ("Giant lizard", "spectacle"),
    ("Summer wedding", "romance"),
    ("Letters in wartime", "romance"),
    ("Ballroom drama", "romance"),
    ("Childhood friends", "romance"),
    ("Haunted house", "horror"),
    ("Cabin in the woods", "horror"),
    ("Cursed doll", "horror"),
    ("Night shift", "horror"),
    ("Slapstick chaos", "comedy"),
    ("Office comedy", "comedy"),
    ("Road trip", "comedy"),
    ("Talking animals", "comedy"),
    ("Fishing village", "slow cinema"),
    ("One long take", "slow cinema"),
    ("Glacier documentary", "slow cinema"),
    ("Silent classic", "slow cinema"),
)
TITLES = tuple(title for title, _ in FILMS)
SHOWN = (0, 1, 4, 5, 8, 9, 12, 13, 16, 17)  # the films that a student can rate: two of each genre
STARS = (1, 2, 3, 4, 5)
N_PEOPLE = 600

# Mean stars by taste (down) and genre (across), and how common each taste is.
TASTES = (
    (4.4, 2.0, 3.0, 3.4, 1.8),
    (2.4, 4.5, 1.5, 3.6, 2.9),
    (3.2, 1.8, 4.5, 2.6, 2.6),
    (3.4, 3.1, 1.9, 4.5, 1.7),
    (1.9, 3.0, 2.8, 2.3, 4.5),
)
COMMON = (0.28, 0.22, 0.16, 0.22, 0.12)
SPREAD = 0.35  # of the tastes' common opinion of a film, in stars
SEED = 7


class World(NamedTuple):
    """Everyone's opinion of everything."""

    taste: np.ndarray  # (n,) which of the five
    stars: np.ndarray  # (n, d) 1 to 5, seen or not
    luck: np.ndarray  # (n, d) uniform numbers that decide who sees what


@shared(1)
def world() -> World:
    """600 simulated people and 20 kinds of film; always the same."""
    rng = np.random.default_rng(SEED)
    genre = np.array([GENRES.index(genre) for _, genre in FILMS])
    mean = np.array(TASTES)[:, genre] + rng.normal(0.0, SPREAD, len(FILMS))
    taste = rng.choice(len(TASTES), size=N_PEOPLE, p=COMMON)
    stars = 1.0 + rng.binomial(4, np.clip((mean[taste] - 1.0) / 4.0, 0.04, 0.96))
    return World(taste, stars, rng.random(stars.shape))


@shared(64)
def seen(liking: float, share: float) -> np.ndarray:
    """Which ratings exist (n, d): P(seen) = 1 / (1 + exp(-b - liking (stars - 3))), `share` of them on average.

    liking = 0 is "missing completely at random"; otherwise whether a cell is blank depends on the number it hides
    (Rubin 1976). The same luck decides at every liking, so that little changes when it moves a little.
    """
    _, stars, luck = world()
    kinds = np.unique(stars)
    found = luck < _chance(liking, kinds, base(liking, share))[stars.astype(int) - int(kinds[0])]
    found.flags.writeable = False
    return found


@shared(64)
def base(liking: float, share: float) -> float:
    """b of `seen`, by bisection: the share rises with it."""
    stars = world().stars
    kinds, counts = np.unique(stars, return_counts=True)
    common = counts / stars.size
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        seen_share = common @ _chance(liking, kinds, middle)
        low, high = (middle, high) if seen_share < share else (low, middle)
    return low


def _chance(liking: float, stars: np.ndarray, base: float) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-base - liking * (stars - 3.0)))


def levels(liking: float, share: float) -> np.ndarray:
    """The table that EM sees (n, d): stars less one, NaN where blank."""
    return np.where(seen(liking, share), world().stars - 1.0, np.nan)
