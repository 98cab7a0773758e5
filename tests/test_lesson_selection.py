"""The lesson on the number of components: published answers, copies, folds, own data, exercises and pictures."""

import json
from dataclasses import replace

import altair as alt
import numpy as np
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import emcore as em
from emcore.charts import candidate
from emcore.charts import selection as charts
from emcore.classroom import links, selection_exercises
from emcore.classroom.selection import (
    CONTROLS,
    PRESETS,
    SelectionSettings,
    arrived,
    bootstrap,
    choices,
    fitted,
    held_out,
    numbers,
    run_of,
    with_copies,
)
from emcore.classroom.selection_rows import (
    DATASETS,
    LATENT,
    OWN,
    Rows,
    column_choices,
    models_for,
    own_rows,
    rows_of,
    weight_choices,
)
from emcore.classroom.selection_words import lost, lost_folds, run_numbers, verdict
from emcore.selection import Selection, icl, select
from emcore.uploads import Table, read_table

EVIL = '<img src=x onerror="alert(1)">'
FULL = SelectionSettings()
CARCINOMA = "Carcinoma: seven pathologists"
CLASSES = SelectionSettings(LATENT, 4)


@pytest.fixture(scope="module")
def iris() -> Selection:
    return fitted(rows_of("Iris"), FULL)


def table(text: str) -> Table:
    found = read_table(text.encode())
    assert isinstance(found, Table), found
    return found


# ---- the project's data


def test_iris_is_mclusts_and_the_criteria_disagree(iris):
    """mclust (Scrucca et al. 2016), model VVV: BIC 574.0178 for K = 2 and 580.839 for K = 3, with our sign."""
    assert iris[1].bic == pytest.approx(574.01783, abs=1e-3)
    assert iris[2].bic == pytest.approx(580.83891, abs=1e-3)
    assert choices(iris) == {"log-likelihood": 6, "AIC": 5, "BIC": 2, "ICL": 2}
    assert all(row.icl >= row.bic - 1e-9 for row in iris)
    assert lost(iris) == ""
    assert numbers(iris)["bic"].to_list()[1] == 574.02
    assert "held_out" not in numbers(iris).columns


def test_carcinoma_is_poLCAs():
    """Linzer & Lewis (2011), J. Stat. Software 42(10): log-likelihoods -317.2568 and -293.705, three classes by BIC."""
    assert models_for(CARCINOMA) == (LATENT,)
    found = fitted(rows_of(CARCINOMA), CLASSES)
    assert found[1].log_likelihood == pytest.approx(-317.2568, abs=1e-3)
    assert found[2].log_likelihood == pytest.approx(-293.705, abs=2e-3)
    assert found[2].n_params == 23
    assert found.best("bic").k == 3
    assert found[0].fit.n_rows == 118


@pytest.mark.parametrize(("title", "bic"), [("Old Faithful", 2), ("Galaxies", 3), ("Penguins", 3)])
def test_what_bic_says_of_the_other_data(title, bic):
    rows = rows_of(title)
    assert rows is rows_of(title), "remembered, so that fits of the same rows are"
    found = fitted(rows, replace(FULL, largest=4))
    assert choices(found)["BIC"] == bic
    assert found is fitted(rows, replace(FULL, largest=4))


def test_two_penguins_without_any_measurement_are_left_out():
    rows = rows_of("Penguins")
    assert len(rows.x) == 342
    assert "Left out: 2 rows" in rows.notes[0]


def test_every_control_and_preset_is_sound():
    titles = set(DATASETS) | set(OWN)
    assert set(CONTROLS["data"].options) == titles
    for preset in PRESETS.values():
        read = links.read({key: str(value) for key, value in preset.items()}, CONTROLS)
        assert {key: read[key] for key in preset} == dict(preset), "a link would give something else"
        assert read["model"] in models_for(read["data"])
        assert read["k"] <= read["largest"]


# ---- copies, folds, the bootstrap


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_copies_are_rows_written_out(prior):
    """Criteria with weights are those of the longer table, at the same fit."""
    asked = SelectionSettings("tied", 3, prior)
    rows = rows_of("Iris")
    copied = with_copies(rows, asked, 3)
    long = np.repeat(rows.x, 3, axis=0)
    for row in copied:
        model = row.fit.problem.model
        again = em.fit(model, long, init=row.fit.params, tol=1e-9)
        assert row.log_likelihood == pytest.approx(again.log_likelihood, abs=2e-3)
        assert row.bic == pytest.approx(again.bic(), abs=5e-3)
        assert row.aic == pytest.approx(again.aic(), abs=5e-3)


def test_copies_multiply_the_likelihood_and_change_bics_mind(iris):
    twice = with_copies(rows_of("Iris"), FULL, 2)
    for one, two in zip(iris, twice, strict=True):
        assert two.log_likelihood == pytest.approx(2 * one.log_likelihood, rel=1e-12)
        assert two.bic == pytest.approx(-2 * two.log_likelihood + one.n_params * np.log(300))
        again = em.fit(one.fit.model, rows_of("Iris").x, init=one.fit.params, weight=np.full(150, 2.0), max_iter=1)
        assert two.icl - two.bic == pytest.approx(icl(again) - again.bic(), rel=0.02), "θ is where it was"
    assert [choices(with_copies(rows_of("Iris"), FULL, m))["BIC"] for m in (1, 2, 3, 4)] == [2, 4, 5, 6]
    assert with_copies(rows_of("Iris"), FULL, 1) is iris


def test_a_larger_k_adds_fits_and_leaves_the_others(iris):
    more = fitted(rows_of("Iris"), replace(FULL, largest=7))
    assert [one is two for one, two in zip(iris, more, strict=False)] == [True] * 6
    assert more[6].k == 7


def test_where_a_run_ended_is_one_tight_half_step(iris):
    rows = rows_of("Iris")
    end, run = arrived(rows, FULL, 3), run_of(rows, FULL, 3)
    assert len(end) == 1
    assert end[0].iteration == iris[2].fit.n_iter + 1 == len(run) // 2 + 1
    assert end[0].log_likelihood == pytest.approx(iris[2].log_likelihood)
    assert end[0].kl == 0.0
    assert run[-1].log_likelihood == pytest.approx(iris[2].log_likelihood)
    assert run is run_of(rows_of("Iris"), replace(FULL, largest=4), 3), "remembered"
    assert "trace" not in vars(iris[2].fit), "a long run is not kept with every fit"


def test_there_is_no_end_where_nothing_was_fitted():
    two_rows = Rows(np.array([[1.0], [2.0]]), None, ("a",))
    assert arrived(two_rows, FULL, 3) is None
    for picture in (candidate.components(None, ()), *(candidate.closer_look(None, q, ()) for q in candidate.QUESTIONS)):
        assert "no components" in picture.to_dict()["description"]


@pytest.mark.parametrize("question", candidate.QUESTIONS)
def test_a_closer_look_answers_each_question(question):
    for rows, asked in ((rows_of("Iris"), FULL), (rows_of(CARCINOMA), CLASSES), (rows_of("Galaxies"), FULL)):
        run = run_of(rows, asked, 2)
        picture = candidate.closer_look(run, question, rows.names, width="container")
        assert f"{len(run)} half-steps" in picture.to_dict(validate=True)["description"]
        shown, worst, length = run_numbers(run)
        assert shown[0][0] == f"{run[-1].log_likelihood:,.4f}"
        assert worst < 1e-8
        assert length == len(run)


def test_a_probability_that_underflows_leaves_words():
    """Six classes for 20 patterns: some p reach the smallest numbers there are, and KL(q ‖ posterior) is ∞ for once."""
    rows = rows_of(CARCINOMA)
    run = run_of(rows, SelectionSettings(LATENT, 6), 3)
    broken = replace(run, halves=(*run.halves[:3], run[3]._replace(kl=np.inf, expected_log_joint=-np.inf)))
    assert run_numbers(broken)[1] < 1e-8
    assert "underflows" in candidate.closer_look(broken, "Where is it loose?", rows.names).to_dict()["description"]


def test_icl_is_there_where_cells_are_missing():
    """Brute force over the two components, the missing cell integrated out of each."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 2)) + 4 * (np.arange(40) % 2)[:, None]
    x[::7, 1] = np.nan
    found = fitted(Rows(x, None, ("a", "b")), SelectionSettings("full", 2))
    best = found[1]
    by_hand = 0.0
    for row in x:
        seen = ~np.isnan(row)
        joint = [
            np.log(w) + multivariate_normal.logpdf(row[seen], m[seen], c[np.ix_(seen, seen)])
            for w, m, c in zip(*best.fit.params, strict=True)
        ]
        by_hand += max(joint) - np.logaddexp(*joint)
    assert best.icl == pytest.approx(best.bic - 2 * by_hand, abs=1e-8)
    assert choices(found)["ICL"] == 2
    assert selection_exercises.reading(found)["ICL"].mark(2).kind == "success"


def test_icl_keeps_two_clusters_of_eruptions_when_bic_does_not():
    found = with_copies(rows_of("Old Faithful"), replace(FULL, largest=4), 2)
    assert choices(found)["BIC"] == 4
    assert choices(found)["ICL"] == 2


def test_rows_held_out_are_those_of_select_and_copies_leak():
    rows, asked = rows_of("Iris"), SelectionSettings("tied", 3)
    alone = held_out(rows, asked, 2, seed=3)
    model = em.Mixture(em.Gaussian("tied"), 2)
    expected = select([model], rows.x, criteria=("held_out",), seed=3, restarts=2, tol=1e-5, max_iter=100)[0]
    assert alone == pytest.approx(expected.held_out)
    assert held_out(rows, asked, 2, copies=5, seed=3) > alone
    assert np.isnan(held_out(Rows(rows.x[:3], None, rows.names), asked, 2)), "five folds of three rows"


def test_folds_that_collapse_are_told(iris):
    scores = [held_out(rows_of("Iris"), FULL, row.k) for row in iris]
    assert np.isfinite(scores[:3]).all()
    assert np.argmax(np.nan_to_num(scores, nan=-np.inf)) == 1
    assert "k = 4, 5, 6" in lost_folds(iris, scores)
    assert lost_folds(iris, np.zeros(6)) == ""


def test_the_bootstrap_says_what_it_found():
    test = bootstrap(rows_of("Iris"), SelectionSettings("tied"), 1, 9)
    assert test.p_value == pytest.approx(0.1)
    assert "p = (1 + 0)/(1 + 9) = 0.100" in verdict(test, 1)
    holes = Rows(np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.5]]), None, ("a", "b"))
    assert "missing" in verdict(bootstrap(holes, FULL, 1, 9), 1)
    fractions = Rows(np.arange(6.0)[:, None], np.full(6, 0.5), ("a",))
    assert "whole" in bootstrap(fractions, FULL, 1, 9)


# ---- the student's own data


def test_own_columns_weights_and_holes():
    given_table = table("a,b,w,name\n1,2,1,x\n,,2,y\n3,,1,z\n5,7,0,u\n4,1,2,v\n2,2,3,v\n")
    assert column_choices(given_table) == {"a": 0, "b": 1, "w": 2}
    assert list(weight_choices(given_table).values()) == [None, 0, 1, 2]
    rows = own_rows(given_table, (0, 1, 2), 2)
    np.testing.assert_array_equal(rows.x, [[1, 2], [3, np.nan], [4, 1], [2, 2]])
    np.testing.assert_array_equal(rows.weight, [1, 1, 2, 3])
    assert rows.names == ("a", "b")
    assert "Left out: 2 rows" in rows.notes[0]
    for model in ("full", "tied", "diag", "spherical"):
        found = fitted(rows, SelectionSettings(model, 2, prior=1))
        assert found[0].sound, f"{model} marginalises the missing cell"
        assert found[0].fit.n_rows == 7


@pytest.mark.parametrize(
    ("columns", "weight", "words"),
    [((), None, "at least one"), ((1,), 1, "at least one"), ((0,), 1, "missing or negative"), ((0,), 2, "negative")],
)
def test_wrong_columns_are_refused_in_words(columns, weight, words):
    assert words in own_rows(table("a,b,c\n1,2,-1\n2,,1\n3,5,2\n"), columns, weight)


def test_many_rows_are_sampled_and_many_columns_refused():
    rng = np.random.default_rng(0)
    lines = "\n".join(",".join(f"{value:.3f}" for value in row) for row in rng.normal(size=(1500, 9)))
    big = table(lines)
    rows = own_rows(big, (0, 1), 2)
    assert isinstance(rows, str), "negative weights"
    rows = own_rows(big, (0, 1))
    assert rows.x.shape == (1000, 2)
    assert "1,000 of the 1,500 rows" in rows.notes[0]
    assert "at most 8" in own_rows(big, tuple(range(9)))


@pytest.mark.parametrize(
    ("text", "asked", "words"),
    [
        ("a\n1\n2\n", SelectionSettings(LATENT), ""),
        ("a\n1.5\n2\n", SelectionSettings(LATENT), "cannot be fitted"),
        ("a\n-1\n2\n", SelectionSettings(LATENT), "cannot be fitted"),
        ("a\n1\n1000000\n", SelectionSettings(LATENT), "at most 30 levels"),
        ("a,b\n1,2\n2,4\n3,6\n", FULL, "linearly dependent"),
        ("a,w\n1,0\n1,1\n2,0\n1,2", FULL, "one number only"),
        ("a,b\n1,1\n,0\n0,0\n", replace(FULL, prior=1), "cannot be fitted"),
        ("a,w\n1,0\n2,1\n2,0\n", FULL, "One row"),
    ],
)
def test_rows_that_cannot_be_fitted_say_why(text, asked, words):
    given_table = table(text)
    weighed = "w" in column_choices(given_table)
    columns = tuple(place for name, place in column_choices(given_table).items() if name != "w")
    found = fitted(own_rows(given_table, columns, 1 if weighed else None), asked)
    assert isinstance(found, str) == bool(words)
    assert words in (found if words else "")


NUMBERS = st.one_of(
    st.floats(-1e100, 1e100, allow_nan=False), st.integers(-2, 3).map(float), st.just(float("nan")), st.just(1e-200)
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(1, 3).flatmap(lambda d: st.lists(st.lists(NUMBERS, min_size=d, max_size=d), min_size=1, max_size=12)),
    st.sampled_from(("full", "tied", "diag", "spherical", LATENT)),
    st.sampled_from((0.0, 1.0)),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_rows_raise(cells, model, prior):
    names = [f"c{place}" for place in range(len(cells[0]))]
    given_table = read_table("\n".join([",".join(names), *(",".join(map(repr, row)) for row in cells)]).encode())
    if isinstance(given_table, str):
        return
    rows = own_rows(given_table, given_table.usable)
    found = rows if isinstance(rows, str) else fitted(rows, SelectionSettings(model, 3, prior))
    if isinstance(found, str):
        assert found
        return
    assert not isinstance(with_copies(rows, SelectionSettings(model, 3, prior), 2), str)
    scores = [held_out(rows, SelectionSettings(model, 3, prior), row.k) for row in found]
    assert isinstance(lost_folds(found, scores) + lost(found), str)
    for chart in (charts.criteria(found), charts.behind(found), charts.held_out(found, scores, len(rows.x))):
        json.dumps(chart.to_dict(), allow_nan=False)
    json.dumps(
        candidate.components(arrived(rows, SelectionSettings(model, 3, prior), 1), rows.names).to_dict(),
        allow_nan=False,
    )


def test_a_row_far_out_is_not_drawn_with_billions_of_bins():
    rows = Rows(np.array([[0.0], [1.0], [2.0], [3.0], [1e12]]), None, ("a",))
    picture = candidate.components(arrived(rows, SelectionSettings("full", 1), 1), rows.names)
    assert "too far out" in picture.to_dict()["description"]


# ---- exercises


def test_reading_exercises_know_the_choices(iris):
    asked = selection_exercises.reading(iris)
    assert tuple(asked) == selection_exercises.READ
    assert asked["BIC"].mark(2).kind == "success"
    assert "choice of AIC" in asked["BIC"].mark(5).words
    assert asked["log-likelihood"].mark(6).kind == "success"
    assert "lowest" in asked["log-likelihood"].mark(3).words
    assert selection_exercises.reading("no fit") == {}
    assert "from **759.8** at k = 1 to **253.5** at k = 6" in selection_exercises.after_the_guess(iris)


def test_fixed_exercises_have_the_right_answers():
    copies, parameters, p_value = selection_exercises.fixed()
    assert copies.answer == 4
    assert "not yet for six" in copies.mark(2).words
    assert parameters.answer == 1 + 2 * 4 + 2 * 10
    assert all(exercise.mark(exercise.answer).kind == "success" for exercise in (copies, parameters, p_value))
    assert "is not free" in parameters.mark(30).words
    assert parameters.mark(41).words.count("symmetric") == 1, "2 × 16 covariances"
    assert "count it among" in p_value.mark(0.0).words
    assert p_value.mark(0.053).kind == "warn"


def test_why_icl_is_not_below_bic():
    exercise = selection_exercises.ICL_EXERCISE
    assert [exercise.mark(option).kind for option in selection_exercises.WHY_ICL] == ["warn", "warn", "success", "warn"]
    assert "Nothing is refitted" in exercise.mark(selection_exercises.WHY_ICL[1]).words


# ---- pictures


def svg(chart):
    return vl_convert.vegalite_to_svg(chart.to_json(), vl_version=".".join(alt.SCHEMA_VERSION[1:].split(".")[:2]))


def pictures(found, rows, width=480):
    scores = [np.nan if row.k == 3 else -1.0 / row.k for row in found]
    params = fitted(rows_of(CARCINOMA), CLASSES)[2].fit.params
    return {
        "criteria": charts.criteria(found, width=width),
        "behind": charts.behind(found, width=width),
        "held out": charts.held_out(found, scores, len(rows.x), width=width),
        "bootstrap": charts.bootstrap(12.5, [1.0, 2.0, 2.1, 14.0], width=width),
        "classes": candidate.latent_classes(params.weights, params.probs, tuple("abcdefg"), width=width),
        "components": candidate.components(arrived(rows, FULL, 2), rows.names, width=width),
        "nothing": candidate.nothing("no fit", width=width),
    }


@pytest.mark.parametrize("width", [300, "container"])
def test_pictures_are_valid_and_described(iris, width):
    for name, picture in pictures(iris, rows_of("Iris"), width).items():
        spec = picture.to_dict(validate=True)
        assert spec["description"], name
        assert svg(picture)


def test_pictures_hold_the_numbers_of_the_fits(iris):
    made = pictures(iris, rows_of("Iris"))
    rows = made["criteria"].to_dict()["datasets"]["criteria"]
    assert [row["value"] for row in rows if row["curve"] == "BIC"] == [row.bic for row in iris]
    assert [row["value"] for row in rows if row["curve"] == charts.DEVIANCE] == [
        -2 * row.log_likelihood for row in iris
    ]
    behind = made["behind"].to_dict()["datasets"]["criteria"]
    assert {(row["curve"], row["k"]) for row in behind if row["behind"] == 0} == {
        ("AIC", 5),
        ("BIC", 2),
        ("ICL", 2),
    }
    assert "BIC chooses k = 2" in made["behind"].to_dict()["description"]
    held = made["held out"].to_dict()["datasets"]
    assert [row["k"] for row in held["held_out"] if row["curve"] == "rows held out" and row["value"]] == [1, 2, 4, 5, 6]
    assert held["best"][0]["k"] == 6
    dots = made["bootstrap"].to_dict()["datasets"]["simulated"]
    assert sorted(row["value"] for row in dots) == [1.0, 2.0, 2.1, 14.0]
    assert "1 reach that of the data, 12.5" in made["bootstrap"].to_dict()["description"]
    cells = made["classes"].to_dict()["datasets"]["classes"]
    assert len(cells) == 21
    assert all(0 <= cell["p"] <= 1 for cell in cells)


def test_lines_break_at_unsound_candidates_and_empty_pictures_draw(iris):
    broken = Selection(tuple(replace(row, sound=row.k != 2) for row in iris))
    rows = charts.criteria(broken).to_dict()["datasets"]["criteria"]
    assert {row["k"] for row in rows if row["value"] is None} == {2}, "where the lines break"
    assert "k = 2" in lost(broken)
    for picture in (charts.criteria(()), charts.behind(()), charts.held_out((), (), 1), charts.bootstrap(1.0, [])):
        assert svg(picture)


@pytest.mark.parametrize("name", [EVIL, "a.b", "a[0]", "datum['x']", "\\", '"', "a\tb"])
def test_names_of_columns_are_text_and_never_fields(name):
    codes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [2.0, 1.0], [1.3, 0.4]])
    for asked, x in ((LATENT, codes[:5]), ("full", codes)):
        rows = Rows(x, None, (name, "b"))
        picture = candidate.components(arrived(rows, SelectionSettings(asked, 1), 1), rows.names)
        fields = set(all_fields(picture.to_dict()))
        assert not {field for field in fields if name in field}
        drawn = svg(picture)
        assert "<img" not in drawn


def all_fields(spec):
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key in ("field", "calculate", "expr", "filter", "test") and isinstance(value, str):
                yield value
            elif key != "datasets":
                yield from all_fields(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from all_fields(value)
