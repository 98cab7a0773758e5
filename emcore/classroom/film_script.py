"""The code that makes the run which the lesson on film tastes shows, and what it makes of a student's ratings."""

from collections.abc import Sequence

from emcore.classroom import film_world as simulated
from emcore.classroom import script as code
from emcore.classroom.films import NOT_SEEN, TOLERANCE, FilmSettings, films_lesson, taste
from emcore.classroom.script import call, literal

_N_FILMS, _N_TASTES = len(simulated.FILMS), len(simulated.TASTES)
_WORLD = (
    "import numpy as np",
    "",
    f"rng = np.random.default_rng({simulated.SEED})",
    "means = np.array([  # stars of every taste for "
    f"{', '.join(simulated.GENRES)}: {_N_FILMS // len(simulated.GENRES)} films of each",
    *(f"    {literal(row)}," for row in simulated.TASTES),
    f"]).repeat({_N_FILMS // len(simulated.GENRES)}, axis=1)",
    f"means = means + rng.normal(0.0, {simulated.SPREAD}, {_N_FILMS})",
    f"taste = rng.choice({_N_TASTES}, size={simulated.N_PEOPLE}, p={literal(simulated.COMMON)})",
    "stars = 1 + rng.binomial(4, np.clip((means[taste] - 1) / 4, 0.04, 0.96))",
)


def script(settings: FilmSettings, ratings: Sequence[int]) -> str:
    """The code of the settings' run and of the student's responsibilities."""
    base, liking = simulated.base(settings.liking, settings.share / 100), settings.liking
    chance = f"1 / (1 + np.exp({literal(-base)} - {literal(liking)} * (stars - 3.0)))"
    prior = settings.prior or None
    model = call(
        "em.Mixture", call("em.Categorical", str(len(simulated.STARS)), prior=prior), n_components=settings.n_components
    )
    return code.script(
        _WORLD,
        [
            f"seen = rng.random(stars.shape) < {chance}",
            "x = np.where(seen, stars - 1.0, np.nan)  # levels 0 to 4, and blanks",
            f"model = {model}",
            *code.one_run(settings, TOLERANCE),
        ],
        code.half_steps(),
        _yours(settings, ratings),
    )


def _yours(settings: FilmSettings, ratings: Sequence[int]) -> list[str]:
    lesson = films_lesson(settings)
    if lesson.fit is None or taste(lesson, ratings).trouble:
        return ["# Your ratings have probability 0 under every profile: there is no posterior."]
    given = {simulated.SHOWN[place]: stars for place, stars in enumerate(ratings) if stars != NOT_SEEN}
    rated = [f"you[0, {literal(list(given))}] = {literal([stars - 1 for stars in given.values()])}  # stars less one"]
    return [
        f"you = np.full((1, {_N_FILMS}), np.nan)",
        *(rated if given else []),
        "print(fit.responsibilities(you))",
    ]
