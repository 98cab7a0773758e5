"""The lesson on the bound: its curves, forms and exercises, held to the package and to published figures."""

import json

import numpy as np
import pytest

import emcore as em
from emcore.charts.bound import bound_curve, ledger
from emcore.charts.forms import elbo_forms, form_parts, log_ratio
from emcore.charts.live import live_spec
from emcore.classroom import links
from emcore.classroom.bound import (
    ALL_ROWS,
    CHOICES,
    COINS,
    CONTROLS,
    EVEN,
    LEAST_LIKELY,
    LIKELIEST,
    LINKAGE,
    PRESETS,
    BoundSettings,
    bound_lesson,
    downloads,
    exercises,
    reveal,
    row_name,
    row_names,
    row_number,
)
from emcore.classroom.small_examples import coins_example, linkage_example

SETTINGS = {
    "linkage": BoundSettings(),
    "linkage, Q uneven": BoundSettings(theta=0.62, q=LEAST_LIKELY, amount=0.7),
    "coins": BoundSettings(COINS, 0.6),
    "coins, one row": BoundSettings(COINS, 0.6, LIKELIEST, 1.0, 1),
    "coins, every row": BoundSettings(COINS, 0.9, EVEN, 0.5),
}


@pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
def lesson(request):
    return bound_lesson(request.param)


def test_linkage_comes_to_the_published_value():
    """Dempster, Laird & Rubin (1977), section 1: .626821498; the closed form solves 197θ² - 15θ - 68 = 0."""
    exact = (15 + np.sqrt(15**2 + 4 * 197 * 68)) / (2 * 197)
    assert exact == pytest.approx(0.6268215, abs=5e-8)
    assert float(bound_lesson(BoundSettings()).trace[-1].params.theta) == pytest.approx(exact, abs=1e-7)


def test_coins_come_to_the_published_values():
    """Do & Batzoglou (2008) print .71 and .58 after one iteration, .80 and .52 after ten."""
    trace = bound_lesson(BoundSettings(COINS, 0.6)).trace
    np.testing.assert_allclose(trace[1].params.probs.ravel(), [0.71, 0.58], atol=0.005)
    np.testing.assert_allclose(trace[-1].params.probs.ravel(), [0.7968, 0.5196], atol=5e-5)


def test_curves_are_bound_slices(lesson):
    example = coins_example() if lesson.settings.example == COINS else linkage_example()
    for index in (0, 1, 2, 7):
        half, part = lesson.trace[index], lesson.slices[index]
        model, x, _ = example.problem
        expected = em.bound_slice(model, half.params, x, example.along, part.grid, q=half.q)
        np.testing.assert_allclose(part.log_likelihood, expected.log_likelihood, rtol=1e-12)
        np.testing.assert_allclose(part.elbo, expected.elbo, rtol=1e-12)
        assert part.at == expected.at
        assert (part.elbo <= part.log_likelihood + 1e-9).all()


def test_the_bound_touches_where_q_came_from_and_peaks_where_m_goes():
    lesson = bound_lesson(BoundSettings(theta=0.4))
    e, m = lesson.slices[0], lesson.slices[1]
    assert e.grid[np.argmin(e.log_likelihood - e.elbo)] == pytest.approx(0.4, abs=0.01)
    assert e.grid[np.argmax(e.elbo)] == pytest.approx(m.at, abs=0.01)
    assert lesson.trace[0].kl == 0.0


def test_what_opens_is_extra_gain():
    trace = bound_lesson(BoundSettings()).trace
    e, m = trace[0], trace[1]
    gain = m.log_likelihood - e.log_likelihood
    assert gain == pytest.approx((m.elbo - e.elbo) + m.kl, abs=1e-10)
    assert m.kl > 1
    words = bound_lesson(BoundSettings()).message
    for number in (m.elbo - e.elbo, m.kl, gain):
        assert f"{number:.4g}" in words


def test_a_loose_bound_may_lower_the_likelihood_and_the_next_e_step_mends_it():
    lesson = bound_lesson(BoundSettings(theta=0.62, q=LEAST_LIKELY, amount=1.0))
    levels = [half.log_likelihood for half in lesson.trace]
    assert levels[1] < levels[0] - 1
    assert np.diff(levels[1:]).min() > -1e-10
    assert "falls by" in lesson.message
    assert lesson.kind == "warn"
    assert [half.kl == 0 for half in lesson.trace[:5]] == [False, False, True, False, True]


@pytest.mark.parametrize(("q", "pick"), [(LIKELIEST, np.max), (LEAST_LIKELY, np.min)])
def test_a_one_hot_q_has_the_gap_of_its_responsibility(q, pick):
    posterior = bound_lesson(BoundSettings(COINS, 0.6)).trace[0].q.probs[1]
    rows = bound_lesson(BoundSettings(COINS, 0.6, q, 1.0, 1)).trace[0].kl_rows
    assert rows[1] == pytest.approx(-np.log(pick(posterior)), rel=1e-12)
    assert (np.delete(rows, 1) == 0).all()


def test_a_mixed_q_lies_between():
    posterior = bound_lesson(BoundSettings(COINS, 0.6)).trace[0].q.probs
    mixed = bound_lesson(BoundSettings(COINS, 0.6, EVEN, 0.25)).trace[0].q.probs
    np.testing.assert_allclose(mixed, 0.75 * posterior + 0.125)
    shares = bound_lesson(BoundSettings(theta=0.4, amount=1.0)).trace[0].q.shares
    np.testing.assert_allclose(shares, [[0.5, 0.5, 1, 1, 1]])


def test_equal_coins_stay_equal_and_it_is_said():
    lesson = bound_lesson(BoundSettings(COINS, 0.5))
    np.testing.assert_allclose(lesson.trace[-1].params.probs, [[0.66], [0.66]])
    assert "saddle" in lesson.message
    assert lesson.kind == "warn"
    point = em.stationary_point(lesson.trace.model, lesson.trace[-1].params, lesson.trace.x)
    assert point.kind == "saddle"


def test_the_identity_is_rounding(lesson):
    assert lesson.worst_identity_error < 1e-10 * max(1.0, abs(lesson.trace[0].elbo))


def test_the_ratio_is_flat_where_the_bound_is_tight(lesson):
    """Jensen's inequality: the Q-weighted mean of log p(x, z)/Q(z) is the ELBO."""
    ratios = lesson.ratios
    mean = np.nansum(np.where(ratios.q > 0, ratios.q * ratios.log_ratio, 0.0), axis=2)
    np.testing.assert_allclose(ratios.q.sum(axis=2), 1.0)
    if lesson.settings.example == COINS:
        np.testing.assert_allclose(mean.sum(axis=1), [half.elbo for half in lesson.trace], rtol=1e-12)
    else:
        gaps = (ratios.log_evidence - mean)[:, 0]
        np.testing.assert_allclose(125 * gaps, [half.kl for half in lesson.trace], atol=1e-10)
    flat = ratios.log_ratio[2] - ratios.log_evidence[2][:, None]
    np.testing.assert_allclose(flat, 0.0, atol=1e-12)


def test_three_forms_agree(lesson):
    for half in lesson.trace[:4]:
        (joint, entropy), (conditional, rate), (evidence, gap) = form_parts(lesson.trace, half)
        assert joint + entropy == pytest.approx(half.elbo, rel=1e-12)
        assert conditional - rate == pytest.approx(half.elbo, rel=1e-11)
        assert evidence - gap == pytest.approx(half.elbo, rel=1e-11)
        assert min(entropy, rate, gap) >= 0


@pytest.mark.parametrize(
    "settings", [BoundSettings("dice"), BoundSettings(q="wishful", amount=1.0), BoundSettings(theta=2)]
)
def test_bad_settings_come_back_in_words(settings):
    lesson = bound_lesson(settings)
    assert lesson.kind == "danger"
    assert len(lesson.message) > 20
    with pytest.raises(ValueError, match=r"\w"):
        _ = lesson.trace


def test_rows_by_name():
    assert row_names(LINKAGE) == (ALL_ROWS,)
    assert len(row_names(COINS)) == 6
    assert row_number(ALL_ROWS, COINS) == -1
    assert row_number(row_names(COINS)[2], COINS) == 1
    assert row_names(COINS)[2] == "row 1: 9 heads"
    assert row_name(1, COINS) == row_names(COINS)[2]
    assert row_name(-1, COINS) == row_name(4, LINKAGE) == ALL_ROWS
    same = bound_lesson(BoundSettings(row=3, amount=0.5)).trace[0].kl
    assert same == bound_lesson(BoundSettings(amount=0.5)).trace[0].kl


def test_presets_are_what_links_allow():
    for preset in PRESETS.values():
        read = links.read({name: str(value) for name, value in preset.items()}, CONTROLS)
        assert {name: read[name] for name in preset} == dict(preset)
        assert bound_lesson(BoundSettings(**read)).run is not None


# ---- exercises


def test_the_reveal_says_the_numbers_of_the_run():
    trace = bound_lesson(BoundSettings()).trace
    gains = (trace[1].elbo - trace[0].elbo, trace[1].log_likelihood - trace[0].log_likelihood, trace[1].kl)
    assert gains[1] > gains[0]
    assert all(f"{gain:.2f}" in reveal() for gain in gains)


def test_the_exercises_know_their_answers():
    touch, gap, fall = exercises()
    assert touch.mark(0.4).kind == "success"
    trace = bound_lesson(BoundSettings(theta=0.4)).trace
    assert "peak" in touch.mark(float(trace[1].params.theta)).words
    assert "highest" in touch.mark(0.627).words
    assert gap.answer == pytest.approx(0.217, abs=5e-4)
    assert gap.mark(0.217).kind == "success"
    assert "other coin" in gap.mark(1.635).words
    assert "base 2" in gap.mark(0.313).words
    assert "sign" in gap.mark(-0.217).words
    assert "entropy" in gap.mark(0.493).words
    assert fall.mark(CHOICES[0]).kind == "success"
    assert all(fall.mark(choice).kind == "warn" for choice in CHOICES[1:])
    assert trace[2].expected_log_joint < trace[1].expected_log_joint < trace[2].elbo


# ---- pictures


def pictures(lesson, half_step=1):
    shared = {"width": "container", "half_step": half_step}
    ratios = lesson.ratios._asdict()
    return (
        bound_curve(lesson.trace, lesson.slices, theta=lesson.theta, **shared),
        elbo_forms(lesson.trace, **shared),
        log_ratio(lesson.trace, **ratios, **shared),
    )


def test_pictures_are_valid_and_small_and_described(lesson):
    for picture in pictures(lesson):
        spec = picture.to_dict(validate=True)
        assert spec["params"][0]["value"] == 1
        assert spec["params"][0]["bind"]["max"] == len(lesson.trace) - 1
        assert f"{lesson.trace[-1].log_likelihood:,.3f} nats" in spec["description"]
        assert len(json.dumps(spec, allow_nan=False)) < 160_000


def test_another_start_changes_data_alone():
    """So that the picture stays on the page while a slider moves."""
    for example in (LINKAGE, COINS):
        one, other = (pictures(bound_lesson(BoundSettings(example, theta))) for theta in (0.2, 0.3))
        for a, b in zip(one, other, strict=True):
            assert live_spec(a).shell == live_spec(b).shell
            assert live_spec(a).tables != live_spec(b).tables


def test_the_ledger_says_what_a_half_step_did():
    trace = bound_lesson(BoundSettings()).trace
    assert ledger(trace, 0, 0.2) == "at θ = 0.2 the bound touches log p(x)"
    up, opened = trace[1].elbo - trace[0].elbo, trace[1].kl
    assert ledger(trace, 1, 0.5) == f"ELBO +{up:.3g}, gap +{opened:.3g}: log p(x) +{up + opened:.3g}"
    assert ledger(trace, 2, 0.5) == f"gap {opened:.3g} closes: ELBO +{opened:.3g}, log p(x) stays"
    spoilt = bound_lesson(BoundSettings(theta=0.62, q=LEAST_LIKELY, amount=1.0)).trace
    assert "the gap is 180.2 nats" in ledger(spoilt, 0, 0.62)
    assert "log p(x) −8.18" in ledger(spoilt, 1, 0.1)


def test_a_slice_per_half_step_is_asked_for():
    lesson = bound_lesson(BoundSettings())
    with pytest.raises(ValueError, match="16 half-steps, but 3 slices"):
        bound_curve(lesson.trace, lesson.slices[:3])


@pytest.mark.parametrize(("example", "name", "first"), [(LINKAGE, "linkage", "125"), (COINS, "coin_tosses", "5")])
def test_a_teacher_takes_home_the_run_and_its_data(example, name, first):
    lesson = bound_lesson(BoundSettings(example))
    tables = {file: make().splitlines() for make, file, _ in downloads(lesson)}
    assert len(tables["half_steps.csv"]) == 1 + len(lesson.trace)
    assert first in tables[f"{name}.csv"][1].split(",")
