"""Regressions, heavy tails and censoring: the published fits of tests/published_fits.json, to their tolerances."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import emcore as em

CASES = {case["id"]: case for case in json.loads((Path(__file__).parents[1] / "published_fits.json").read_text())}
STACKLOSS = em.datasets.load("stackloss").to_numpy()


def published(name):
    case = CASES[name]
    return case["expected"], case["tolerance"]


@pytest.mark.parametrize("df", [8, 4, 3, 2, 1, 0.5])
def test_t_regression_of_stackloss(df):
    """Lange, Little & Taylor (1989), table 1; recomputed."""
    expected, tolerance = published("t-regression-stackloss")
    expected = expected[f"nu{df:g}"]
    fit = em.fit(em.TRegression(df), STACKLOSS, restarts=3)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    np.testing.assert_allclose(fit.params.coefficients, expected["beta"], rtol=tolerance["param_rel"])
    np.testing.assert_allclose(fit.params.scales, expected["sigma"], rtol=tolerance["param_rel"])
    assert fit.log_likelihood + 21 / 2 * np.log(2 * np.pi) == pytest.approx(
        expected["loglik_plus_half_n_log2pi"], abs=tolerance["loglik_abs"]
    )


def test_t_regression_of_stackloss_with_its_df_estimated():
    """Their ν̂ = 1.1 with log-likelihood -30.3; least squares -33.0."""
    expected, tolerance = published("t-regression-stackloss")
    fit = em.fit(em.TRegression("ML"), STACKLOSS, restarts=5)
    assert fit.status is em.Status.CONVERGED
    best = expected["mle"]
    assert fit.log_likelihood == pytest.approx(best["loglik"], abs=tolerance["loglik_abs"])
    assert fit.params.df == pytest.approx(best["nu"], abs=tolerance["df_abs"])
    np.testing.assert_allclose(fit.params.coefficients, best["beta"], rtol=tolerance["param_rel"])
    np.testing.assert_allclose(fit.params.scales, best["sigma"], rtol=tolerance["param_rel"])
    normal = em.fit(em.Mixture(em.LinearRegression(), 1), STACKLOSS)
    assert normal.log_likelihood == pytest.approx(expected["normal"]["loglik"], abs=tolerance["loglik_abs"])


@pytest.mark.parametrize("df", [1, 5])
def test_multivariate_t_of_stackloss(df):
    expected, tolerance = published("mvt-stackloss")
    expected = expected[f"df{df}"]
    fit = em.fit(em.Mixture(em.StudentT(df), 1), STACKLOSS, restarts=2)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    np.testing.assert_allclose(fit.params.means[0], expected["location"], rtol=tolerance["param_rel"])
    np.testing.assert_allclose(fit.params.covariances[0], expected["scale"], rtol=tolerance["param_rel"])


def test_censored_regression_of_the_motorettes():
    """Schmee & Hahn (1979): -6.019, 4.311 and 0.2592."""
    expected, tolerance = published("censored-regression-motorettes")
    motors = em.datasets.load("motors")
    time = np.log10(motors["time"].to_numpy())
    failed = motors["cens"].to_numpy() == 1
    assert (~failed).sum() == expected["censored"]
    x = np.column_stack([1000 / (motors["temp"].to_numpy() + 273.2), time, np.where(failed, time, np.inf)])
    fit = em.fit(em.CensoredRegression(), x, restarts=2)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    ours = [*fit.params.coefficients, fit.params.scales]
    theirs = [expected["intercept"], expected["slope"], expected["sigma"]]
    np.testing.assert_allclose(ours, theirs, rtol=tolerance["param_rel"])


def test_censored_waiting_times_of_gehan():
    """9 events in 359 patient-weeks; the iterates from a rate of 0.1."""
    expected, tolerance = published("censored-exponential-gehan")
    arm = em.datasets.load("gehan").filter(pl.col("treat") == "6-MP")
    time, ended = arm["time"].to_numpy().astype(float), arm["cens"].to_numpy() == 1
    assert (ended.sum(), time.sum()) == (expected["events"], expected["total_time"])
    x = np.column_stack([time, np.where(ended, time, np.inf)])
    start = {"rates": CASES["censored-exponential-gehan"]["setup"]["start"]}
    halves = list(islice(em.steps(em.CensoredExponential(), x, start), 8))
    rates = [float(half.params.rates) for half in halves if half.kind == "M"]
    np.testing.assert_allclose(rates, expected["iterates"], atol=tolerance["iterate_abs"], rtol=0)
    fit = em.fit(em.CensoredExponential(), x)
    assert fit.params.rates == pytest.approx(expected["closed_form"], rel=1e-7)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-8)


@pytest.mark.parametrize("variant", ["full", "constant_inflation", "intercepts"])
def test_zero_inflated_poisson_of_the_biochemists(variant):
    """Long (1997): -1604.773 in full, -1621 with constant inflation."""
    expected, tolerance = published("zip-biochemists")
    table = em.datasets.load("biochemists").with_columns(
        (pl.col("fem") == "Women").cast(int), (pl.col("mar") == "Married").cast(int)
    )
    predictors = ["fem", "mar", "kid5", "phd", "ment"] if variant != "intercepts" else []
    x = table.select(*predictors, "art").to_numpy().astype(float)
    model = em.ZeroInflatedPoisson(inflation_predictors=() if variant == "constant_inflation" else None)
    fit = em.fit(model, x, restarts=2)
    names = [*(["const", *predictors] if variant == "full" else ["const"])]
    theirs = expected[variant]["params"]
    assert fit.log_likelihood == pytest.approx(expected[variant]["loglik"], abs=tolerance["loglik_abs"])
    np.testing.assert_allclose(
        fit.params.inflation, [theirs[f"inflate_{name}"] for name in names], atol=tolerance["param_abs"], rtol=0
    )
    np.testing.assert_allclose(
        fit.params.coefficients, [theirs[n] for n in ("const", *predictors)], atol=tolerance["param_abs"], rtol=0
    )


def test_zero_inflated_poisson_of_the_biochemists_as_two_numbers():
    expected, tolerance = published("zip-biochemists")
    counts = em.datasets.load("biochemists").select("art")
    fit = em.fit(em.ZeroInflatedPoisson(), counts, restarts=2)
    inflation, log_rate = fit.params.inflation[0], fit.params.coefficients[0]
    assert 1 / (1 + np.exp(-inflation)) == pytest.approx(expected["intercepts_em"]["pi"], abs=tolerance["param_abs"])
    assert np.exp(log_rate) == pytest.approx(expected["intercepts_em"]["lam"], abs=tolerance["param_abs"])


def test_random_intercept_of_dyestuff():
    """lme4's ML fit: 1527.5, 37.2602, 49.5101 and -163.6635."""
    expected, tolerance = published("random-intercept-dyestuff")
    table = em.datasets.load("dyestuff")
    codes = {batch: code for code, batch in enumerate(sorted(set(table["batch"])))}
    x = np.column_stack([[codes[batch] for batch in table["batch"]], table["yield"]])
    fit = em.fit(em.RandomIntercept(), x, restarts=2)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    ours = [fit.params.coefficients[0], fit.params.group_scale**2, fit.params.scales**2]
    theirs = [expected["mu"], expected["var_batch"], expected["var_resid"]]
    np.testing.assert_allclose(ours, theirs, rtol=tolerance["param_rel"])


def test_negative_binomial_of_the_mites():
    """Bliss & Fisher (1953): k = 1.02459."""
    expected, tolerance = published("mites-negative-binomial")
    table = em.datasets.load("mites")
    x, weight = table["mites"].to_numpy()[:, None], table["leaves"].to_numpy()
    start = {
        "means": np.average(x[:, 0], weights=weight),
        "shapes": CASES["mites-negative-binomial"]["setup"]["start"]["k"],
    }
    for how in ({"init": start}, {"restarts": 3}):
        fit = em.fit(em.NegativeBinomial(), x, weight=weight, **how)
        assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
        assert fit.params.shapes == pytest.approx(expected["k"], rel=tolerance["param_rel"])
        assert fit.params.means == pytest.approx(expected["mean"], rel=tolerance["param_rel"])


def test_two_exponentials_for_the_coal_mining_disasters():
    expected, tolerance = published("exponential-mixture-coal")
    dates = em.datasets.load("coal")["date"].to_numpy()
    days = np.round(365.25 * np.diff(dates))
    days = days[days > 0][:, None]
    assert (len(days), days.sum()) == (189, expected["total_days"])
    one = em.fit(em.Mixture(em.Exponential(), 1), days)
    assert one.log_likelihood == pytest.approx(expected["one_loglik"], abs=tolerance["loglik_abs"])
    start = CASES["exponential-mixture-coal"]["setup"]["start"]
    init = {"weights": start["weights"], "rates": 1.0 / np.array(start["means"])}
    for two in (
        em.fit(em.Mixture(em.Exponential(), 2), days, init=init),
        em.fit(em.Mixture(em.Exponential(), 2), days),
    ):
        order = np.argsort(-two.params.rates[:, 0])
        assert two.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
        np.testing.assert_allclose(1 / two.params.rates[order, 0], expected["means"], rtol=tolerance["param_rel"])
        np.testing.assert_allclose(two.params.weights[order], expected["weights"], rtol=tolerance["param_rel"])
