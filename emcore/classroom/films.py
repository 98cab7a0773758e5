"""What the film app asks for: taste profiles from ratings with blanks, and what they make of a student.

Ratings are kept as levels 0 to 4, stars less one; a blank is NaN and is marginalised exactly. Pure functions of their
arguments; runs are remembered by settings; trouble comes back as words. The people are simulated: see `film_world`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom import links
from emcore.classroom.film_world import FILMS, GENRES, SHOWN, STARS, TITLES, levels, seen, world
from emcore.classroom.mixture import Lesson
from emcore.classroom.recorded import one_run
from emcore.classroom.shared import shared
from emcore.divergence import entropy_rows
from emcore.families.categorical import Categorical
from emcore.models.mixture import Mixture
from emcore.trace import Trace

TOLERANCE = 1e-8  # nats per person: enough for the eye
NOT_SEEN = 0  # what a student's entry says of a film not rated
ENTRIES: Mapping[str, int] = MappingProxyType(
    {"not seen": 0, "1 star": 1, "2 stars": 2, "3 stars": 3, "4 stars": 4, "5 stars": 5}
)
SHOWN_TITLES = tuple(TITLES[film] for film in SHOWN)
FIRST_RATINGS = (5, 0, 2, 0, 0, 0, 0, 0, 0, 0)  # so that there is something to see
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "k": links.Number(5, 1, 8),
        "prior": links.Choice([0, 0.1, 0.5, 1, 3, 10], 0.5),
        "start": links.Choice(["random-responsibilities", "random-rows", "k-means++"]),
        "seed": links.Number(2, 0, 9999),
        "liking": links.Choice([0, 0.25, 0.5, 0.75, 1, 1.5, 2], 0),
        "share": links.Choice([10, 20, 40, 60, 90], 40),
        **{f"film{place}": links.Number(stars, 0, 5) for place, stars in enumerate(FIRST_RATINGS)},
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Five tastes": {},
        "Two tastes only": {"k": 2},
        "A stranger: nothing rated": {f"film{place}": 0 for place in range(len(SHOWN))},
        "A horror fan": {"film0": 0, "film2": 0, "film4": 5, "film5": 4},
        "People rate what they like": {"liking": 1},
    }
)


@dataclass(frozen=True)
class FilmSettings:
    """The controls of the film app that a fit depends on; `share` of the ratings are seen, in per cent."""

    n_components: int = 5
    prior: float = 0.5
    init: str = "random-responsibilities"
    seed: int = 2
    liking: float = 0.0
    share: int = 40
    max_iter: int = 30


class Taste(NamedTuple):
    """What the ratings so far say of a student, or why they say nothing."""

    words: tuple[str, ...] = ()  # one per step: nothing rated, then each rating
    probs: np.ndarray = np.empty((0, 0))  # (steps, k) the responsibilities after each
    trouble: str = ""


class Prediction(NamedTuple):
    """What a student's responsibilities say of a film not rated."""

    film: int
    title: str
    mean: float  # stars
    sd: float
    gain: float  # nats by which the entropy of z is expected to fall once it is rated
    can_rate: bool


class FilmMeans(NamedTuple):
    """Mean stars of every film (d,), and over all cells."""

    true: np.ndarray
    observed: np.ndarray
    model: np.ndarray  # as the profiles predict it, blanks marginalised
    overall: tuple[float, float, float]


@shared(64)
def films_lesson(settings: FilmSettings) -> Lesson:
    """Profiles fitted to the ratings seen, half-steps recorded; bad settings come back as words."""
    try:
        model = Mixture(Categorical(len(STARS), prior=settings.prior), settings.n_components)
        return Lesson(one_run(model, levels(settings.liking, settings.share / 100), settings, TOLERANCE))
    except ValueError as error:
        return Lesson(None, str(error))


def expected_stars(probs: np.ndarray) -> np.ndarray:
    """Mean stars from level probabilities: the last axis is summed away."""
    return probs @ np.array(STARS, dtype=float)


def profile_means(trace: Trace) -> np.ndarray:
    """Mean stars of every profile and film, at every half-step (h, k, d)."""
    return np.stack([expected_stars(half.params.probs) for half in trace])


@shared(64)
def profile_table(settings: FilmSettings) -> dict[str, Any]:
    """Profiles as the chart takes them: mean stars, the films, and the favourites over each; for settings that run."""
    means = profile_means(films_lesson(settings).trace)
    return {"means": means, "items": TITLES, "words": tuple(map(tuple, favourites(means)))}


def favourites(means: np.ndarray) -> list[list[str]]:
    """For every half-step and profile, the genre that its mean stars (h, k, d) are highest for."""
    columns = [[i for i, (_, genre) in enumerate(FILMS) if genre == name] for name in GENRES]
    by_genre = np.stack([means[:, :, column].mean(axis=2) for column in columns], axis=2)
    return [[GENRES[place] for place in row] for row in by_genre.argmax(axis=2)]


def taste(lesson: Lesson, ratings: Sequence[int]) -> Taste:
    """The posterior over profiles after each of a student's ratings, in the order of the films shown.

    `ratings` holds 1 to 5 stars for each film of SHOWN, 0 where not seen. Each step is the model's own E-step on one
    row, whose other cells are blank.
    """
    assert lesson.fit is not None
    given = [place for place, stars in enumerate(ratings) if stars != NOT_SEEN]
    rows = np.full((len(given) + 1, len(FILMS)), np.nan)
    words = ["nothing rated"]
    for step, place in enumerate(given, start=1):
        rows[step:, SHOWN[place]] = ratings[place] - 1
        words.append(f"{TITLES[SHOWN[place]]}: {ratings[place]}")
    try:
        return Taste(tuple(words), lesson.fit.responsibilities(rows))
    except ValueError:
        return Taste(
            trouble="No profile has ever given such a rating: its probability is exactly 0 under every one, and "
            "0/0 is no posterior. A prior of more than 0 lets the profiles be surprised."
        )


def predictions(lesson: Lesson, ratings: Sequence[int]) -> list[Prediction]:
    """The films not rated, the best predicted first; [] where the ratings are impossible."""
    found = taste(lesson, ratings)
    if found.trouble:
        return []
    assert lesson.fit is not None
    rated = {SHOWN[place] for place, stars in enumerate(ratings) if stars != NOT_SEEN}
    probs, now = lesson.fit.params.probs, found.probs[-1]
    stars = np.array(STARS, dtype=float)
    lines = []
    for film in (film for film in range(len(FILMS)) if film not in rated):
        mixed = now @ probs[:, film]
        mean = float(mixed @ stars)
        sd = float(np.sqrt(mixed @ (stars - mean) ** 2))
        lines.append(Prediction(film, TITLES[film], mean, sd, expected_drop(now, probs[:, film]), film in set(SHOWN)))
    return sorted(lines, key=lambda line: -line.mean)


def forecast_columns(lesson: Lesson, ratings: Sequence[int]) -> dict[str, list[Any]]:
    """The predictions as the chart takes them, column by column."""
    lines = predictions(lesson, ratings)
    return {
        "titles": [line.title for line in lines],
        "means": [line.mean for line in lines],
        "sds": [line.sd for line in lines],
        "gains": [line.gain for line in lines],
        "asked": [line.can_rate for line in lines],
    }


def expected_drop(now: np.ndarray, by_profile: np.ndarray) -> float:
    """H(z) less its expected value once a film is rated, in nats: the information of the rating about z.

    now (k,) are the responsibilities, by_profile (k, 5) each profile's level probabilities. Lindley (1956), Annals of
    Mathematical Statistics 27, 986-1005.
    """
    joint = now[:, None] * by_profile  # p(z, rating)
    chance = joint.sum(axis=0)
    after = joint / np.where(chance > 0, chance, 1.0)
    return float(entropy_rows(now[None])[0] - chance @ entropy_rows(after.T))


def film_means(settings: FilmSettings, lesson: Lesson) -> FilmMeans:
    """The truth, what was observed, and what the profiles make of it, film by film and overall."""
    assert lesson.fit is not None
    stars, shown = world().stars, seen(settings.liking, settings.share / 100)
    observed = np.where(shown, stars, 0.0).sum(axis=0) / shown.sum(axis=0)
    params = lesson.fit.params
    model = params.weights @ expected_stars(params.probs)
    overall = (float(stars.mean()), float(stars[shown].mean()), float(model.mean()))
    return FilmMeans(stars.mean(axis=0), observed, model, overall)


class BlankError(NamedTuple):
    """Root mean squared error, in stars, on the blanks, which the simulation knows."""

    profiles: float
    film_means: float


def blank_error(settings: FilmSettings, lesson: Lesson) -> BlankError:
    """How well the blanks are predicted by each person's profiles, and by the film's observed mean alone."""
    assert lesson.fit is not None
    shown = seen(settings.liking, settings.share / 100)
    blank = ~shown
    guess = lesson.fit.responsibilities(lesson.fit.problem.x) @ expected_stars(lesson.fit.params.probs)
    plain = np.broadcast_to(film_means(settings, lesson).observed, guess.shape)
    truth = world().stars[blank]
    return BlankError(*(float(np.sqrt(((made[blank] - truth) ** 2).mean())) for made in (guess, plain)))


def most_telling(lesson: Lesson, ratings: Sequence[int]) -> Prediction | None:
    """The film that can still be rated whose rating is expected to tell most of z; None where all are rated."""
    asked = [line for line in predictions(lesson, ratings) if line.can_rate]
    return max(asked, key=lambda line: line.gain, default=None)


def entry(stars: int) -> str:
    """What a control calls so many stars."""
    return tuple(ENTRIES)[stars]


def still_to_rate(ratings: Sequence[int]) -> list[str]:
    """The titles shown that a student has not rated."""
    return [title for title, stars in zip(SHOWN_TITLES, ratings, strict=True) if stars == NOT_SEEN]


def ratings_csv(settings: FilmSettings) -> str:
    """The simulated ratings as EM sees them, in stars, one column a film and nothing where blank."""
    import polars as pl

    stars = levels(settings.liking, settings.share / 100) + 1
    columns = {title: pl.Series(column).fill_nan(None) for title, column in zip(TITLES, stars.T, strict=True)}
    return pl.DataFrame(columns).cast(pl.Int64).write_csv()


def numbers(lesson: Lesson) -> tuple[list[tuple[str, str]], float, int]:
    """What to print of the run: last numbers with labels, the worst |log p(x) - ELBO - KL|, and its length."""
    last = lesson.trace[-1]
    shown = [
        (f"{last.log_likelihood:,.2f}", "log p(x) at the end, nats"),
        (f"{last.elbo:,.2f}", "ELBO at the end"),
        (f"{last.kl:.3g}", "KL(Q ‖ posterior) at the end"),
    ]
    return shown, lesson.worst_identity_error, len(lesson.trace)


def as_link(settings: FilmSettings, ratings: Sequence[int]) -> dict[str, Any]:
    """What a link must hold to restore the settings and the ratings."""
    return {
        "k": settings.n_components,
        "prior": settings.prior,
        "start": settings.init,
        "seed": settings.seed,
        "liking": settings.liking,
        "share": settings.share,
        **{f"film{place}": stars for place, stars in enumerate(ratings)},
    }
