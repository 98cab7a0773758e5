"""The lesson from EM to the autoencoder: its runs, its closed forms, its marks and its pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest

import emcore as em
from emcore import charts
from emcore.charts.encoders import collapse, gap_in_two, rate_and_distortion
from emcore.charts.latent import decoder_curve, one_row
from emcore.charts.live import live_spec
from emcore.classroom import links
from emcore.classroom.curves import BOW, GEYSER, SPIRAL, collapse_at, line_rate, rows
from emcore.classroom.vae import (
    CONTROLS,
    CURVE,
    ENCODER,
    EXACT,
    LINE,
    OWN,
    PRESETS,
    ROWS,
    VaeSettings,
    nats,
    vae_lesson,
)
from emcore.classroom.vae_exercises import GUESSES, as_link, exercises, reveal
from emcore.classroom.vae_tables import collapse_curve, rows_csv

FIRST = VaeSettings()
SETTINGS = {
    "ppca": VaeSettings(decoder=LINE, e=EXACT),
    "linear": VaeSettings(decoder=LINE, width=0),
    "curve": VaeSettings(e=EXACT),
    "own": VaeSettings(e=OWN),
    "first": FIRST,
    "collapse": VaeSettings(noise=1.6),
}


@pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
def lesson(request):
    return vae_lesson(request.param)


# ---- runs


def test_a_run_ends_with_a_new_q_and_keeps_the_theorem(lesson):
    assert len(lesson.trace) == (401 if lesson.settings.decoder == LINE else 49)
    assert lesson.trace[-1].kind == "E"
    assert lesson.worst_identity_error < 1e-8
    last = lesson.trace[-1]
    if lesson.settings.e != EXACT:
        assert lesson.family + lesson.amortisation == pytest.approx(last.kl, abs=1e-4)
    np.testing.assert_allclose(-lesson.rates - lesson.distortions, [half.elbo / 120 for half in lesson.trace])
    assert f"ELBO = {last.elbo:,.2f}" in lesson.message


@pytest.mark.parametrize("e", [ENCODER, OWN])
@pytest.mark.parametrize(("data", "noise"), [(SPIRAL, 0.4), (BOW, 3.2)])
def test_the_objective_never_falls(data, noise, e):
    objective = np.array(
        [half.objective for half in vae_lesson(VaeSettings(data=data, noise=noise, e=e, seed=3)).trace]
    )
    assert (np.diff(objective) > -1e-9 * np.abs(objective[1:])).all()


def test_the_ladder_from_ppca_to_the_vae():
    """One number for PPCA and the linear VAE; a curve gains; a Gaussian Q leaves a gap, and sharing it another."""
    ppca, linear, curve, own, shared = (vae_lesson(SETTINGS[n]) for n in ("ppca", "linear", "curve", "own", "first"))
    x = rows(BOW)
    values, noise = np.linalg.eigvalsh(np.cov(x.T, ddof=0)), FIRST.noise
    expected = -0.5 * len(x) * (2 * np.log(2 * np.pi) + np.log(values[1] * noise) + 1 + values[0] / noise)
    assert ppca.trace[-1].log_likelihood == pytest.approx(expected, abs=1e-3)
    assert linear.trace[-1].elbo == pytest.approx(expected, abs=1e-3)
    assert linear.trace[-1].kl < 1e-5
    assert curve.trace[-1].kl < 1e-9
    assert curve.trace[-1].log_likelihood > own.trace[-1].log_likelihood > expected + 400
    assert own.amortisation < 0.05 < 1.0 < own.family
    assert shared.amortisation > 1.0


def test_each_spoilt_encoder_pays_by_sharing_and_not_by_the_family():
    first = vae_lesson(FIRST)
    for spoilt in (replace(FIRST, width=0), replace(FIRST, steps=1)):
        lesson = vae_lesson(spoilt)
        assert lesson.amortisation > 5 * first.amortisation
        assert lesson.family < first.family + 4


def test_a_line_collapses_where_the_closed_form_says():
    for noise in (0.2, 0.8):
        lesson = vae_lesson(VaeSettings(decoder=LINE, width=0, steps=30, noise=noise))
        assert lesson.rates[-1] == pytest.approx(float(line_rate(BOW, noise)), abs=1e-3)
        assert not lesson.collapsed
    assert noise < collapse_at(BOW) < 1.6
    assert float(line_rate(BOW, 1.6)) == 0.0
    silent = vae_lesson(VaeSettings(decoder=LINE, width=0, steps=30, noise=1.6))
    assert silent.collapsed
    assert silent.kind == "warn"
    assert "Posterior collapse" in silent.message
    assert vae_lesson(VaeSettings(decoder=LINE, width=0, steps=30, noise=0.4, beta=4)).collapsed
    assert collapse_at(BOW, 4) < 0.4


def test_the_curves_code_follows_the_place_along_the_bow():
    """The rows of the bow are made in order along it: the code, up to its sign, must follow."""
    codes = vae_lesson(FIRST).trace[-1].q.means[:, 0]
    ranks = codes.argsort().argsort()
    assert abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) > 0.97


def test_controls_without_effect_share_a_run():
    one, other = (vae_lesson(VaeSettings(e=EXACT, width=w, beta=b)) for w, b in ((0, 1), (16, 8)))
    assert one.run is other.run
    assert other.settings.width == 16


@pytest.mark.parametrize("data", [SPIRAL, GEYSER])
def test_other_data_run(data):
    lesson = vae_lesson(VaeSettings(data=data, noise=0.1))
    assert lesson.run is not None
    assert lesson.worst_identity_error < 1e-8
    assert np.isfinite([half.elbo for half in lesson.trace]).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (VaeSettings(data="<b>"), "there are no data"),
        (VaeSettings(decoder="x"), "there is no decoder"),
        (VaeSettings(e="x"), "there is no E-step"),
        (VaeSettings(beta=-1.0), "beta must be above 0"),
        (VaeSettings(noise=1e-9), "so steep beside its noise|nodes per axis"),
    ],
)
def test_bad_settings_come_back_in_words(settings, said):
    lesson = vae_lesson(settings)
    assert lesson.run is None
    assert lesson.kind == "danger"
    assert lesson.encoder_is_good().kind == "neutral"
    with pytest.raises(ValueError, match=said):
        _ = lesson.trace


def test_presets_and_links_hold_what_the_controls_allow():
    for preset in PRESETS.values():
        read = links.read({name: str(value) for name, value in preset.items()}, CONTROLS)
        assert {name: read[name] for name in preset} == dict(preset)
        assert VaeSettings(**preset).e in (EXACT, OWN, ENCODER)
    settings = VaeSettings(SPIRAL, LINE, OWN, 8, 3, 2, 0.4, 7)
    assert links.read({name: str(value) for name, value in as_link(settings).items()}, CONTROLS) == as_link(settings)
    assert as_link(FIRST) == links.read({}, CONTROLS), "the first picture is that of the defaults"
    assert FIRST.decoder == CURVE


# ---- marks


def test_the_exercises_know_their_answers():
    gap, noise, rate, sharing = exercises()
    small, large = np.linalg.eigvalsh(np.cov(rows(BOW).T, ddof=0))
    assert gap.mark(0.0).kind == "success"
    assert gap.mark(0.2).kind == "warn"
    assert noise.mark(round(large / 2, 3)).kind == "success"
    assert "β = 1" in noise.mark(round(large, 3)).words
    assert "there is one z only" in noise.mark(round(small, 3)).words
    assert rate.mark(round(0.5 * np.log(large / 0.2), 3)).kind == "success"
    assert "standard deviation" in rate.mark(round(np.log(large / 0.2), 3)).words
    lesson = vae_lesson(FIRST)
    assert sharing.mark(round(lesson.amortisation, 2)).kind == "success"
    assert "whole gap" in sharing.mark(round(lesson.trace[-1].kl, 2)).words
    assert "family gap" in sharing.mark(round(lesson.family, 2)).words
    stated = [float(word.replace(",", "").rstrip(".")) for word in sharing.question.split() if word[0] == "-"]
    assert stated[2] - stated[1] == pytest.approx(lesson.amortisation, abs=0.011), "the question's own numbers"


def test_the_reveal_and_the_task_speak_in_numbers_of_the_run():
    lesson = vae_lesson(FIRST)
    assert len(GUESSES) == 3
    assert f"{lesson.amortisation:.3g} nats, is the amortisation gap" in reveal()
    assert lesson.encoder_is_good().kind == "neutral"
    assert "Not yet" in lesson.encoder_is_good().words
    better = vae_lesson(replace(FIRST, width=8, steps=30)).encoder_is_good()
    assert better.kind == "success"
    assert "Choose the encoder" in vae_lesson(VaeSettings(e=OWN)).encoder_is_good().words
    assert nats(1e-9) == "under 1e-6"
    assert nats(3.21987) == "3.22"


def test_the_table_of_rows_is_the_run():
    lesson = vae_lesson(FIRST)
    lines = rows_csv(lesson).strip().split("\n")
    assert lines[0] == "x0,x1,code0,sd0,gap"
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    np.testing.assert_allclose(table[:, :2], rows(BOW))
    assert table[:, 4].sum() == pytest.approx(lesson.trace[-1].kl)


# ---- pictures


def pictures(lesson, **size):
    return (
        decoder_curve(lesson.trace, **size),
        gap_in_two(lesson.trace, **lesson.parts._asdict(), **size),
        rate_and_distortion(lesson.trace, lesson.rates, lesson.distortions, **size),
        one_row(lesson.trace, **lesson.densities(ROWS[0])._asdict(), **size),
        charts.staircase(lesson.trace, with_prior=False, **size),
    )


def test_pictures_are_valid_described_and_small(lesson):
    for picture in pictures(lesson, width="container", half_step=-1):
        spec = picture.to_dict(validate=True)
        assert spec["params"][0]["bind"]["max"] == (58 if lesson.settings.decoder == LINE else 48)
        assert "half-steps of EM" in spec["description"]
        assert json.dumps(spec, allow_nan=False)
        assert len(picture.to_json()) < 230_000
    spec = collapse(**collapse_curve(lesson)._asdict(), width="container").to_dict(validate=True)
    assert "falls to 0 at a noise variance of" in spec["description"]


def test_another_run_changes_data_alone():
    a, b = (vae_lesson(settings) for settings in (FIRST, replace(FIRST, noise=0.2)))
    for one, other in zip(pictures(a, width="container"), pictures(b, width="container")):
        assert live_spec(one).shell == live_spec(other).shell


def test_the_curve_and_the_codes_are_those_of_the_run():
    lesson = vae_lesson(FIRST)
    tables = decoder_curve(lesson.trace).to_dict()["datasets"]
    last = lesson.trace[-1]
    made = lesson.trace.model.sample(last.params, 1, np.random.default_rng(0))[0]
    assert made.shape == (1, 2)
    np.testing.assert_allclose(tables["codes"][-1]["code"], last.q.means[:, 0], atol=0.006)
    place = next(row for row in tables["places"] if row["z"] == 1.0)
    assert place["whole"]
    params = last.params
    at_one = (
        params.mean
        + params.loadings[:, 0]
        + params.hidden_loadings @ np.tanh(params.hidden_weights[:, 0] + params.hidden_offsets)
    )
    drawn = [tables["curves"][-1][name][place["i"]] for name in ("c0", "c1")]
    np.testing.assert_allclose(drawn, at_one, atol=0.006)


def test_the_parts_are_drawn_on_one_another():
    lesson = vae_lesson(FIRST)
    parts = gap_in_two(lesson.trace, **lesson.parts._asdict()).to_dict()["datasets"]["parts"]
    tops = {row["part"]: row["to"] for row in parts if row["index"] == 48}
    assert tops["family"] == pytest.approx(lesson.family)
    assert tops["sharing"] == pytest.approx(lesson.trace[-1].kl, abs=1e-4)


def test_the_densities_are_densities_and_their_kl_is_the_rows():
    lesson = vae_lesson(FIRST)
    shown = lesson.densities(ROWS[1])
    step = shown.z[1] - shown.z[0]
    for density in (shown.posterior[-1], shown.q[-1], shown.own):
        assert density.sum() * step == pytest.approx(1.0, abs=1e-3)
    q, p = shown.q[-1], shown.posterior[-1]
    kl = (q * np.log(np.maximum(q, 1e-300) / np.maximum(p, 1e-300))).sum() * step
    assert kl == pytest.approx(lesson.trace[-1].kl_rows[shown.row], abs=1e-3)
    rows_by_gap = np.sort(lesson.trace[-1].kl_rows)
    assert lesson.trace[-1].kl_rows[lesson.row(ROWS[0])] == rows_by_gap[-1]


def test_several_latents_have_no_curve():
    trace = em.fit(em.VAE(2, noise_variance=0.5), rows(BOW), restarts=1, max_iter=2, trace=True).trace
    with pytest.raises(ValueError, match="one latent variable"):
        decoder_curve(trace)
