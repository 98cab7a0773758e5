"""The lesson on a restricted Q: published figures, closed forms, and what the page says of them."""

import json

import numpy as np
import pytest

import emcore as em
from emcore.charts.contours import kl_directions, posterior_and_q
from emcore.charts.live import live_spec
from emcore.charts.restricted import profile
from emcore.classroom import links
from emcore.classroom.kl_directions import SIGNS, directions, exercises, said
from emcore.classroom.restricted import (
    BILLS,
    CAUSES,
    CONTROLS,
    EXACT,
    FIXED,
    HARD,
    MEAN_FIELD,
    PRESETS,
    ROUGH,
    SUMMIT,
    TEMPERED,
    TOP_TWO,
    TWO,
    RestrictedSettings,
    families,
    family,
    restricted_lesson,
    reveal,
)
from emcore.classroom.two_latents import TwoLatents

ONES = np.array([[1.0], [-1.0]])
SETTINGS = {
    "mean field": RestrictedSettings(),
    "mean field at the summit": RestrictedSettings(start=SUMMIT),
    "two latents, fixed": RestrictedSettings(q=FIXED),
    "two latents, exact": RestrictedSettings(q=EXACT),
    "hard": RestrictedSettings(BILLS, HARD, SUMMIT),
    "sparse": RestrictedSettings(BILLS, TOP_TWO, SUMMIT),
    "tempered": RestrictedSettings(BILLS, TEMPERED, ROUGH),
    "causes": RestrictedSettings(CAUSES, MEAN_FIELD, SUMMIT),
}


@pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
def lesson(request):
    return restricted_lesson(request.param)


# ---- two latents


def test_the_posterior_is_that_of_the_joint_normal():
    model, params = TwoLatents(0.3), TwoLatents().check_params({"loading": 0.8}, ONES)
    joint = np.block([[np.eye(2), np.full((2, 1), 0.8)], [np.full((1, 2), 0.8), np.array([[2 * 0.64 + 0.3]])]])
    q = model.posterior(params, ONES)
    np.testing.assert_allclose(q.means[0], joint[:2, 2] / joint[2, 2])
    covariance = joint[:2, :2] - np.outer(joint[:2, 2], joint[2, :2]) / joint[2, 2]
    np.testing.assert_allclose(q.factors[0] @ q.factors[0].T, covariance)
    assert covariance[0, 1] / covariance[0, 0] == pytest.approx(-model.correlation(params))
    np.testing.assert_allclose(em.elbo(model, params, ONES, q), model.log_likelihood(params, ONES), rtol=1e-12)
    for form in em.elbo_forms(model, params, ONES, model.mean_field(params, ONES, None, 3)):
        np.testing.assert_allclose(form, em.elbo(model, params, ONES, model.mean_field(params, ONES, None, 3)))


def test_mean_field_sweeps_are_coordinate_updates():
    """Each mean set to the best given the other, one at a time."""
    model, params = TwoLatents(0.2), TwoLatents().check_params({"loading": 0.7}, ONES)
    means = np.zeros((2, 2))
    for sweeps in (1, 2, 3):
        for j in (0, 1):
            means[:, j] = 0.7 * (ONES[:, 0] - 0.7 * means[:, 1 - j]) / (0.49 + 0.2)
        q = model.mean_field(params, ONES, None, sweeps)
        np.testing.assert_allclose(q.means, means, rtol=1e-12)
        np.testing.assert_allclose(q.factors[0] @ q.factors[0].T, np.eye(2) * 0.2 / 0.69)
    np.testing.assert_allclose(
        model.mean_field(params, ONES, q, 2).means, model.mean_field(params, ONES, None, 5).means
    )


def test_the_gap_of_mean_field_is_minus_half_log_one_minus_rho_squared():
    for loading in (0.2, 0.671, 2.0):
        model, params = TwoLatents(0.1), TwoLatents().check_params({"loading": loading}, ONES)
        q = model.mean_field(params, ONES, None, 2000)
        gap = -0.5 * np.log(1 - model.correlation(params) ** 2)
        np.testing.assert_allclose(em.kl(q, model.posterior(params, ONES)), gap, rtol=1e-9)


def test_the_published_bias_of_mean_field():
    """Turner & Sahani (2011): data variance 1, noise variance .1. Exact: 2 l² + .1 = 1."""
    lesson = restricted_lesson(RestrictedSettings(start=SUMMIT))
    assert lesson.profile.summit == pytest.approx(np.sqrt(0.45), abs=1e-6)
    assert lesson.profile.summit == pytest.approx(0.671, abs=5e-4)
    assert lesson.profile.end == pytest.approx(0.493, abs=5e-4)
    assert lesson.summit == (pytest.approx(-1.419, abs=5e-4), pytest.approx(-1.972, abs=5e-4))
    assert lesson.end == (pytest.approx(-1.505, abs=5e-4), pytest.approx(-1.853, abs=5e-4))
    loadings = np.linspace(0.3, 0.8, 50_001)  # by direct search over the closed form
    variance, rho = 2 * loadings**2 + 0.1, loadings**2 / (loadings**2 + 0.1)
    bound = -0.5 * (np.log(2 * np.pi * variance) + 1 / variance) + 0.5 * np.log(1 - rho**2)
    assert lesson.profile.end == pytest.approx(loadings[bound.argmax()], abs=1e-4)
    assert lesson.end[1] == pytest.approx(bound.max(), abs=1e-8)


def test_bad_models_and_data_are_named():
    with pytest.raises(ValueError, match="noise_variance"):
        TwoLatents(0.0)
    with pytest.raises(ValueError, match="one column"):
        TwoLatents().check(np.ones((3, 2)))


# ---- the lesson


def test_the_identity_is_rounding_and_the_elbo_of_a_best_q_never_falls(lesson):
    size = abs(lesson.trace[0].elbo)
    assert lesson.worst_identity_error < 1e-11 * max(1.0, size)
    if lesson.settings.q != TEMPERED:
        assert np.diff([half.elbo for half in lesson.trace]).min() > -1e-9 * max(1.0, size)


def test_hard_em_leaves_the_maximum_of_the_likelihood():
    """342 penguins' bill depths, three Gaussians of one variance: the ELBO gains, log p(x) loses."""
    lesson = restricted_lesson(RestrictedSettings(BILLS, HARD, SUMMIT))
    assert lesson.summit == (pytest.approx(-696.322, abs=2e-3), pytest.approx(-772.467, abs=0.02))
    assert lesson.end == (pytest.approx(-705.587, abs=0.02), pytest.approx(-751.121, abs=0.02))
    assert len(lesson.trace.x) == 342
    assert lesson.trace[-1].log_likelihood < lesson.trace[0].log_likelihood - 5
    sparse = restricted_lesson(RestrictedSettings(BILLS, TOP_TWO, SUMMIT))
    assert 0 < sparse.loss < 0.1 * lesson.loss


def test_mean_field_gives_up_a_cause():
    lesson = restricted_lesson(RestrictedSettings(CAUSES, MEAN_FIELD, SUMMIT))
    assert lesson.loss > 5
    assert lesson.end[0] == pytest.approx(lesson.end[1], abs=1e-3), "with one cause left a product is the posterior"
    said = lesson.parameter.replace("-0.000", "0.000")  # which of the two is switched off is a matter of labels
    ways = ("to 0.000, 1.181, 0.000, 0.467", "to 1.181, 0.000, 0.467, 0.000")
    assert any(way in said for way in ways), "one cause adds nothing"


def test_the_profile_is_of_bound_and_likelihood(lesson):
    found = lesson.profile
    assert (found.elbo <= found.log_likelihood + 1e-9).all()
    if lesson.settings.q != FIXED:
        level = np.interp(found.summit, found.grid, found.log_likelihood)
        assert level == pytest.approx(lesson.summit[0], abs=2e-3 * abs(lesson.summit[0]))
        assert found.log_likelihood.max() <= lesson.summit[0] + 1e-6
    if lesson.settings.example == TWO:
        assert len(found.places) == len(lesson.trace)


def test_what_is_said_is_what_was_found():
    lesson = restricted_lesson(RestrictedSettings(start=SUMMIT))
    assert "-1.419" in lesson.message
    assert "-1.853, lowers log p(x) to -1.505" in lesson.message
    assert "from 0.671 to 0.493" in lesson.message
    assert lesson.kind == "warn"
    none = restricted_lesson(RestrictedSettings(q=EXACT))
    assert "no bias" in none.message
    assert none.kind == "success"
    assert all(number in reveal() for number in ("-1.972", "-1.853", "-1.419", "-1.505"))


def test_the_task_is_marked_by_the_run():
    assert restricted_lesson(RestrictedSettings()).has_fallen().kind == "neutral"
    assert restricted_lesson(RestrictedSettings(start=SUMMIT)).has_fallen().kind == "success"
    assert restricted_lesson(RestrictedSettings(BILLS, TEMPERED, SUMMIT)).has_fallen().kind == "warn"
    assert restricted_lesson(RestrictedSettings(q=EXACT, start=SUMMIT)).has_fallen().kind == "neutral"


@pytest.mark.parametrize(
    "settings", [RestrictedSettings("dice"), RestrictedSettings(q="wishful"), RestrictedSettings(noise=-1.0)]
)
def test_bad_settings_come_back_in_words(settings):
    lesson = restricted_lesson(settings)
    assert lesson.kind == "danger"
    assert len(lesson.message) > 20
    assert lesson.has_fallen().words == ""
    with pytest.raises(ValueError, match=r"\w"):
        _ = lesson.trace


def test_families_and_presets():
    assert family(HARD, TWO) == MEAN_FIELD
    assert family(HARD, BILLS) == HARD
    assert MEAN_FIELD not in families(BILLS)
    for preset in PRESETS.values():
        read = links.read({name: str(value) for name, value in preset.items()}, CONTROLS)
        assert {name: read[name] for name in preset} == dict(preset)


# ---- the directions of KL, and the exercises


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8, 0.98])
def test_either_direction_is_best_where_it_is_said_to_be(rho):
    found = directions(rho)
    least = abs(0.5 * np.log(1 - rho**2))
    assert found.narrow_kl[0] == pytest.approx(least, abs=1e-12)
    assert found.wide_kl[1] == pytest.approx(least, abs=1e-12)
    precision = np.linalg.inv(found.covariance)
    for variance in np.geomspace(0.02, 3, 40):  # closed form: Cover & Thomas (2006), ch. 8
        log_ratio = np.log(np.linalg.det(found.covariance)) - 2 * np.log(variance)
        assert 0.5 * (variance * np.trace(precision) - 2 + log_ratio) >= found.narrow_kl[0] - 1e-12
        assert 0.5 * (2 / variance - 2 - log_ratio) >= found.wide_kl[1] - 1e-12
    assert f"{least:.3f}" in said(found)[0]
    with pytest.raises(ValueError, match="between -1 and 1"):
        directions(1.0)


def test_the_exercises_know_their_answers():
    sign, gap = exercises()
    assert sign.mark(SIGNS[0]).kind == "success"
    assert "0.671 to 0.493" in sign.right
    assert sign.mark(SIGNS[2]).kind == "warn"
    assert gap.mark(0.511).kind == "success"
    assert "½" in gap.mark(1.022).words
    assert "squared" in gap.mark(0.805).words
    assert "base 2" in gap.mark(0.737).words
    assert "sign" in gap.mark(-0.511).words
    assert "other direction" in gap.mark(1.267).words


# ---- pictures


def test_pictures_are_valid_and_small(lesson):
    drawn = (
        profile(lesson.trace, **lesson.profile._asdict(), width="container", half_step=3),
        posterior_and_q(lesson.trace, width="container", half_step=3),
    )
    for picture in drawn:
        spec = picture.to_dict(validate=True)
        assert spec["params"][0]["bind"]["max"] == 59
        assert len(json.dumps(spec, allow_nan=False)) < 160_000


def test_another_noise_changes_data_alone():
    one, other = (restricted_lesson(RestrictedSettings(noise=noise)) for noise in (0.1, 0.2))
    pairs = (
        [posterior_and_q(lesson.trace, width="container") for lesson in (one, other)],
        [profile(lesson.trace, **lesson.profile._asdict(), width="container") for lesson in (one, other)],
    )
    for a, b in pairs:
        assert live_spec(a).shell == live_spec(b).shell


def test_the_ellipses_are_at_two_standard_deviations():
    found = directions(0.8)
    picture = kl_directions(found.covariance, found.narrow, found.wide, words=said(found))
    picture.to_dict(validate=True)
    p, narrow, wide = picture.to_dict()["datasets"]["directions"]
    points = np.array([p["z1"], p["z2"]])
    np.testing.assert_allclose((points * np.linalg.solve(found.covariance, points)).sum(axis=0), 4, atol=0.01)
    assert max(narrow["z1"]) == pytest.approx(2 * 0.6, abs=1e-3)
    assert max(wide["z1"]) == pytest.approx(2.0)


def test_only_what_can_be_drawn_is_drawn():
    lesson = restricted_lesson(RestrictedSettings(BILLS, HARD, SUMMIT))
    bars = posterior_and_q(lesson.trace, row=5).to_dict()["datasets"]["bars"]
    posterior = lesson.trace.model.posterior(lesson.trace[0].params, lesson.trace.x).probs[5]
    np.testing.assert_allclose([bar["share"] for bar in bars[:3]], posterior)
    assert sorted(bar["share"] for bar in bars[3:6]) == [0, 0, 1]
    from tests.traces import run

    linkage = run(em.genetics.linkage(), np.array([[125.0, 18.0, 20.0, 34.0]]), 4)
    with pytest.raises(ValueError, match="neither two normal latents nor finite"):
        posterior_and_q(linkage)
