"""The film lesson: the simulated world, profiles through the blanks, a student's E-steps, and their charts."""

from dataclasses import replace

import altair as alt
import numpy as np
import pytest
import vl_convert
from scipy.optimize import brentq

from emcore.charts.live import live_spec
from emcore.charts.profiles import forecasts, item_means, profiles, taste_path
from emcore.classroom import film_exercises, links
from emcore.classroom import film_world as world_of
from emcore.classroom import films as lesson_of
from emcore.classroom.films import FilmSettings

SETTINGS = FilmSettings()
NOTHING = (0,) * 10


@pytest.fixture(scope="module")
def lesson():
    return lesson_of.films_lesson(SETTINGS)


def svg(chart):
    return vl_convert.vegalite_to_svg(chart.to_json(), vl_version=".".join(alt.SCHEMA_VERSION[1:].split(".")[:2]))


# ---- the world


def test_the_world_is_always_the_same_and_rated_in_whole_stars():
    world = world_of.world()
    assert world.stars.shape == (600, 20)
    assert set(np.unique(world.stars)) == {1, 2, 3, 4, 5}
    assert world_of.world.__wrapped__().stars.tolist() == world.stars.tolist()
    assert len(set(world_of.TITLES)) == 20
    assert [world_of.FILMS[i][1] for i in world_of.SHOWN[::2]] == list(world_of.GENRES)


@pytest.mark.parametrize("share", [10, 40, 90])
@pytest.mark.parametrize("liking", [0, 1, 2])
def test_as_many_ratings_are_seen_as_asked(liking, share):
    assert world_of.seen(liking, share / 100).mean() == pytest.approx(share / 100, abs=0.012)


def test_who_sees_what_follows_the_stated_chance():
    """The share is met by a base b found here over all cells, and the same luck decides."""
    _, stars, luck = world_of.world()
    base = brentq(lambda b: (1 / (1 + np.exp(-b - 0.75 * (stars - 3)))).mean() - 0.2, -20, 20, xtol=1e-12)
    np.testing.assert_array_equal(world_of.seen(0.75, 0.2), luck < 1 / (1 + np.exp(-base - 0.75 * (stars - 3))))


def test_without_liking_a_blank_says_nothing_and_with_it_blanks_hide_low_stars():
    stars = world_of.world().stars
    for liking, low, high in ((0, 0.37, 0.43), (1, 0.0, 0.2)):
        seen = world_of.seen(liking, 0.4)
        assert low < seen[stars == 1].mean() < high
    odds = [world_of.seen(1, 0.4)[stars == s].mean() for s in (2, 4)]
    ratio = np.log(odds[1] / (1 - odds[1])) - np.log(odds[0] / (1 - odds[0]))
    assert ratio == pytest.approx(2.0, abs=0.2), "liking is a log odds ratio per star"


def test_the_table_is_blank_exactly_where_nothing_is_seen():
    table = world_of.levels(0.5, 0.4)
    assert (np.isnan(table) == ~world_of.seen(0.5, 0.4)).all()
    kept = ~np.isnan(table)
    np.testing.assert_array_equal(table[kept] + 1, world_of.world().stars[kept])


# ---- the fit


def test_the_lesson_climbs_and_keeps_the_identity(lesson):
    objective = np.array([half.objective for half in lesson.trace])
    assert (np.diff(objective) >= -1e-9 * np.abs(objective[1:])).all()
    assert lesson.worst_identity_error < 1e-8


def test_the_five_genres_are_found_through_the_blanks(lesson):
    """What the first picture shows: each profile likes one genre, and all five are liked by one."""
    last = lesson_of.favourites(lesson_of.profile_means(lesson.trace))[-1]
    assert sorted(last) == sorted(world_of.GENRES)


def test_the_numbers_printed_are_those_of_the_run(lesson):
    shown, worst, length = lesson_of.numbers(lesson)
    assert shown[0][0] == f"{lesson.trace[-1].log_likelihood:,.2f}"
    assert (worst, length) == (lesson.worst_identity_error, 60)


def test_profile_means_are_expected_stars(lesson):
    probs = lesson.trace[-1].params.probs[2, 7]
    mean = lesson_of.profile_means(lesson.trace)[-1, 2, 7]
    assert mean == pytest.approx(sum((level + 1) * p for level, p in enumerate(probs)))


def test_bad_settings_come_back_in_words():
    assert "prior must be" in lesson_of.films_lesson(replace(SETTINGS, prior=-1)).trouble


# ---- the student


def test_each_rating_is_bayes_rule_on_the_profiles(lesson):
    """By hand: weight times one level probability for each film rated, blanks left out."""
    ratings = (5, 0, 2, 0, 0, 1, 0, 0, 0, 0)
    found = lesson_of.taste(lesson, ratings)
    assert found.words == ("nothing rated", "Space battle: 5", "Summer wedding: 2", "Cabin in the woods: 1")
    by_hand = lesson.fit.params.weights.copy()
    np.testing.assert_allclose(found.probs[0], by_hand / by_hand.sum(), rtol=1e-10)
    for step, (film, stars) in enumerate(((0, 5), (4, 2), (9, 1)), start=1):
        by_hand = by_hand * lesson.fit.params.probs[:, film, stars - 1]
        np.testing.assert_allclose(found.probs[step], by_hand / by_hand.sum(), rtol=1e-10)


def test_an_impossible_rating_is_told_in_words():
    bare = lesson_of.films_lesson(FilmSettings(prior=0, liking=2, share=10))
    assert not bare.fit.params.probs[:, 0, 0].any()
    ratings = (1, *NOTHING[1:])
    assert "exactly 0" in lesson_of.taste(bare, ratings).trouble
    assert lesson_of.predictions(bare, ratings) == []
    assert lesson_of.most_telling(bare, ratings) is None
    assert lesson_of.forecast_columns(bare, ratings)["titles"] == []


def test_predictions_are_mixtures_of_the_profiles_best_first(lesson):
    lines = lesson_of.predictions(lesson, (5, *NOTHING[1:]))
    assert len(lines) == 19
    assert [line.mean for line in lines] == sorted((line.mean for line in lines), reverse=True)
    q = lesson_of.taste(lesson, (5, *NOTHING[1:])).probs[-1]
    line = lines[3]
    chances = q @ lesson.fit.params.probs[:, line.film]
    mean = chances @ np.arange(1, 6)
    assert line.mean == pytest.approx(mean)
    assert line.sd == pytest.approx(np.sqrt(chances @ np.arange(1, 6) ** 2 - mean**2))


def test_the_expected_drop_is_what_asking_brings_on_average(lesson):
    """Enumerated: the student gives each number of stars in turn, and the entropies are weighed by its chance."""
    ratings = (5, 0, 2, 0, 0, 0, 0, 0, 0, 0)
    q = lesson_of.taste(lesson, ratings).probs[-1]
    line = next(line for line in lesson_of.predictions(lesson, ratings) if line.title == "Haunted house")
    entropy = -(q * np.log(q)).sum()
    for stars in range(1, 6):
        after = lesson_of.taste(lesson, (*ratings[:4], stars, *ratings[5:])).probs[-1]
        entropy -= (q @ lesson.fit.params.probs[:, line.film, stars - 1]) * -(after * np.log(after)).sum()
    assert line.gain == pytest.approx(entropy, rel=1e-9)


def test_a_film_on_which_profiles_agree_tells_nothing_and_one_that_parts_them_tells_all():
    q = np.array([0.5, 0.5])
    same = np.tile([0.1, 0.2, 0.4, 0.2, 0.1], (2, 1))
    assert lesson_of.expected_drop(q, same) == pytest.approx(0, abs=1e-15)
    assert lesson_of.expected_drop(q, np.eye(5)[[0, 4]]) == pytest.approx(np.log(2))


# ---- blanks


def test_what_people_like_is_what_is_seen():
    """The numbers that the app prints: at liking 0 the seen mean is the true one, then it leaves it; profiles repair
    a part of the bias and not all."""
    true, seen, _ = lesson_of.film_means(SETTINGS, lesson_of.films_lesson(SETTINGS)).overall
    assert true == pytest.approx(world_of.world().stars.mean())
    assert seen == pytest.approx(true, abs=0.05)
    liked = replace(SETTINGS, liking=1)
    true, seen, model = lesson_of.film_means(liked, lesson_of.films_lesson(liked)).overall
    assert seen - true > 0.7
    assert true + 0.2 < model < seen - 0.2


def test_profiles_predict_the_blanks_better_than_film_means(lesson):
    error = lesson_of.blank_error(SETTINGS, lesson)
    assert error.profiles < 0.8 * error.film_means


# ---- exercises and links


def test_the_telling_exercise_knows_the_student(lesson):
    best = lesson_of.most_telling(lesson, NOTHING)
    gains = {line.title: line.gain for line in lesson_of.predictions(lesson, NOTHING) if line.can_rate}
    assert best.title == max(gains, key=gains.get)
    assert film_exercises.mark_telling(best.title, lesson, NOTHING).kind == "success"
    other = min(gains, key=gains.get)
    assert "disagree most" in film_exercises.mark_telling(other, lesson, NOTHING).words
    assert film_exercises.mark_telling(None, lesson, NOTHING).words == ""
    assert "Nothing is left" in film_exercises.mark_telling(None, lesson, (3,) * 10).words
    assert lesson_of.still_to_rate((3,) * 9 + (0,)) == ["One long take"]


def test_the_other_exercises_tell_the_slips_apart():
    assert film_exercises.E_STEP_EXERCISE.mark(0.75).kind == "success"
    assert "joint" in film_exercises.E_STEP_EXERCISE.mark(0.3).words
    right, zero, filled = film_exercises.BLANK_ANSWERS
    assert film_exercises.BLANK_EXERCISE.mark(right).kind == "success"
    assert "hated" in film_exercises.BLANK_EXERCISE.mark(zero).words
    assert "pretends" in film_exercises.BLANK_EXERCISE.mark(filled).words


def test_a_link_restores_settings_and_ratings():
    settings, ratings = FilmSettings(3, 1, "k-means++", 12, 0.75, 20), (1, 2, 3, 4, 5, 0, 0, 5, 4, 3)
    text = {name: str(value) for name, value in lesson_of.as_link(settings, ratings).items()}
    read = links.read(text, lesson_of.CONTROLS)
    names = ("k", "prior", "start", "seed", "liking", "share")
    assert FilmSettings(*(read[name] for name in names)) == settings
    assert tuple(read[f"film{place}"] for place in range(10)) == ratings
    assert [lesson_of.ENTRIES[lesson_of.entry(stars)] for stars in ratings] == list(ratings)
    defaults = links.read({}, lesson_of.CONTROLS)
    assert FilmSettings(*(defaults[name] for name in names)) == SETTINGS
    assert links.read({"film0": "99"}, lesson_of.CONTROLS)["film0"] == 5


def test_the_ratings_can_be_taken_home():
    lines = lesson_of.ratings_csv(SETTINGS).splitlines()
    assert len(lines) == 601
    assert lines[0].startswith("Space battle,Car chase")
    assert sum(cell != "" for line in lines[1:] for cell in line.split(",")) == world_of.seen(0, 0.4).sum()


# ---- charts


def table_of(lesson, **options):
    means = lesson_of.profile_means(lesson.trace)
    return profiles(lesson.trace, means, items=world_of.TITLES, words=lesson_of.favourites(means), **options)


def test_the_profile_table_shows_the_half_step(lesson):
    chart = table_of(lesson, half_step=-1)
    spec = chart.to_dict(validate=True)
    assert [param["name"] for param in spec["params"]] == ["half_step"]
    assert "half-steps of EM on 600 rows, 5 components" in spec["description"]
    picture = svg(chart)
    means = lesson_of.profile_means(lesson.trace)[-1]
    assert "NaN" not in picture
    assert "iteration 30, after the M-step" in picture
    assert picture.count(">cinema<") == picture.count(">slow<") == 1, "in two lines"
    assert all(f">{value:.1f}<" in picture for value in means[0])
    other = lesson_of.films_lesson(replace(SETTINGS, seed=0))
    assert live_spec(table_of(other)).shell == live_spec(table_of(lesson)).shell
    with pytest.raises(ValueError, match="means must be"):
        profiles(lesson.trace, means[None], items=world_of.TITLES, words=[])


def test_the_path_has_a_bar_for_every_step_and_profile():
    chart = taste_path(["nothing rated", "A: 5"], np.array([[0.25, 0.75], [0.95, 0.05]]))
    spec = chart.to_dict(validate=True)
    rows = spec["datasets"]["path"]
    assert [(row["left"], row["right"]) for row in rows[:2]] == [(0.0, 0.25), (0.25, 1.0)]
    assert [row["name"] for row in rows] == ["0", "1", "0", ""]
    assert spec["description"].endswith("after each of 1 ratings. Profile 0 ends at 95.0%.")
    assert ">A: 5<" in svg(chart)


def test_forecasts_mark_the_most_telling_of_those_asked():
    columns = {"titles": ["A", "B", "C"], "means": [4.0, 3.0, 2.0], "sds": [1.5, 1.0, 1.5], "gains": [0.3, 0.1, 0.2]}
    spec = forecasts(**columns, asked=[False, True, True]).to_dict(validate=True)
    rows = spec["datasets"]["forecasts"]
    assert [row["best"] for row in rows] == ["", "", "★"]
    assert [(row["low"], row["high"]) for row in rows] == [(2.5, 5.0), (2.0, 4.0), (1.0, 3.5)]
    assert rows[0]["bar"] == 5
    assert "Most telling of those that can be asked: C, 0.200 nats" in spec["description"]
    hidden = forecasts(**columns, asked=[True] * 3, telling=False).to_dict()
    assert {row["bar"] for row in hidden["datasets"]["forecasts"]} == {1}
    assert "telling" not in hidden["description"] + hidden["title"]["text"]
    forecasts([], [], [], [], []).to_dict(validate=True)


def test_item_means_hold_all_three():
    spec = item_means(["A", "B"], [2.0, 3.0], [2.5, 4.0], [2.2, 3.4]).to_dict(validate=True)
    assert [row["mean"] for row in spec["datasets"]["item_means"]] == [2.0, 3.0, 2.5, 4.0, 2.2, 3.4]
    assert "+0.75" in spec["description"]
