"""“The code that does this” of apps 8, 9 and 10, run on its own, makes the run that the lesson shows."""

from dataclasses import replace

import numpy as np
import pytest

from emcore.classroom import chain, chain_script, curves, digits, vae, vae_script
from tests.test_scripts import assert_same_run, ran

TEN = digits.DigitsSettings(max_iter=6)
DIGITS = [
    digits.DigitsSettings(),
    replace(TEN, n_components=3, prior=0, init="random-rows", seed=4, threshold=1),
    replace(TEN, n_components=20, prior=0.5, init="k-means++", seed=9999, threshold=16),
    replace(TEN, prior=10),  # degenerate
]
QUAKES = chain.ChainSettings(chain.EARTHQUAKES)
CHAINS = [
    QUAKES,
    replace(QUAKES, n_states=5, init=chain.BY_LEVEL, max_iter=100, transition_prior=0.3),
    replace(QUAKES, n_states=1, length=5, init="random-rows", seed=0),
    replace(QUAKES, dataset=chain.LONG, stationary=True, init="random-responsibilities", length=150),
    replace(QUAKES, dataset=chain.LONG, n_states=3, init=chain.BY_LEVEL),
    replace(QUAKES, dataset=chain.WAITING, n_states=3, transition_prior=10, seed=8),
    replace(QUAKES, dataset=chain.SIMULATED, n_states=3, init=chain.BY_LEVEL, length=60),
]
FIRST = vae.VaeSettings()
VAES = [
    FIRST,
    vae.VaeSettings(decoder=vae.LINE, e=vae.EXACT, beta=4),
    vae.VaeSettings(data=vae.SPIRAL, decoder=vae.LINE, width=0, steps=1, beta=8, seed=0),
    vae.VaeSettings(data=vae.GEYSER, decoder=vae.LINE, e=vae.OWN, beta=0.5, noise=0.4),
    vae.VaeSettings(e=vae.EXACT, noise=0.2, seed=3),
    vae.VaeSettings(data=vae.DIGITS, decoder=vae.LINE, e=vae.EXACT, noise=0.8),
]


@pytest.mark.parametrize("settings", DIGITS, ids=lambda s: f"{s.n_components}-{s.init}-{s.prior}-{s.threshold}")
def test_a_digits_script_makes_the_run_and_counts_the_digits_of_each_cause(settings):
    lesson = digits.digits_lesson(settings)
    found = ran(digits.script(settings))
    assert_same_run(found["fit"].trace, lesson.trace)
    assert found["fit"].status == lesson.fit.status
    assert f"log prior {lesson.trace[-1].log_prior:,.2f}" in found["said"]
    counts = digits.agreement(settings).counts[-1]
    assert found["said"].splitlines()[-len(counts) :] == [
        f"cause {k} claims {row}" for k, row in enumerate(counts.tolist())
    ]


@pytest.mark.parametrize("settings", CHAINS, ids=lambda s: f"{s.dataset}-{s.n_states}-{s.init[:8]}-{s.length}")
def test_a_chain_script_makes_the_run_and_its_path(settings):
    lesson = chain.chain_lesson(settings)
    found = ran(chain_script.script(settings))
    assert_same_run(found["fit"].trace, lesson.trace)
    assert found["fit"].status == lesson.fit.status
    last = lesson.trace[-1]
    assert (
        f"log p(x) {last.log_likelihood:,.4f}, ELBO {last.elbo:,.4f}, entropy of Q {last.entropy:,.3f}" in found["said"]
    )


@pytest.mark.parametrize("settings", VAES, ids=lambda s: f"{s.data[:9]}-{s.decoder[:6]}-{s.e[:5]}-{s.beta}")
def test_a_vae_script_makes_the_run_and_splits_its_gap(settings):
    lesson, found = vae.vae_lesson(settings), ran(vae_script.script(settings))
    np.testing.assert_array_equal(found["x"], curves.rows(settings.data))
    for one, other in zip(found["trace"], lesson.trace, strict=True):
        assert (one.iteration, one.kind) == (other.iteration, other.kind)
        assert (one.log_likelihood, one.elbo, one.kl) == (other.log_likelihood, other.elbo, other.kl)
    if settings.e != vae.EXACT:
        assert float(found["parts"].family.sum()) == lesson.family
        assert float(found["parts"].amortisation.sum()) == lesson.amortisation


def test_two_latents_take_the_same_rows_and_model():
    settings = vae.VaeSettings(data=vae.DIGITS)
    data, setup = vae_script.script(settings).split("\n\nmodel = ")
    np.testing.assert_array_equal(ran(data)["x"], curves.rows(vae.DIGITS))
    assert setup.startswith("em.VAE(2, width=6, noise_variance=0.06, weight_prior=3.0, m_steps=8, max_nodes=200000)")


@pytest.mark.parametrize(
    "text",
    [*map(digits.script, DIGITS), *map(chain_script.script, CHAINS), *map(vae_script.script, VAES)],
)
def test_scripts_are_short(text):
    lines = text.splitlines()
    assert len(lines) < 32
    assert max(map(len, lines)) <= 120
