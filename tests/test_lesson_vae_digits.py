"""The lesson on autoencoders with two latents: written digits by their leading principal components."""

import json
from dataclasses import replace

import numpy as np
import pytest

import emcore as em
from emcore.charts.latent_map import latent_map, reconstructions
from emcore.charts.live import live_spec
from emcore.classroom.curves import BOW, DIGITS, SHOWN, collapse_at, line_rate, n_latents, rows, written
from emcore.classroom.vae import ENCODER, EXACT, LINE, OWN, VaeSettings, nats, tabs, vae_lesson
from emcore.classroom.vae_tables import rows_csv

BENT = {e: VaeSettings(data=DIGITS, noise=0.2, e=e) for e in (ENCODER, OWN, EXACT)}


@pytest.fixture(params=BENT.values(), ids=list(BENT))
def lesson(request):
    return vae_lesson(request.param)


def test_the_rows_are_the_leading_components_of_the_images():
    digits = written()
    assert digits.x.shape == (70, 6)
    assert sorted(set(digits.labels)) == list(SHOWN)
    centred = digits.images - digits.images.mean(axis=0)
    kept = np.linalg.svd(centred, compute_uv=False) ** 2
    left = centred - digits.x @ digits.axes
    assert (left**2).sum() == pytest.approx(kept[6:].sum())
    assert (digits.x**2).mean() == pytest.approx(1.0)
    assert digits.ink(digits.x).shape == (70, 64)
    assert n_latents(DIGITS) == 2
    assert n_latents(BOW) == 1
    np.testing.assert_array_equal(rows(DIGITS), digits.x)


def test_a_run_keeps_the_theorem_and_never_falls(lesson):
    assert len(lesson.trace) == 13
    assert lesson.worst_identity_error < 1e-8
    objective = np.array([half.objective for half in lesson.trace])
    assert (np.diff(objective) > -1e-9 * np.abs(objective[1:])).all()
    if lesson.settings.e != EXACT:
        assert lesson.family + lesson.amortisation == pytest.approx(lesson.trace[-1].kl, abs=1e-8)
        assert nats(lesson.family) in lesson.message


def test_log_p_is_known_to_nine_digits(lesson):
    last, model = lesson.trace[-1], lesson.trace.model
    finer = replace(model, fineness=2.0, max_nodes=10**7).log_likelihood(last.params, lesson.trace.x[:12])
    np.testing.assert_allclose(model.log_likelihood(last.params, lesson.trace.x[:12]), finer, rtol=0, atol=1e-9)


def test_a_bent_sheet_beats_the_plane_and_an_encoder_pays_for_sharing():
    plane = vae_lesson(VaeSettings(data=DIGITS, noise=0.2, e=EXACT, decoder=LINE))
    values = np.linalg.eigvalsh(np.cov(rows(DIGITS).T, ddof=0))[::-1]
    kept = np.maximum(values[:2], 0.2)
    log_p = -35.0 * (6 * np.log(2 * np.pi) + np.log(kept).sum() + 4 * np.log(0.2) + 2 + values[2:].sum() / 0.2)
    assert plane.trace[-1].log_likelihood == pytest.approx(log_p, abs=1e-3)
    shared, own, exact = (vae_lesson(BENT[e]) for e in (ENCODER, OWN, EXACT))
    assert exact.trace[-1].log_likelihood > plane.trace[-1].log_likelihood + 50
    assert shared.amortisation > 5.0 > own.amortisation
    assert own.family > 1.0


def test_like_digits_lie_together_though_no_label_was_seen():
    codes = vae_lesson(BENT[OWN]).trace[-1].q.means
    far = ((codes[:, None] - codes) ** 2).sum(axis=2) + np.diag(np.full(len(codes), np.inf))
    assert (written().labels[far.argmin(axis=1)] == written().labels).mean() > 0.85


def test_the_best_plane_tells_what_the_closed_form_says():
    settings = VaeSettings(data=DIGITS, decoder=LINE, width=0, steps=30, noise=0.2)
    lesson = vae_lesson(settings)
    assert lesson.rates[-1] == pytest.approx(float(line_rate(DIGITS, 0.2)), abs=0.01), "the axes turn slowly"
    assert float(line_rate(DIGITS, 1.01 * collapse_at(DIGITS))) == 0.0


def test_pictures_are_valid_and_labels_come_only_when_told(lesson):
    hidden, told = (
        latent_map(lesson.trace, lesson.labels, told=told, width="container", half_step=-1) for told in (False, True)
    )
    remade = reconstructions(lesson.trace, *lesson.remade(), width="container")
    for picture in (hidden, told, remade):
        assert json.dumps(picture.to_dict(validate=True), allow_nan=False)
        assert len(picture.to_json()) < 200_000
    assert live_spec(hidden).shell == live_spec(told).shell
    points = hidden.to_dict()["datasets"]["points"]
    assert {(point["label"], point["shape"]) for point in points} == {("", "circle")}
    points = told.to_dict()["datasets"]["points"]
    assert [point["label"] for point in points] == [str(label) for label in lesson.labels]
    assert len({(point["colour"], point["shape"]) for point in points}) == len(SHOWN)


def test_the_images_are_those_of_the_run():
    lesson = vae_lesson(BENT[OWN])
    images, made = lesson.remade()
    first = [int(np.flatnonzero(lesson.labels == label)[0]) for label in SHOWN]
    np.testing.assert_array_equal(images, written().images[first])
    last = lesson.trace[-1]
    bent = np.tanh(last.q.means[first] @ last.params.hidden_weights.T + last.params.hidden_offsets)
    at = last.params.mean + last.q.means[first] @ last.params.loadings.T + bent @ last.params.hidden_loadings.T
    np.testing.assert_allclose(made[-1], written().ink(at))
    assert ((made[-1] - images) ** 2).mean() < 0.5 * ((written().mean - images) ** 2).mean()
    assert len(rows_csv(lesson).splitlines()) == 71
    assert rows_csv(lesson).startswith("x0,x1,x2,x3,x4,x5,code0,code1,sd0,sd1,gap")


def test_maps_refuse_what_they_cannot_draw():
    lesson = vae_lesson(BENT[OWN])
    with pytest.raises(ValueError, match="one per row of x"):
        latent_map(lesson.trace, lesson.labels[:3], told=True)
    with pytest.raises(ValueError, match="an entry per half-step"):
        reconstructions(lesson.trace, np.zeros((2, 64)), [])
    line = em.fit(em.VAE(1, noise_variance=0.5), rows(BOW), restarts=1, max_iter=2, trace=True).trace
    with pytest.raises(ValueError, match="two latent variables"):
        latent_map(line, np.zeros(len(rows(BOW))), told=False)
    assert len(set(tabs(DIGITS)) - set(tabs(BOW))) == 1
