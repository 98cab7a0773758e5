"""“The code that does this” of apps 5, 6 and 7, run on its own, makes the runs that the lesson shows."""

import ast
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from emcore.classroom import film_script, film_world, films, selection, selection_script, speed, speed_script
from emcore.classroom.selection_rows import LATENT, OWN_FILE, own_rows, rows_of
from emcore.trees import to_vector
from emcore.uploads import read_table
from tests.test_scripts import assert_same_run, ran

CARCINOMA = "Carcinoma: seven pathologists"
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


ALL = selection.SelectionSettings(largest=4)
SELECTIONS = [
    ("Iris", ALL, {"k": 3}),
    ("Iris", replace(ALL, prior=3, model="tied"), {"k": 2, "copies": 5}),
    ("Penguins", replace(ALL, model="diag"), {"k": 4, "copies": 10, "split": 3}),
    ("Old Faithful", replace(ALL, largest=3, model="spherical"), {"k": 1, "split": 0, "samples": 9}),
    ("Galaxies", replace(ALL, largest=8), {"k": 8}),
    (CARCINOMA, selection.SelectionSettings(LATENT, 3), {"k": 3, "copies": 2, "split": 9999}),
    (CARCINOMA, selection.SelectionSettings(LATENT, 2, 0.3), {"k": 2, "copies": 3}),
]


def criteria(row):
    numbers = (-2 * row.log_likelihood, row.aic, row.bic, row.icl)
    return "-2 log p(x) {:.2f}, AIC {:.2f}, BIC {:.2f}, ICL {:.2f}".format(*numbers)


def assert_same_fits(found, rows, asked, k, copies=1, split=None, samples=None):
    """What is on screen is what the script has made and printed."""
    shown = selection.with_copies(rows, asked, copies)
    assert not isinstance(shown, str), shown
    np.testing.assert_array_equal(found["x"], rows.x)
    assert_same_run(found["fit"].trace, selection.run_of(rows, asked, k))
    for row in shown:
        assert not row.sound or f"k = {row.k}: {criteria(row)}  {row.status}\n" in found["said"]
    if split is not None:
        scores = [selection.held_out(rows, asked, row.k, copies, split) for row in shown]
        np.testing.assert_array_equal([row.held_out for row in found["held"]], scores)
    if samples is not None:
        test = selection.bootstrap(rows, asked, k, samples)
        assert (found["test"].statistic, found["test"].p_value) == (test.statistic, test.p_value)


@pytest.mark.parametrize(("title", "asked", "view"), SELECTIONS)
def test_a_selection_script_makes_the_fits_the_run_and_the_folds(title, asked, view):
    rows, read = rows_of(title), selection_script.data(title, "", (), None)
    assert_same_fits(ran(selection_script.script(rows, asked, read, **view)), rows, asked, **view)


HOSTILE = ['"); import os; ("', "`rm`", "<img src=x onerror=alert(1)>", "$x$", "two\nlines", "^.*$", "*", "{k}", "'\\"]


@pytest.mark.parametrize("weight", [None, 0])
def test_names_of_a_students_columns_are_strings_in_a_script(monkeypatch, weight):
    """Whatever they hold: the script reads the columns that have them and makes the run; its code has no other name."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, (1200, len(HOSTILE))) + rng.normal(0, 0.1, (1200, len(HOSTILE)))
    cells[:, 0] = rng.integers(0, 3, 1200)  # weights, 0 too
    frame = pl.DataFrame(dict(zip(HOSTILE, cells.T, strict=True)))
    frame = frame.with_columns(pl.when(pl.int_range(1200) % 7 > 0).then(pl.col(HOSTILE[1])).alias(HOSTILE[1]))
    table = read_table(frame.write_csv().encode())
    columns = tuple(range(0 if weight is None else 1, 7))
    rows, asked = own_rows(table, columns, weight), replace(ALL, largest=2)
    names = [column.name for column in table.columns]  # as HOSTILE, made printable
    text = selection_script.script(rows, asked, selection_script.data(OWN_FILE, table, columns, weight), k=2)
    nodes = list(ast.walk(ast.parse(text)))
    assert set(names[:7]) <= {node.value for node in nodes if isinstance(node, ast.Constant)}
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert modules == ["emcore", "numpy", "polars"]
    # polars' own reader leaves quotation marks in a name doubled, so that it is not asked here.
    frame = frame.rename(dict(zip(HOSTILE, names, strict=True)))
    monkeypatch.setattr(pl, "read_csv", lambda *_, **__: frame)
    assert_same_fits(ran(text), rows, asked, k=2)


@pytest.mark.parametrize(("title", "asked", "view"), SELECTIONS)
def test_a_selection_script_is_short(title, asked, view):
    read = selection_script.data(title, "", (), None)
    lines = selection_script.script(rows_of(title), asked, read, **view).splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 120


RACES = [
    (speed.NOTICES, 0.5),
    (speed.LINKAGE, 0.5),
    (speed.ABO, 0.5),
    (speed.CENSORED, 0.9),
    (speed.CENSORED, 0.1),
    (speed.NORMALS, 1.5),
    (speed.NORMALS, 5.0),
]


@pytest.mark.parametrize(("name", "level"), RACES)
def test_a_race_script_finds_the_limit_the_rate_and_the_errors(name, level):
    race, found = speed.race(name, level), ran(speed_script.script(name, level))
    np.testing.assert_array_equal(to_vector(found["fit"].params), race.limit)
    assert found["fit"].log_likelihood == race.log_likelihood
    np.testing.assert_array_equal(found["found"].fractions, race.rate.fractions)
    np.testing.assert_array_equal(to_vector(found["errors"]), race.standard_errors)
    ends = [line for line in found["said"].splitlines() if "passes over the data" in line]
    assert len(ends) == len(race.runs)
    assert f"{found['run'].restarts[0].n_evaluations} passes" in ends[-1]
