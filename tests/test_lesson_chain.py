"""The lesson on hidden Markov models: its runs, filter, paths, exercises, and the charts that it is seen through."""

import json
from dataclasses import replace

import altair as alt
import numpy as np
import pytest
import vl_convert

import emcore as em
from emcore.charts import chain as chain_charts
from emcore.charts import lattice
from emcore.charts.live import live_spec
from emcore.classroom import links
from emcore.classroom.chain import (
    BRUTE_STEPS,
    BY_LEVEL,
    CONTROLS,
    DATASETS,
    EARTHQUAKES,
    LONG,
    PRESETS,
    SIMULATED,
    WAITING,
    ChainSettings,
    as_link,
    chain_lesson,
    filter_forward,
    lengths,
    load_series,
)
from emcore.classroom.chain_exercises import BY_HAND, CHOICES, NUMBERS, joint_by_hand
from emcore.classroom.chain_words import all_paths, downloads, reveal, states_csv, swapped, worth_of_order
from emcore.classroom.paths import agreement, enumerate_paths, path_log_joint, path_table, worst_difference
from tests.traces import geyser

QUAKES = ChainSettings(EARTHQUAKES)
SETTINGS = (
    QUAKES,
    ChainSettings(EARTHQUAKES, 3, stationary=True),
    ChainSettings(LONG, 2, transition_prior=1.0),
    ChainSettings(WAITING, 4, init="random-rows"),
    ChainSettings(SIMULATED, 3, init=BY_LEVEL),
)


# ---- the run


def test_the_earthquakes_end_where_they_are_published_to_end():
    """Zucchini & MacDonald (2009), chapter 3: stationary chains of two and three Poisson states."""
    two = chain_lesson(ChainSettings(EARTHQUAKES, 2, stationary=True, max_iter=100))
    three = chain_lesson(ChainSettings(EARTHQUAKES, 3, stationary=True, max_iter=100))
    assert two.fit.log_likelihood == pytest.approx(-342.3183, abs=5e-4)
    assert three.fit.log_likelihood == pytest.approx(-329.4603, abs=5e-4)
    assert two.kind == "success"


def test_long_eruptions_are_those_of_three_minutes_or_more():
    series = load_series(LONG)
    assert series.x.sum() == 194
    run = chain_lesson(ChainSettings(LONG, 2, stationary=True, max_iter=100))
    assert run.fit.log_likelihood == pytest.approx(-127.31, abs=0.005)  # Zucchini & MacDonald (2009)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_filter_adds_up_to_the_likelihood_and_ends_where_the_smoother_ends(settings):
    lesson = chain_lesson(settings)
    e_halves = [half for half in lesson.trace if half.kind == "E"]
    filtered, totals = filter_forward(lesson.trace.model, lesson.e_steps, lesson.trace.x.x)
    np.testing.assert_allclose(totals, [half.log_likelihood for half in e_halves], rtol=1e-11)
    np.testing.assert_allclose(filtered.sum(axis=2), 1.0, atol=1e-12)
    for place, half in enumerate(e_halves):
        np.testing.assert_allclose(filtered[place, -1], half.q.probs[-1], atol=1e-10)
    assert lesson.worst_identity_error < 1e-9


def test_the_filter_is_the_smoother_of_the_steps_so_far():
    lesson = chain_lesson(QUAKES)
    model, params, x = lesson.trace.model, lesson.e_steps[2], lesson.trace.x.x
    for steps in (1, 2, 30, 77):
        seen = model.posterior(params, x[:steps]).probs[-1]
        np.testing.assert_allclose(lesson.filtered[2, steps - 1], seen, atol=1e-12)


def test_paths_are_the_modes_of_q():
    lesson = chain_lesson(ChainSettings(WAITING, 3))
    for place in (0, 5, -1):
        mode = [half for half in lesson.trace if half.kind == "E"][place].q.mode()
        np.testing.assert_array_equal(lesson.paths[place], mode.probs.argmax(axis=1))


@pytest.mark.parametrize("settings", SETTINGS)
def test_all_iterations_are_decoded_at_once_as_the_model_decodes_each(settings):
    lesson = chain_lesson(settings)
    for path, params in zip(lesson.paths, lesson.e_steps, strict=True):
        model, x = lesson.trace.model, lesson.trace.x
        at = model.start_of(params), params.transitions, model.family.log_prob(params, x.x)
        found, alone = path_log_joint(*at, np.stack([path, model.decode(params, x)]))
        assert found == pytest.approx(alone, rel=1e-12), "of equally probable paths, either"


def test_the_states_that_made_a_series_are_found_again():
    lesson = chain_lesson(ChainSettings(SIMULATED, 3))
    assert (lesson.paths[-1] == lesson.truth).mean() > 0.9
    assert sorted(np.unique(lesson.truth)) == [0, 1, 2]
    assert chain_lesson(ChainSettings(SIMULATED, 2)).truth is None
    assert chain_lesson(QUAKES).truth is None


def test_a_start_by_level_puts_the_states_in_order():
    start = chain_lesson(ChainSettings(EARTHQUAKES, 4, init=BY_LEVEL)).trace[0].params
    assert (np.diff(start.rates.ravel()) > 0).all()


def test_the_first_steps_alone_can_be_asked_for():
    lesson = chain_lesson(replace(QUAKES, length=12))
    assert len(lesson.trace.x.x) == len(lesson.series.times) == 12
    assert lesson.series.times[-1] == 1911


def test_bad_settings_and_collapses_come_back_in_words():
    too_short = chain_lesson(replace(QUAKES, length=4))
    assert too_short.fit is None
    assert "at least 5 steps" in too_short.message
    assert too_short.kind == "danger"
    assert "no series" in chain_lesson(ChainSettings("<b>")).message
    collapsed = chain_lesson(ChainSettings(WAITING, 3, length=BRUTE_STEPS))
    assert collapsed.fit.status is em.Status.DEGENERATE
    assert collapsed.kind == "warn"
    assert "Try fewer" in collapsed.message


def test_order_is_worth_what_shuffling_takes_away():
    """The mixture's -360.3690 is published by Zucchini & MacDonald (2009), the chain's -341.8787 by their chapter 4."""
    worth = worth_of_order()
    assert worth["mixture"] == pytest.approx(-360.3690, abs=5e-4)
    assert worth["mixture, shuffled"] == pytest.approx(worth["mixture"], abs=1e-6)
    assert worth["chain"] == pytest.approx(-341.8787, abs=5e-4)
    assert worth["chain, shuffled"] < worth["chain"] - 10


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_and_links_restore_settings(name):
    read = links.read(PRESETS[name], CONTROLS)
    settings = ChainSettings(
        DATASETS[read["data"]],
        read["k"],
        read["stationary"],
        read["prior"],
        read["start"],
        read["seed"],
        read["length"],
        int(read["iterations"]),
    )
    assert set(PRESETS[name]) <= set(CONTROLS)
    assert chain_lesson(settings).fit is not None
    assert links.read(as_link(settings), CONTROLS) == read


def test_the_csv_holds_the_series_and_its_states():
    lesson = chain_lesson(QUAKES)
    lines = states_csv(lesson).splitlines()
    assert lines[0] == "time,x,path,smoothed_0,smoothed_1"
    assert len(lines) == 108
    assert lines[1].startswith("1900,13.0,")


def test_words_and_tables_hold_the_numbers_of_the_run():
    lesson = chain_lesson(QUAKES)
    assert all(f"**{value:,.2f}**" in reveal() for value in worth_of_order().values())
    rows = swapped(lesson).splitlines()[2:]
    assert [row.split(" | ")[1].rstrip(" |") for row in rows[2:]] == [
        f"{row['log p(x)']:.6f}" for row in lesson.swapped
    ]
    assert swapped(chain_lesson(ChainSettings("no such series"))) == ""
    tables = {name: make() for make, name, _ in downloads(lesson)}
    assert len(tables["half_steps.csv"].splitlines()) == 1 + len(lesson.trace)
    assert tables["states.csv"] == states_csv(lesson)


def test_the_path_is_of_what_the_states_emit():
    emitted = {name: chain_lesson(ChainSettings(name)).emitted for name in DATASETS.values()}
    assert emitted == {EARTHQUAKES: "rates", LONG: "probs", WAITING: "means", SIMULATED: "rates"}


def test_a_link_asks_for_no_more_steps_than_there_are():
    assert lengths("Earthquakes per year").read("300") == 107
    assert lengths("Old Faithful: waiting time").read("1") == BRUTE_STEPS


# ---- all paths


@pytest.mark.parametrize("settings", SETTINGS)
def test_all_paths_agree_with_the_passes(settings):
    lesson = chain_lesson(settings)
    rows = lesson.brute_force
    k = settings.n_states
    assert len(rows) == 2 + BRUTE_STEPS * k + k * k
    assert worst_difference(rows) < 1e-12
    assert f"{k**BRUTE_STEPS:,} paths through" in all_paths(lesson)
    best = [int(state) for state in lesson.brute_paths[0]["path"].split()]
    model, params = lesson.trace.model, lesson.trace[-1].params
    np.testing.assert_array_equal(model.decode(params, lesson.trace.x.x[:BRUTE_STEPS]), best)


def test_an_enumeration_by_hand():
    """Two steps, two states: four products that fit on a napkin."""
    model = em.HMM(em.Bernoulli(), 2)
    moves = np.array([[0.7, 0.3], [0.4, 0.6]])
    params = model.make_params(np.array([0.6, 0.4]), moves, em.Bernoulli().Params(np.array([[0.1], [0.8]])))
    every = enumerate_paths(model, params, np.array([[1.0], [0.0]]))
    joint = [0.6 * 0.1 * 0.7 * 0.9, 0.6 * 0.1 * 0.3 * 0.2, 0.4 * 0.8 * 0.4 * 0.9, 0.4 * 0.8 * 0.6 * 0.2]
    np.testing.assert_allclose(np.exp(every.log_joint), joint, rtol=1e-12)
    np.testing.assert_allclose(every.posterior, np.array(joint) / sum(joint), rtol=1e-12)
    assert every.log_likelihood == pytest.approx(np.log(sum(joint)), rel=1e-12)
    assert [row["path"] for row in path_table(every, most=2)] == ["1 0", "1 1"]
    assert worst_difference(agreement(model, params, np.array([[1.0], [0.0]]))) < 1e-14


def test_too_many_paths_are_refused_in_words():
    lesson = chain_lesson(QUAKES)
    with pytest.raises(ValueError, match="32,768 paths"):
        enumerate_paths(lesson.trace.model, lesson.trace[0].params, lesson.trace.x.x[:15])


def test_swapping_all_labels_changes_nothing_and_half_of_them_much():
    as_they_are, all_swapped, half_swapped = (row["log p(x)"] for row in chain_lesson(QUAKES).swapped)
    assert all_swapped == pytest.approx(as_they_are, rel=1e-12)
    assert half_swapped < as_they_are - 5


# ---- exercises


def test_the_joint_by_hand_is_the_product_of_six_factors():
    assert BY_HAND.path == BY_HAND.x == (1, 1, 0)
    assert joint_by_hand() == pytest.approx(0.4 * 0.8 * 0.6 * 0.8 * 0.4 * 0.9, rel=1e-12)
    assert "0.4·0.8 · 0.6·0.8 · 0.4·0.9 = 0.055296" in NUMBERS[1].right


@pytest.mark.parametrize(
    ("number", "given", "words"),
    [
        (0, 32, "Right"),
        (0, 10, "cells of the lattice"),
        (0, 25, "The other way round"),
        (0, 16, "first state is chosen"),
        (0, 7, "multiply"),
        (1, 0.0553, "Right"),
        (1, 0.4 * 0.8 * 0.6 * 0.8 * 0.4 * 0.9, "Right"),
        (1, 0.8 * 0.6 * 0.8 * 0.4 * 0.9, "forgot the start"),
        (1, 0.8 * 0.8 * 0.9, "emissions only"),
        (1, 0.4 * 0.6 * 0.4, "the chain alone"),
        (1, 0.4 * 0.8 * 0.6 * 0.8 * 0.3 * 0.9, "Rows are where"),
        (1, 0.4 * 0.8 * 0.6 * 0.8 * 0.4 * 0.1, "The last x is 0"),
        (1, -2.895, "logarithm"),
        (1, 0.3, "six factors"),
    ],
)
def test_numbers_are_marked_and_slips_are_named(number, given, words):
    verdict = NUMBERS[number].mark(given)
    assert words in verdict.words
    assert verdict.kind == ("success" if words == "Right" else "warn")


def test_every_option_of_a_choice_is_right_or_has_its_hint():
    for exercise, options in CHOICES:
        kinds = [exercise.mark(option).kind for option in options]
        assert sorted(kinds) == ["success", "warn", "warn"]
        assert all(exercise.hint not in exercise.mark(option).words for option in options)


# ---- charts


def drawn(lesson, **options):
    times, names = lesson.series.times, lesson.series.names
    return {
        "series": lattice.series(lesson.trace, times, names=names, **options),
        "lattice": lattice.lattice(lesson.trace, lesson.filtered, times, time_title=names[0], **options),
        "transitions": chain_charts.transitions(lesson.trace, **options),
        "decoding": chain_charts.decoding(lesson.trace, lesson.paths, times, truth=lesson.truth, **options),
    }


def svg(chart):
    return vl_convert.vegalite_to_svg(chart.to_json(), vl_version=".".join(alt.SCHEMA_VERSION[1:].split(".")[:2]))


@pytest.mark.parametrize("settings", SETTINGS)
def test_charts_are_valid_described_and_fit_their_container(settings):
    lesson = chain_lesson(settings)
    for chart in drawn(lesson, width="container").values():
        spec = chart.to_dict(validate=True)
        assert spec["width"] == "container"
        assert f"{len(lesson.trace)} half-steps of EM on {len(lesson.trace.x.x)} rows" in spec["description"]
        assert [param["name"] for param in spec["params"]] == ["half_step"]
        assert len(chart.to_json()) < 800_000


@pytest.mark.parametrize("half_step", [4, -1])
def test_charts_render_and_say_where_they_stand(half_step):
    lesson = chain_lesson(QUAKES)
    half = lesson.trace[half_step]
    for chart in drawn(lesson, half_step=half_step).values():
        picture = svg(chart)
        assert f"iteration {half.iteration}, after the {half.kind}-step" in picture
        assert "NaN" not in picture
        assert "undefined" not in picture


def test_another_run_of_as_many_states_swaps_tables_alone():
    one, other = (drawn(chain_lesson(replace(QUAKES, seed=seed))) for seed in (1, 2))
    more = drawn(chain_lesson(replace(QUAKES, n_states=4)))
    for name in one:
        shells = [live_spec(made[name]).shell for made in (one, other, more)]
        assert shells[0] == shells[1] == shells[2]


def test_the_lattice_holds_filter_and_q_of_the_same_step():
    lesson = chain_lesson(QUAKES)
    tables = drawn(lesson)["lattice"].to_dict()["datasets"]
    for half_step in (2, 3):  # the E-step of iteration 2, and the M-step that holds its q
        forward = np.array(tables["filtered"][half_step]["p"]).reshape(-1, 2)
        smoothed = np.array(tables["q"][half_step]["q"]).reshape(-1, 2)
        np.testing.assert_allclose(forward / 1000, lesson.filtered[1], atol=6e-4)
        np.testing.assert_allclose(smoothed / 1000, lesson.trace[half_step].q.probs, atol=6e-4)
    assert [row["t"] for row in tables["steps"]] == list(range(1900, 2007))


def test_transitions_show_every_number_of_the_half_step():
    lesson = chain_lesson(ChainSettings(EARTHQUAKES, 3, stationary=True))
    chart = drawn(lesson, half_step=1)["transitions"]
    moves = [row for row in chart.to_dict()["datasets"]["moves"] if row["half_step"] == 1]
    params = lesson.trace[1].params
    assert {(row["from"], row["to"]): row["p"] for row in moves} == {
        **{(-1, j): params.start[j] for j in range(3)},
        **{(i, j): params.transitions[i, j] for i in range(3) for j in range(3)},
    }
    picture = svg(chart)
    for value in params.transitions.ravel():
        assert f"{value:.3f}" in picture


def test_rings_stand_where_path_and_marginals_differ():
    lesson = chain_lesson(ChainSettings(WAITING, 5))
    likeliest = lesson.trace[-1].q.probs.argmax(axis=1)
    differ = int((lesson.paths[-1] != likeliest).sum())
    assert differ > 0
    chart = drawn(lesson, half_step=-1)["decoding"]
    assert f"differ at {differ} of 299 steps" in chart.to_dict()["description"]
    assert svg(chart).count('stroke="#CC79A7"') == differ


def test_levels_are_the_states_means():
    lesson = chain_lesson(QUAKES)
    tables = drawn(lesson)["series"].to_dict()["datasets"]
    np.testing.assert_allclose(tables["level_lists"][3]["means"], lesson.trace[3].params.rates.ravel())
    assert "<" not in json.dumps(tables)


def test_charts_refuse_what_does_not_fit():
    lesson = chain_lesson(QUAKES)
    with pytest.raises(ValueError, match="106 times for 107 steps"):
        lattice.series(lesson.trace, lesson.series.times[1:])
    with pytest.raises(ValueError, match=r"\(iterations, t, k\) = \(30, 107, 2\)"):
        lattice.lattice(lesson.trace, lesson.filtered[:-1], lesson.series.times)
    with pytest.raises(ValueError, match=r"\(iterations, t\) = \(30, 107\)"):
        chain_charts.decoding(lesson.trace, lesson.paths[:, 1:], lesson.series.times)
    with pytest.raises(ValueError, match="one column of x"):
        lattice.series(geyser(k=2, n_halves=4), np.arange(272))
    with pytest.raises(ValueError, match="no start and transitions"):
        chain_charts.transitions(geyser(k=2, n_halves=4))
