"""Published fits of gene counting, linkage, partly classified tables, raters, lost zeros and grouped data."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import emcore as em

CASES = {case["id"]: case for case in json.loads((Path(__file__).parents[1] / "published_fits.json").read_text())}
TWO_WAY = em.MergedMultinomial(
    {"probs": "p11 p12 p21 p22"},
    ("p11", "p12", "p21", "p22", "p11 + p12", "p21 + p22", "p11 + p21", "p12 + p22"),
    tables=(4, 2, 2),
)


def m_params(model, x, start, n, **settings):
    """Params after each of the first n M-steps."""
    halves = islice(em.steps(model, x, start, **settings), 2 * n)
    return [half.params for half in halves if half.kind == "M"]


def test_linkage_iterates_and_maximum():
    """Dempster, Laird & Rubin (1977), table 1."""
    case = CASES["dlr-linkage"]
    expected = case["expected"]
    model, x = em.genetics.linkage(), em.datasets.load("linkage")
    iterates = [p.theta for p in m_params(model, x, {"theta": 0.5}, 8)]
    np.testing.assert_allclose(iterates, expected["iterates"][1:], rtol=0, atol=case["tolerance"]["iterate_abs"])
    fit = em.fit(model, x, init={"theta": 0.5}, tol=1e-18)
    assert fit.status is em.Status.CONVERGED
    assert float(fit.params.theta) == pytest.approx((15 + np.sqrt(53809)) / 394, abs=1e-9)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])


def test_linkage_rate_is_the_fraction_of_missing_information():
    """Errors shrink by 0.1328 an iteration; observed information is complete information less the missing share."""
    expected = CASES["dlr-linkage"]["expected"]
    model, x = em.genetics.linkage(), em.datasets.load("linkage")
    top = expected["theta"]
    errors = np.array([float(p.theta) - top for p in m_params(model, x, {"theta": 0.5}, 5)])
    np.testing.assert_allclose(errors[-1] / errors[-2], expected["rate"], rtol=1e-3)
    h = 1e-4
    values = [model.log_likelihood(model.Params(np.array(top + d)), x)[0] for d in (-h, 0.0, h)]
    observed = -(values[0] - 2 * values[1] + values[2]) / h**2
    assert observed == pytest.approx(expected["info_observed"], rel=1e-5)
    assert 1.0 - observed / expected["info_complete"] == pytest.approx(expected["rate"], rel=1e-4)


def test_abo_iterates_and_maximum():
    """Lange, Mathematical and Statistical Methods for Genetic Analysis: gene counting."""
    case = CASES["abo-peptic-ulcer"]
    expected = case["expected"]
    model, x = em.genetics.abo(), em.datasets.load("abo")
    iterates = [p.probs for p in m_params(model, x, {"probs": case["setup"]["start"]}, 5)]
    np.testing.assert_allclose(iterates, expected["iterates"], rtol=0, atol=case["tolerance"]["iterate_abs"])
    fit = em.fit(model, x, restarts=3, tol=1e-18)
    np.testing.assert_allclose(fit.params.probs, [expected[f"p_{gene}"] for gene in "ABO"], rtol=0, atol=1e-8)


def test_peppered_moths():
    """Givens & Hoeting (2013), example 4.2: carbonaria 85, insularia 196, typica 341; p_C = 0.070837, p_I = 0.18874."""
    fit = em.fit(em.genetics.peppered_moth(), [[85, 196, 341]], init={"probs": [1 / 3, 1 / 3, 1 / 3]})
    np.testing.assert_allclose(fit.params.probs[:2], [0.070837, 0.18874], rtol=0, atol=5e-6)


def test_partially_classified_table():
    """Little & Rubin (2002): four full cells, two row margins, two column margins."""
    case = CASES["partially-classified-2x2"]
    expected, atol = case["expected"], case["tolerance"]["iterate_abs"]
    x = em.datasets.load("partially_classified")["count"].to_numpy()[None, :]
    iterates = [p.probs for p in m_params(TWO_WAY, x, "uniform", 3)]
    np.testing.assert_allclose(iterates, expected["iterates"], rtol=0, atol=atol)
    fit = em.fit(TWO_WAY, x, init="uniform", restarts=1, tol=1e-18)
    np.testing.assert_allclose(fit.params.probs.reshape(2, 2), expected["probs"], rtol=0, atol=atol)


def test_anaesthetists():
    """Dawid & Skene (1979): four classes, five observers, the first of whom rates every patient three times."""
    case = CASES["dawid-skene-anaesthetists"]
    expected, atol = case["expected"], case["tolerance"]["param_abs"]
    model, x = em.DawidSkene(4), em.datasets.load("anaesthetists")
    halves = list(islice(em.steps(model, x, "majority"), 10))
    first = [half.log_likelihood for half in halves if half.kind == "E"]
    np.testing.assert_allclose(first, expected["loglik_first_iterations"], rtol=0, atol=1e-6)
    fit = em.fit(model, x, init="majority", restarts=1)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    np.testing.assert_allclose(fit.params.weights, expected["marginals"], rtol=0, atol=atol)
    np.testing.assert_allclose(fit.params.error_rates, expected["error_rates"], rtol=0, atol=atol)
    np.testing.assert_array_equal(fit.predict(x) + 1, expected["labels"])
    assert fit.n_rows == 45


def test_the_default_start_reaches_the_published_anaesthetists():
    fit = em.fit(em.DawidSkene(4), em.datasets.load("anaesthetists"), restarts=2)
    np.testing.assert_allclose(fit.params.weights, [0.40, 0.42, 0.11, 0.07], rtol=0, atol=0.005)


def test_cholera():
    """McKendrick (1926) by Meng (1997): 55 houses with cases, and 33.46 exposed ones without."""
    case = CASES["cholera-zero-truncated-poisson"]
    expected, atol = case["expected"], case["tolerance"]["iterate_abs"]
    frame = em.datasets.load("cholera")
    model, x, houses = em.ZeroTruncatedPoisson(), frame.select("cases"), frame["houses"].to_numpy()
    start = model.initial_params(model.check(x), "k-means++", np.random.default_rng(0), houses)
    iterates = [start, *m_params(model, x, start, 5, weight=houses)]
    np.testing.assert_allclose([p.rates[0] for p in iterates], expected["iterates"], rtol=0, atol=atol)
    fit = em.fit(model, x, weight=houses, init=start, tol=1e-18)
    assert fit.params.rates[0] == pytest.approx(expected["lambda"], abs=1e-9)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-8)
    assert houses @ model.posterior(fit.params, x).mean() == pytest.approx(expected["zeros"], abs=1e-7)


def test_crabs_as_the_classes_that_pearson_had():
    """Recomputed beside Pearson (1894): the counts of his 29 classes, none beyond them.

    Opening the outer classes instead moves the first mean by 0.0009: one crab alone in the last class weighs so much.
    """
    crabs = em.datasets.load("crabs_pearson")
    upper = crabs["upper_limit"].to_numpy()
    model = em.GroupedNormal((-np.inf, upper[0] - 0.004, *upper, np.inf), 2)
    counts = np.array([[0, *crabs["crabs"], 0]])
    start = {"weights": [0.41, 0.59], "means": [0.633, 0.657], "scales": [0.018, 0.0125]}
    fit = em.fit(model, counts, init=start, tol=1e-15, max_iter=20_000)
    values = CASES["pearson-crabs-points"]["published"][0]["values"]
    recomputed = {row["quantity"]: row["recomputed"] for row in values}
    found = [fit.params.weights[0], *fit.params.means, *fit.params.scales]
    np.testing.assert_allclose(found, [recomputed[name] for name in ("w1", "mu1", "mu2", "sd1", "sd2")], rtol=1e-5)


def test_frames_of_counts_are_read():
    fit = em.fit(em.genetics.abo(), pl.DataFrame({"a": [186], "b": [38], "ab": [13], "o": [284]}), restarts=1)
    assert fit.params.probs[0] == pytest.approx(0.2136, abs=5e-5)
