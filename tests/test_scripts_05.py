"""“The code that does this” of apps 5, 6 and 7, run on its own, makes the runs that the lesson shows."""

from dataclasses import replace

import numpy as np
import pytest

from emcore.classroom import film_script, film_world, films
from tests.test_scripts import assert_same_run, ran

FILMS = films.FilmSettings()
FILM_CASES = [
    (FILMS, films.FIRST_RATINGS),
    (replace(FILMS, n_components=8, prior=0, init="k-means++", seed=9999, share=10), (0,) * 10),
    (replace(FILMS, n_components=2, prior=0, init="random-rows", liking=2, share=90), (1, 5) * 5),
    (replace(FILMS, n_components=1, prior=10, liking=0.25, share=20), (5, 4, 3, 2, 1, 0, 1, 2, 3, 4)),
]


@pytest.mark.parametrize(("settings", "ratings"), FILM_CASES, ids=lambda part: str(getattr(part, "init", "")))
def test_a_film_script_simulates_the_same_people_and_makes_the_run(settings, ratings):
    lesson, found = films.films_lesson(settings), ran(film_script.script(settings, ratings))
    np.testing.assert_array_equal(found["x"], film_world.levels(settings.liking, settings.share / 100))
    assert_same_run(found["fit"].trace, lesson.trace)
    assert found["fit"].status == lesson.fit.status
    # One row alone, where the lesson asks of all the ratings before it too: sums of other lengths.
    yours = found["fit"].responsibilities(found["you"])[0]
    np.testing.assert_allclose(yours, films.taste(lesson, ratings).probs[-1], rtol=1e-9)
    assert found["said"].endswith(f"{yours[None]}\n")


def test_ratings_that_no_profile_gives_have_no_posterior_in_a_script():
    settings, ratings = replace(FILMS, prior=0, n_components=8, share=10), (1,) * 10
    assert films.taste(films.films_lesson(settings), ratings).trouble
    text = film_script.script(settings, ratings)
    assert text.endswith("# Your ratings have probability 0 under every profile: there is no posterior.\n")
    assert_same_run(ran(text)["fit"].trace, films.films_lesson(settings).trace)


@pytest.mark.parametrize("text", [film_script.script(*case) for case in FILM_CASES])
def test_scripts_are_short(text):
    lines = text.splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 120
