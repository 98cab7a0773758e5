"""Published hidden Markov models: earthquakes a year, and long and short eruptions of Old Faithful."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import emcore as em

CASES = {case["id"]: case for case in json.loads((Path(__file__).parents[1] / "published_fits.json").read_text())}


def by_rate(fit):
    """The params with states in order of their rates."""
    return fit.model.relabel(fit.params, np.argsort(fit.params.rates.ravel()))


@pytest.mark.parametrize("n_states", [2, 3])
@pytest.mark.parametrize("stationary", [True, False])
def test_earthquakes(n_states, stationary):
    """Zucchini, MacDonald & Langrock (2016), Hidden Markov Models for Time Series, chapters 3 and 4."""
    case = CASES[f"hmm-earthquakes-poisson{n_states}"]
    expected = case["expected"]["stationary" if stationary else "free_initial"]
    x = em.datasets.load("earthquakes").select("count")
    fit = em.fit(em.HMM(em.Poisson(), n_states, stationary=stationary), x, seed=0)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    relative = case["tolerance"]["param_rel"]
    params = by_rate(fit)
    rates = expected["lambdas"] if stationary else expected["emission"]
    np.testing.assert_allclose(params.rates.ravel(), rates, rtol=relative)
    np.testing.assert_allclose(params.transitions, expected["transition"], rtol=relative, atol=1e-6)
    if stationary:
        np.testing.assert_allclose(params.start, expected["stationary"], rtol=relative)
    else:
        assert params.start.max() == pytest.approx(1.0, abs=1e-12)  # one sequence: its first state is certain


def test_long_and_short_eruptions():
    """The same, section on Old Faithful: a boundary solution, for state 0 is always left and state 1 always long."""
    case = CASES["hmm-geyser-bernoulli2"]
    expected, close = case["expected"], case["tolerance"]["param_abs"]
    long = em.datasets.load("geyser").select((pl.col("duration") >= 3).cast(pl.Float64))
    assert long.sum().item() == 194
    fit = em.fit(em.HMM(em.Bernoulli(), 2, stationary=True), long, seed=0)
    params = fit.model.relabel(fit.params, np.argsort(fit.params.probs.ravel()))
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    np.testing.assert_allclose(params.probs.ravel(), expected["p_long"], atol=close)
    np.testing.assert_allclose(params.transitions[0, 1], expected["g12"], atol=close)
    np.testing.assert_allclose(params.transitions[1, 0], expected["g21"], atol=close)
    free = em.fit(em.HMM(em.Bernoulli(), 2), long, seed=0)
    assert free.log_likelihood == pytest.approx(expected["free_initial_loglik"], abs=1e-5)
    one = em.fit(em.HMM(em.Bernoulli(), 1, stationary=True), long, restarts=1)
    assert one.log_likelihood == pytest.approx(expected["one_state_loglik"], rel=1e-12)
