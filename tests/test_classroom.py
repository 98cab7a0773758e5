"""Lessons, exercises and links: what the apps ask of the package."""

from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pytest

from emcore.classroom import links
from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.mixture import (
    BY_HAND,
    CONTROLS,
    EXERCISES,
    PRESETS,
    MixtureSettings,
    mixture_lesson,
    numeric_columns,
    rows_csv,
    seeded_means,
)
from emcore.stopping import Status

FAITHFUL = MixtureSettings("old_faithful", ("eruptions", "waiting"), 3)


def test_a_lesson_is_the_fit_that_the_settings_ask_for():
    lesson = mixture_lesson(replace(FAITHFUL, n_components=2, seed=4, max_iter=300))
    assert lesson.fit.status is Status.CONVERGED
    assert lesson.fit.log_likelihood == pytest.approx(-1130.26396, abs=1e-4)
    assert lesson.worst_identity_error < 1e-9
    assert lesson.kind == "success"


@pytest.mark.parametrize("init", ["k-means++", "random-rows", "random-responsibilities"])
def test_the_handles_are_drawn_where_the_run_starts(init):
    settings = replace(FAITHFUL, init=init, seed=7)
    start = mixture_lesson(settings).trace[0].params
    np.testing.assert_allclose(seeded_means(settings), start.means)


def test_means_placed_by_hand_are_the_means_of_the_start():
    means = ((2.0, 80.0), (4.0, 50.0), (3.0, 60.0))
    start = mixture_lesson(replace(FAITHFUL, init=BY_HAND, means=means)).trace[0].params
    np.testing.assert_array_equal(start.means, means)


def test_bad_settings_come_back_in_words():
    nothing_placed = mixture_lesson(replace(FAITHFUL, init=BY_HAND))
    assert nothing_placed.fit is None
    assert "need as many means" in nothing_placed.message
    assert nothing_placed.kind == "danger"
    assert seeded_means(replace(FAITHFUL, n_components=400)) == ()
    assert "at least as many rows" in mixture_lesson(replace(FAITHFUL, n_components=400)).message


def test_identifiers_are_no_measurements():
    assert "year" not in numeric_columns("penguins")
    assert numeric_columns("iris") == ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def test_an_exercise_is_marked_with_tolerance_and_a_hint_for_the_slip():
    exercise = Exercise(
        "Variance of 1, 2, 3?",
        2 / 3,
        "Divide by n.",
        "Average the squares.",
        0.005,
        [Slip(1.0, "That divides by n - 1.")],
    )
    assert exercise.mark(None).kind == "neutral"
    assert exercise.mark(0.667).kind == "success"
    assert exercise.mark(1.0).words == "Not yet. That divides by n - 1."
    assert exercise.mark(5.0).words == "Not yet. Average the squares."


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), ("99", 8), ("-3", 1), ("2.4", 2), ("nan", 3), ("inf", 3), ("<b>", 3), ("", 3), ("1e999", 3)],
)
def test_a_number_from_a_link_is_clamped(text, expected):
    assert links.read({"k": text}, {"k": links.Number(3, 1, 8)}) == {"k": expected}


def test_a_choice_from_a_link_is_one_of_the_options():
    controls = {"covariance": links.Choice(["full", "tied"]), "hard": links.Flag(), "n": links.Choice([30, 100], 100)}
    assert links.read({}, controls) == {"covariance": "full", "hard": False, "n": 100}
    read = links.read({"covariance": "tied", "hard": "1", "n": "30", "file": "x"}, controls)
    assert read == {"covariance": "tied", "hard": True, "n": 30}
    assert links.read({"covariance": "__import__('os')", "hard": "yes"}, controls)["covariance"] == "full"


def test_a_link_restores_what_it_was_made_from():
    controls = {"k": links.Number(3, 1, 8), "init": links.Choice(["a b", "c&d"])}
    text = links.link({"file": "02.py"}, {"k": 5, "init": "c&d"})
    assert text == "?file=02.py&k=5&init=c%26d"
    assert links.read(dict(parse_qsl(text[1:])), controls) == {"k": 5, "init": "c&d"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.1,55;4,80", ((2.1, 55.0), (4.0, 80.0))),
        ("1,2,3", ()), ("a,b", ()), ("nan,1", ()), ("", ()), (";".join(["1,1"] * 9), ()),
    ],
)  # fmt: skip
def test_points_from_a_link_are_pairs_of_finite_numbers(text, expected):
    assert links.Points().read(text) == expected
    if expected:
        assert links.Points().read(links.Points.write(expected)) == expected


def test_every_slip_has_its_own_hint_and_the_answers_are_those_of_the_package():
    """The numbers in the exercises are one M-step, and the gap of a one-hot Q, as emcore computes them."""
    import emcore as em

    mean, gap = EXERCISES
    x = np.array([[1.0], [2.0], [3.0]])
    params = em.Mixture(em.Gaussian(), 2).params_from_responsibilities(x, np.array([[1, 0], [0.5, 0.5], [0, 1]]))
    assert params.means[0, 0] == pytest.approx(mean.answer)
    assert em.kl([[1.0, 0.0]], [[0.8, 0.2]])[0] == pytest.approx(gap.answer)
    for exercise in EXERCISES:
        assert exercise.mark(exercise.answer).kind == "success"
        for slip in exercise.slips:
            assert exercise.mark(slip.value).words == f"Not yet. {slip.hint}"


def test_presets_are_links_to_settings_that_exist():
    for preset in PRESETS.values():
        text = links.link({}, preset)
        read = links.read(dict(parse_qsl(text[1:])), CONTROLS)
        for name, value in preset.items():
            assert read[name] == value


def test_the_rows_are_downloaded_with_their_responsibilities():
    lines = rows_csv(mixture_lesson(FAITHFUL), FAITHFUL).splitlines()
    assert lines[0] == "eruptions,waiting,responsibility_0,responsibility_1,responsibility_2"
    assert len(lines) == 273
    assert sum(float(value) for value in lines[1].split(",")[2:]) == pytest.approx(1.0)
