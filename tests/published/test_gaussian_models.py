"""Published fits of factor models and of normals with missing cells."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import emcore as em

CASES = {case["id"]: case for case in json.loads((Path(__file__).parents[1] / "published_fits.json").read_text())}


def frame(case):
    return em.datasets.load(case["data"]["dataset"]).select(case["data"]["columns"])


def standardised(x):
    """Columns less their observed mean, over their observed standard deviation (divisor n)."""
    x = x.to_numpy().astype(float)
    return (x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)


def covariance(params):
    return params.loadings @ params.loadings.T + params.noise_variance * np.eye(len(params.mean))


def test_one_factor_from_a_correlation_matrix():
    """R's factanal(covmat = ability.cov): uniquenesses, discrepancy and Bartlett's chi-squared; 112 people, no rows."""
    case = CASES["fa-ability-1"]
    expected, n, d = case["expected"], case["data"]["n"], case["data"]["d"]
    table = frame(case).to_numpy()
    scale = np.sqrt(np.diag(table))
    correlation = table / np.outer(scale, scale)
    fit = em.fit(em.FactorAnalysis(1), em.rows_with_moments(correlation, n), restarts=3)
    assert fit.status is em.Status.CONVERGED
    assert fit.n_rows == n
    np.testing.assert_allclose(
        fit.params.noise_variance, expected["uniquenesses"], rtol=0, atol=case["tolerance"]["param_abs"]
    )
    assert fit.log_likelihood == pytest.approx(expected["loglik_corr"], abs=1e-7)
    saturated = -0.5 * n * (d * np.log(2 * np.pi) + np.linalg.slogdet(correlation)[1] + d)
    discrepancy = 2.0 * (saturated - fit.log_likelihood) / n
    assert discrepancy == pytest.approx(expected["F"], abs=case["tolerance"]["F_abs"])
    chi2 = (n - 1 - (2 * d + 5) / 6 - 2 / 3) * discrepancy
    assert chi2 == pytest.approx(expected["chi2_bartlett"], abs=1e-6)
    np.testing.assert_allclose(fit.params.mean, 0.0, atol=1e-12)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_probabilistic_pca_of_iris(q):
    case = CASES["ppca-iris"]
    expected = case["expected"][f"q{q}"]
    fit = em.fit(em.PPCA(q), frame(case), restarts=1, tol=1e-17)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    assert fit.params.noise_variance == pytest.approx(expected["noise"], rel=case["tolerance"]["param_rel"])
    values = np.linalg.eigvalsh(covariance(fit.params))[::-1]
    np.testing.assert_allclose(values[:q], expected["eigenvalues"][:q], rtol=case["tolerance"]["param_rel"])


@pytest.mark.parametrize("q", [1, 2])
def test_probabilistic_pca_with_missing_entries(q):
    case = CASES["ppca-airquality-missing"]
    expected, tolerance = case["expected"][f"q{q}"], case["tolerance"]
    x = standardised(frame(case))
    assert np.isnan(x).sum() == case["data"]["missing"]
    fit = em.fit(em.PPCA(q), x, restarts=2)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    assert fit.params.noise_variance == pytest.approx(expected["noise"], abs=tolerance["param_abs"])
    np.testing.assert_allclose(fit.params.mean, expected["mean"], rtol=0, atol=tolerance["param_abs"])
    np.testing.assert_allclose(covariance(fit.params), expected["cov"], rtol=0, atol=tolerance["param_abs"])


@pytest.mark.parametrize("model", ["normal", "mixture"])
def test_normal_with_missing_entries(model):
    """One component of a mixture is the same model by another road."""
    case = CASES["mvn-airquality-missing"]
    expected, tolerance = case["expected"], case["tolerance"]
    made = em.MissingNormal() if model == "normal" else em.Mixture(em.Gaussian("full"), 1)
    fit = em.fit(made, frame(case), restarts=1, tol=1e-15)
    mean, sigma = fit.params if model == "normal" else (fit.params.means[0], fit.params.covariances[0])
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    np.testing.assert_allclose(mean, expected["mean"], rtol=tolerance["param_rel"])
    np.testing.assert_allclose(sigma, expected["cov"], rtol=tolerance["param_rel"])


@pytest.mark.parametrize("rho", [0.1, -0.1, 0.0])
def test_murrays_saddle_and_two_maxima(rho):
    """Murray (1977): from correlation 0 EM stays on the saddle; any other start leaves for ±1/2."""
    case = CASES["mvn-murray-bivariate"]
    expected, tolerance = case["expected"][f"start_rho_{rho}"], case["tolerance"]
    start = {"mean": [0.0, 0.0], "covariance": [[2.0, 2.0 * rho], [2.0 * rho, 2.0]]}
    fit = em.fit(em.MissingNormal(), frame(case), init=start)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    np.testing.assert_allclose(fit.params.mean, expected["mean"], rtol=0, atol=tolerance["param_abs"])
    np.testing.assert_allclose(fit.params.covariance, expected["cov"], rtol=0, atol=tolerance["param_abs"])


def test_murrays_saddle_holds_for_ever_and_a_nudge_of_a_millionth_leaves_it():
    case = CASES["mvn-murray-bivariate"]
    start = {"mean": [0.0, 0.0], "covariance": 2.5 * np.eye(2)}
    last = list(islice(em.steps(em.MissingNormal(), frame(case), start), 1000))[-1]
    assert last.params.covariance[0, 1] == 0.0
    nudged = start | {"covariance": 2.5 * np.eye(2) + 1e-6 * np.eye(2)[::-1]}
    fit = em.fit(em.MissingNormal(), frame(case), init=nudged)
    assert fit.params.covariance[0, 1] == pytest.approx(4 / 3, abs=1e-5)


def test_murrays_maxima_are_what_the_default_finds():
    case = CASES["mvn-murray-bivariate"]
    fit = em.fit(em.MissingNormal(), frame(case))
    assert fit.log_likelihood == pytest.approx(case["expected"]["start_rho_0.1"]["loglik"], abs=1e-8)
    signs = {np.sign(run.params.covariance[0, 1]) for run in fit.restarts}
    assert signs == {-1.0, 1.0}


def test_apple_crop():
    """Snedecor & Cochran's apple crops; mvnmle's mlest prints about five digits of the same maximum."""
    case = CASES["mvn-apple-crop"]
    expected, tolerance = case["expected"], case["tolerance"]
    fit = em.fit(em.MissingNormal(), frame(case), restarts=1, tol=1e-16)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    np.testing.assert_allclose(fit.params.mean, expected["mean"], rtol=tolerance["param_rel"])
    np.testing.assert_allclose(fit.params.covariance, expected["cov"], rtol=tolerance["param_rel"])
    cells = frame(case).to_numpy().astype(float)
    without_2pi = -2.0 * fit.log_likelihood - np.isfinite(cells).sum() * np.log(2.0 * np.pi)
    assert without_2pi == pytest.approx(expected["minus2ll_without_2pi"], abs=1e-6)
