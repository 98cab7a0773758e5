"""The digits lesson: runs, agreement with the labels, exercises, and the charts that show them."""

import json
from dataclasses import replace

import altair as alt
import numpy as np
import pytest
import vl_convert

from emcore.charts.confusion import confusion, starts
from emcore.charts.images import loadings, prototypes
from emcore.charts.live import live_spec
from emcore.classroom import digits as lesson_of
from emcore.classroom import digits_exercises as exercises
from emcore.classroom import digits_factors as factors_of
from emcore.classroom import links
from emcore.classroom.digits import DigitsSettings
from emcore.stopping import Status

SETTINGS = DigitsSettings()


@pytest.fixture(scope="module")
def lesson():
    return lesson_of.digits_lesson(SETTINGS)


@pytest.fixture(scope="module")
def agreed():
    return lesson_of.agreement(SETTINGS)


def svg(chart):
    return vl_convert.vegalite_to_svg(chart.to_json(), vl_version=".".join(alt.SCHEMA_VERSION[1:].split(".")[:2]))


# ---- the run


def test_pixels_are_inked_from_the_threshold_on():
    light, dark = lesson_of.images(1), lesson_of.images(16)
    assert light.shape == (1797, 64)
    assert set(np.unique(light)) == {0.0, 1.0}
    assert (dark <= light).all()
    assert light.sum() > dark.sum() > 0
    assert not light[:, 0].any(), "the corner is blank in every image: the blot relies on it"


def test_the_lesson_climbs_its_objective_and_keeps_the_identity(lesson):
    objective = np.array([half.objective for half in lesson.trace])
    assert (np.diff(objective) >= -1e-9 * np.abs(objective[1:])).all()
    assert lesson.worst_identity_error < 1e-8


def test_the_prior_moves_every_probability_as_pseudo_images_do(lesson):
    """Recomputed from the last responsibilities: (inked + a) / (held + 2a)."""
    half, x = lesson.trace[-1], lesson_of.images(8)
    inked, held = half.q.probs.T @ x, half.q.probs.sum(axis=0)
    np.testing.assert_allclose(half.params.probs, (inked + 1) / (held + 2)[:, None], rtol=1e-12)


def test_without_a_prior_pixels_without_ink_are_given_up_and_a_blot_costs_the_floor():
    settings = replace(SETTINGS, prior=0)
    bare = lesson_of.digits_lesson(settings)
    assert bare.fit.params.probs[:, 0].max() <= 1e-12
    assert lesson_of.blot(bare, settings) == pytest.approx(np.log(1e-12), abs=1e-6)


def test_with_the_prior_a_blot_costs_the_log_odds_of_the_pseudo_image(lesson):
    held = lesson.trace[-1].q.probs.sum(axis=0)
    cause = lesson.fit.predict(lesson_of.images(8)[:1])[0]
    # The image is sure of its cause, so the odds of that one pixel are all that changes: 1 to held + 1.
    assert lesson_of.blot(lesson, SETTINGS) == pytest.approx(-np.log(held[cause] + 1), abs=1e-3)


def test_a_prior_that_outweighs_the_images_empties_a_cause_and_says_so():
    crushed = lesson_of.digits_lesson(replace(SETTINGS, prior=10))
    assert crushed.fit.status is Status.DEGENERATE
    assert crushed.kind == "warn"
    assert "component" in crushed.message


def test_bad_settings_come_back_in_words():
    assert "prior must be" in lesson_of.digits_lesson(replace(SETTINGS, prior=-1)).trouble
    assert lesson_of.many_starts(replace(SETTINGS, prior=-1)) == ()


# ---- against the labels


def test_the_pairing_is_the_best_of_all():
    from itertools import permutations

    counts = np.random.default_rng(3).integers(0, 50, size=(5, 10))
    matched = lesson_of.pairing(counts)
    best = max(sum(counts[c, d] for c, d in enumerate(choice)) for choice in permutations(range(10), 5))
    assert sum(counts[c, d] for c, d in enumerate(matched)) == best
    assert len(set(matched)) == 5


def test_more_causes_than_digits_leave_some_unpaired():
    counts = np.random.default_rng(0).integers(1, 50, size=(14, 10))
    matched = lesson_of.pairing(counts)
    assert sorted(matched) == [-1] * 4 + list(range(10))


def test_agreement_is_counted_image_by_image(lesson, agreed):
    claimed = lesson.trace[-1].q.probs.argmax(axis=1)
    digits = lesson_of.labels()
    assert agreed.counts[-1].sum() == 1797
    assert agreed.counts[-1][3, 2] == ((claimed == 3) & (digits == 2)).sum()
    assert agreed.accuracy[-1] == pytest.approx((agreed.matched[-1][claimed] == digits).mean())
    commonest = agreed.counts[-1].argmax(axis=1)
    assert agreed.purity[-1] == pytest.approx((commonest[claimed] == digits).mean())
    assert (agreed.purity >= agreed.accuracy).all()


def test_causes_are_styles_not_classes(agreed):
    """What the app says: far from chance, far from the classes, and 3 and 9 share a prototype."""
    assert 0.6 < agreed.accuracy[-1] < 0.85
    assert exercises.merged(agreed.counts[-1]) == (3, 9)
    assert 3 in exercises.split(agreed.counts[-1])


@pytest.mark.parametrize("init", lesson_of.CONTROLS["start"].options)
def test_the_likeliest_start_does_not_agree_best_with_the_labels(init):
    found = lesson_of.many_starts(replace(SETTINGS, init=init))
    assert len(found) == lesson_of.N_STARTS
    likeliest = max(found, key=lambda start: start.log_likelihood)
    assert max(start.accuracy for start in found) > likeliest.accuracy + 0.01


def test_the_first_of_the_twelve_starts_is_the_run_on_the_screen(agreed):
    """Both draw the first stream of the seed; the starts go on for ten more iterations."""
    first = lesson_of.many_starts(SETTINGS)[0]
    assert first.accuracy == pytest.approx(agreed.accuracy[-1], abs=0.02)


# ---- factors


@pytest.mark.parametrize("name", factors_of.FACTOR_MODELS)
def test_factor_models_are_fitted_to_the_pixels_that_vary(name):
    lesson = factors_of.factor_lesson(name, 3)
    assert lesson.trace[-1].params.loadings.shape == (61, 3)
    assert lesson.worst_identity_error < 1e-6
    row = factors_of.factor_row(name, 3)
    assert row.log_likelihood_per_row == pytest.approx(lesson.fit.log_likelihood / 1797, abs=0.006)


def test_the_comparison_is_between_densities_of_the_same_pixels():
    mixture = factors_of.round_mixture(4)
    assert mixture.free_parameters == 3 + 4 * 61 + 4
    assert -400 < mixture.log_likelihood_per_row < -100


# ---- exercises and links


def test_the_merge_exercise_knows_its_run():
    counts = np.diag(np.full(10, 50))
    counts[4] = 0
    counts[7, 4] = 45
    assert exercises.merged(counts) == (4, 7)
    exercise = exercises.merge(counts)
    assert exercise.mark("4 and 7").kind == "success"
    assert "at least 45 images" in exercise.mark("4 and 7").words
    assert exercise.mark("3 and 9").kind == "warn"
    assert exercise.mark(None).kind == "neutral"
    assert exercise.answer in exercises.pairs()
    assert len(exercises.pairs()) == 45


def test_any_digit_that_is_split_is_a_right_answer():
    counts = np.diag(np.full(10, 50))
    assert exercises.mark_split("1", counts).kind == "neutral"
    counts[2, 6] = counts[3, 8] = 30
    assert exercises.split(counts) == (6, 8)
    assert [exercises.mark_split(given, counts).kind for given in ("6", "8", "1", None)] == [
        "success",
        "success",
        "warn",
        "neutral",
    ]


def test_the_prior_exercise_tells_the_slips_apart():
    exercise = exercises.PRIOR
    assert exercise.mark(0.05).kind == "success"
    assert "log 0" in exercise.mark(0).words
    assert "denominator" in exercise.mark(0.0556).words
    assert "two pseudo-images" in exercise.mark(0.0526).words


def test_a_link_restores_the_settings():
    settings = DigitsSettings(7, 0.5, "k-means++", 12, 5)
    read = links.read({name: str(value) for name, value in lesson_of.as_link(settings).items()}, lesson_of.CONTROLS)
    assert DigitsSettings(read["k"], read["prior"], read["start"], read["seed"], read["threshold"]) == settings
    defaults = links.read({}, lesson_of.CONTROLS)
    assert DigitsSettings(*(defaults[name] for name in ("k", "prior", "start", "seed", "threshold"))) == SETTINGS


# ---- charts


def charts_of(lesson, agreed):
    factors = factors_of.factor_lesson("PPCA", 3).trace
    return {
        "prototypes": prototypes(lesson.trace, half_step=-1),
        "named": prototypes(lesson.trace, labels=lesson_of.labels(), half_step=-1),
        "confusion": confusion(lesson.trace, agreed.counts, agreed.matched, labels=range(10), half_step=-1),
        "loadings": loadings(factors, pixels=factors_of.inked_pixels(), half_step=-1),
    }


@pytest.mark.parametrize("name", ["prototypes", "named", "confusion", "loadings"])
def test_charts_are_valid_described_and_scrubbed(name, lesson, agreed):
    chart = charts_of(lesson, agreed)[name]
    spec = chart.to_dict(validate=True)
    assert [param["name"] for param in spec["params"]] == ["half_step"]
    assert "half-steps of EM on 1797 rows" in spec["description"]
    picture = svg(chart)
    assert "after the M-step" in picture
    assert "NaN" not in picture
    assert "undefined" not in picture


def test_a_prototype_is_drawn_in_its_own_ink(lesson):
    chart = prototypes(lesson.trace, half_step=-1)
    (table,) = [row for row in chart.to_dict()["datasets"]["ink"] if row["half_step"] == 59]
    levels = np.frombuffer(bytes.fromhex(table["ink"]), dtype=np.uint8).reshape(10, 64)
    np.testing.assert_allclose(levels / 255, lesson.trace[-1].params.probs, atol=0.5 / 255)
    assert svg(chart).count("P(ink)") == 640


def test_names_and_counts_stand_under_the_images(lesson, agreed):
    picture = svg(prototypes(lesson.trace, labels=lesson_of.labels(), half_step=-1))
    held = lesson.trace[-1].q.probs.sum(axis=0)
    assert all(f"{c}: {n:,.0f} rows" in picture for c, n in enumerate(held))
    assert f"mostly {agreed.counts[-1][5].argmax()}" in picture


def test_pixels_that_were_left_out_are_white(lesson):
    lesson = factors_of.factor_lesson("PPCA", 3)
    table = loadings(lesson.trace, pixels=factors_of.inked_pixels()).to_dict()["datasets"]["ink"][-1]
    levels = np.frombuffer(bytes.fromhex(table["ink"]), dtype=np.uint8).reshape(3, 64)
    assert set(levels[:, 0]) == {128}
    largest = np.unravel_index(np.abs(levels.astype(int) - 128).argmax(), levels.shape)
    values = lesson.trace[-1].params.loadings.T
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    assert (largest[0], largest[1]) == (place[0], factors_of.inked_pixels()[place[1]])


def test_confusion_holds_the_counts_and_refuses_other_shapes(lesson, agreed):
    made = confusion(lesson.trace, agreed.counts, agreed.matched, labels=range(10), half_step=-1)
    last = made.to_dict()["datasets"]["counts"][-1]
    assert last["counts"] == agreed.counts[-1].ravel().tolist()
    assert last["totals"] == np.bincount(lesson_of.labels()).tolist()
    assert f"{agreed.accuracy[-1]:.1%}" in made.to_dict()["description"]
    with pytest.raises(ValueError, match="counts must be"):
        confusion(lesson.trace, agreed.counts[:5], agreed.matched, labels=range(10))


def test_another_run_with_as_many_causes_changes_data_alone(lesson):
    other = lesson_of.digits_lesson(replace(SETTINGS, seed=1)).trace
    assert live_spec(prototypes(lesson.trace)).shell == live_spec(prototypes(other)).shell


def test_starts_marks_the_likeliest_and_the_closest():
    made = starts([-10.0, -8.0, -9.0], [0.5, 0.6, 0.9])
    spec = made.to_dict(validate=True)
    assert [row["best"] for row in spec["datasets"]["starts"]] == [
        "",
        "highest likelihood",
        "agrees best with the labels",
    ]
    assert "agrees with 60.0% of the labels; the best agreement is 90.0%" in spec["description"]
    both = starts([-10.0, -8.0], [0.5, 0.6]).to_dict()["datasets"]["starts"]
    assert both[1]["best"] == "both"
    assert "highest likelihood" in svg(made)


def test_images_refuse_a_side_that_does_not_fit(lesson):
    with pytest.raises(ValueError, match="do not make rows of 7"):
        prototypes(lesson.trace, side=7)


def test_charts_stay_small(lesson, agreed):
    assert all(len(json.dumps(chart.to_dict())) < 400_000 for chart in charts_of(lesson, agreed).values())


def test_the_answer_to_the_prediction_has_the_numbers_of_the_run(agreed):
    words = lesson_of.reveal(agreed)
    assert f"**{agreed.accuracy[-1]:.1%}** of the images" in words
    assert "the same" in words, "in this run every digit is the commonest of one cause"
    assert "10 of the ten digits" in words
    other = lesson_of.agreement(replace(SETTINGS, n_components=20))
    assert other.purity[-1] > other.accuracy[-1]
    assert f"right on **{other.purity[-1]:.1%}**" in lesson_of.reveal(other)
    assert f"In this run {len({c.argmax() for c in other.counts[-1]})} of" in lesson_of.reveal(other)


def test_a_teacher_takes_home_the_run_and_the_images():
    tables = {name: make() for make, name, _ in lesson_of.downloads(SETTINGS)}
    halves, rows = (tables[name].splitlines() for name in ("half_steps.csv", "images.csv"))
    assert len(halves) == 1 + 60
    assert len(rows) == 1 + 1797
    named = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    probs = lesson_of.digits_lesson(SETTINGS).trace[-1].q.probs[0]
    assert int(named["digit"]) == lesson_of.labels()[0]
    assert int(named["cause"]) == probs.argmax()
    assert [int(named[f"pixel_{j}"]) for j in range(64)] == lesson_of.images(8)[0].astype(int).tolist()


def test_the_comparison_says_what_it_compares():
    words = factors_of.compared("PPCA", 3, 4)
    assert "PPCA, 3 factors" in words
    assert "4 round Gaussian clusters" in words
    assert "61 pixels" in words


def test_answers_are_marked_in_their_order(agreed):
    verdicts = exercises.marked(("3 and 9", "3", 0.05), agreed.counts[-1])
    assert [verdict.kind for verdict in verdicts] == ["success"] * 3
    assert [verdict.words for verdict in exercises.marked((None, None, None), agreed.counts[-1])] == [""] * 3
