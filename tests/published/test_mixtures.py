"""Published fits of mixtures over the core's families: iterates, optima, and local optima by name."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import emcore as em

CASES = {case["id"]: case for case in json.loads((Path(__file__).parents[1] / "published_fits.json").read_text())}


def data(case):
    """The frame's columns as the case names them, and its weights."""
    frame = em.datasets.load(case["data"]["dataset"])
    columns = case["data"].get("columns", frame.columns)
    weight = frame[case["data"]["weight"]].to_numpy() if "weight" in case["data"] else None
    return frame.select(columns), weight


def m_params(model, x, start, n, **settings):
    """Params after each of the first n M-steps."""
    halves = islice(em.steps(model, x, start, **settings), 2 * n)
    return [half.params for half in halves if half.kind == "M"]


def by_first_mean(params, field):
    """The order of components in which a field's first feature rises."""
    return np.argsort(getattr(params, field)[:, 0])


@pytest.mark.parametrize("fixed", [True, False])
def test_two_coins(fixed):
    """Do & Batzoglou (2008), figure 1: equal weights held, and free."""
    case = CASES["two-coins" if fixed else "two-coins-free-weight"]
    expected = case["expected"]
    x, _ = data(case)
    model = em.Mixture(em.Binomial(10), 2, fixed_weights=(0.5, 0.5) if fixed else None)
    start = {"weights": [0.5, 0.5], "probs": [[0.6], [0.5]]}
    fit = em.fit(model, x, init=start, tol=1e-18)
    assert fit.log_likelihood == pytest.approx(expected["loglik_with_coefficients"], abs=1e-9)
    if not fixed:
        np.testing.assert_allclose(fit.params.probs.ravel(), expected["theta"], rtol=1e-7)
        assert fit.params.weights[0] == pytest.approx(expected["weight"], rel=1e-6)
        return
    iterates = m_params(model, x, start, 10)
    np.testing.assert_allclose(iterates[0].probs.ravel(), expected["iter1"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(iterates[9].probs.ravel(), expected["iter10"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(fit.params.probs.ravel(), expected["theta"], rtol=0, atol=1e-8)
    first = next(em.steps(model, x, start)).q.probs[:, 0]
    np.testing.assert_allclose(first, expected["resp_iter1"], rtol=0, atol=1e-9)


def test_death_notices():
    """Hasselblad (1969): a slow EM (rate 0.9957), by its iterates 1, 2, 10, 100, 1500 and its maximum."""
    case = CASES["hasselblad-death-notices"]
    expected, atol = case["expected"], case["tolerance"]["iterate_abs"]
    x, days = data(case)
    model = em.Mixture(em.Poisson(), 2)
    start = {"weights": [0.5, 0.5], "rates": [[1.0], [3.0]]}
    iterates = m_params(model, x, start, 1500, weight=days)
    for n, values in expected["iterates"].items():
        p = iterates[int(n) - 1]
        np.testing.assert_allclose([p.weights[0], *p.rates.ravel()], values, rtol=0, atol=atol, err_msg=n)
    fit = em.fit(model, x, weight=days, init=start)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-8)
    found = [fit.params.weights[0], *fit.params.rates.ravel()]
    np.testing.assert_allclose(found, [expected["weight"], *expected["lambda"]], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_earthquakes(k):
    """Zucchini & MacDonald, table 1.2; K = 4 is flat, so only its height is asked."""
    case = CASES["earthquakes-poisson-mixture"]
    expected = case["expected"][f"K{k}"]
    x, _ = data(case)
    fit = em.fit(em.Mixture(em.Poisson(), k), x, restarts=4, seed=0, tol=1e-10)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    if k == 1:
        assert fit.params.rates[0, 0] == pytest.approx(expected["lam"], rel=1e-10)
    elif k < 4:
        order = by_first_mean(fit.params, "rates")
        np.testing.assert_allclose(fit.params.rates[order, 0], expected["lambdas"], rtol=1e-4)
        np.testing.assert_allclose(fit.params.weights[order], expected["weights"], rtol=1e-4)


def test_accidents_with_a_class_that_has_none():
    """Simar (1976): the third class of drivers never has an accident. EM keeps a rate of exactly 0 there."""
    case = CASES["simar-accidents-npmle"]
    expected = case["expected"]
    x, policies = data(case)
    start = {"weights": [0.4, 0.5, 0.1], "rates": [[0.0], [0.4], [2.0]]}
    fit = em.fit(em.Mixture(em.Poisson(), 3), x, weight=policies, init=start, max_iter=50_000)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-6)
    np.testing.assert_allclose(fit.params.rates.ravel(), expected["lambdas"], rtol=1e-4)
    np.testing.assert_allclose(fit.params.weights, expected["weights"], rtol=1e-4)
    two = em.fit(em.Mixture(em.Poisson(), 2), x, weight=policies, restarts=3, seed=0, tol=1e-10)
    assert two.log_likelihood == pytest.approx(expected["K2_loglik"], abs=1e-6)


def latent_classes(name, k, restarts, tol):
    x, count = data(CASES[name])
    model = em.Mixture(em.Categorical(), k)
    return em.fit(model, x, weight=count, init="random-responsibilities", restarts=restarts, seed=1, tol=tol)


def check_classes(fit, expected, atol):
    """Weights and level probabilities of every item, classes by weight."""
    order = np.argsort(-fit.params.weights)
    np.testing.assert_allclose(fit.params.weights[order], sorted(expected["weights"], reverse=True), rtol=0, atol=atol)
    theirs = np.argsort(-np.asarray(expected["weights"]))
    for item, probs in enumerate(expected["probs"]):
        found = fit.params.probs[order, item, : np.shape(probs)[1]]
        np.testing.assert_allclose(found, np.asarray(probs)[theirs], rtol=0, atol=atol, err_msg=f"item {item}")


@pytest.mark.parametrize(("k", "restarts"), [(1, 1), (2, 3), (3, 10), (4, 20)])
def test_carcinoma(k, restarts):
    """poLCA, carcinoma: seven pathologists, classes up to four."""
    case = CASES["lca-carcinoma"]
    expected = case["expected"]
    fit = latent_classes("lca-carcinoma", k, restarts, tol=1e-9)
    top = expected[f"K{k}"]["loglik"] if k in (2, 3) else expected[f"K{k}_loglik"]
    assert fit.log_likelihood == pytest.approx(top, abs=case["tolerance"]["loglik_abs"])
    if k in (2, 3):
        check_classes(fit, expected[f"K{k}"], case["tolerance"]["param_abs"])


@pytest.mark.parametrize(("k", "restarts"), [(1, 1), (2, 3), (3, 30)])
def test_gss82(k, restarts):
    """McCutcheon's survey respondents in the poLCA manual: with three classes about half of all starts end lower."""
    case = CASES["lca-gss82"]
    expected = case["expected"]
    fit = latent_classes("lca-gss82", k, restarts, tol=1e-9)
    top = expected["K1_loglik"] if k == 1 else expected[f"K{k}"]["loglik"]
    assert fit.log_likelihood == pytest.approx(top, abs=case["tolerance"]["loglik_abs"])
    if k > 1:
        check_classes(fit, expected[f"K{k}"], case["tolerance"]["param_abs"])
    if k == 3:
        ends = np.array([run.log_likelihood for run in fit.restarts])
        share = np.mean(ends > top - 1e-3)
        assert 0.3 < share < 0.8, "65 of 120 starts reach the top when recomputed, 258 of 500 in the poLCA manual"
        known = np.array(expected["K3_local_maxima"])
        assert np.abs(ends[:, None] - known).min(axis=1).max() < 0.01


@pytest.mark.parametrize(("k", "restarts"), [(1, 1), (2, 3), (3, 2)])
def test_values(k, restarts):
    """Stouffer & Toby in poLCA. Three classes are not identified: many answers of one height."""
    case = CASES["lca-values"]
    expected = case["expected"]
    fit = latent_classes("lca-values", k, restarts, tol=1e-7 if k == 3 else 1e-11)
    top = expected["K2"]["loglik"] if k == 2 else expected[f"K{k}_loglik"]
    assert fit.log_likelihood == pytest.approx(top, abs=case["tolerance"]["loglik_abs"])
    if k == 2:
        check_classes(fit, expected["K2"], case["tolerance"]["param_abs"])


def test_digits():
    """Ten Bernoulli prototypes of 8 × 8 digits, started at the true classes.

    Many pixels are constant within a class, and EM never leaves a probability of exactly 0. The case keeps all of them
    1e-12 away from 0 and 1: the start below does so for the first steps, and pseudo-counts of 2e-10 in classes of
    about 180 at the maximum.
    """
    case = CASES["digits-bernoulli-mixture"]
    expected = case["expected"]
    x, _ = data(case)
    bits = (x.to_numpy() >= 8).astype(float)
    digit = em.datasets.load("digits")["digit"].to_numpy()
    model = em.Mixture(em.Bernoulli(), 10)
    start = model.params_from_responsibilities(bits, np.eye(10)[digit])
    start = start._replace(probs=np.clip(start.probs, 1e-12, 1.0 - 1e-12))
    first = [half.log_likelihood for half in islice(em.steps(model, bits, start), 8) if half.kind == "E"]
    np.testing.assert_allclose(first, expected["loglik_first_iterations"], rtol=0, atol=0.001)
    fit = em.fit(em.Mixture(em.Bernoulli(prior=(2e-10, 2e-10)), 10), bits, init=digit, tol=1e-11)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    np.testing.assert_allclose(np.sort(fit.params.weights)[::-1], expected["weights_sorted"], rtol=0, atol=1e-6)
    assert (fit.predict(bits) == digit).sum() == expected["argmax_agrees_with_class"]


def check_gaussians(fit, expected, case, x):
    """Height, order, weights, means, covariances, sizes and BIC as the case gives them, components by first mean."""
    tolerance = case["tolerance"]
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=tolerance["loglik_abs"])
    assert fit.n_params == expected["df"]
    assert fit.bic(x) == pytest.approx(expected["bic"], abs=1e-4)
    order = by_first_mean(fit.params, "means")
    theirs = np.argsort(np.asarray(expected["means"])[:, 0])
    np.testing.assert_allclose(fit.params.weights[order], np.asarray(expected["weights"])[theirs], rtol=1e-4)
    np.testing.assert_allclose(fit.params.means[order], np.asarray(expected["means"])[theirs], rtol=1e-4)
    k, d = fit.params.means.shape
    dense = fit.model.family.shape.dense(fit.params.covariances, k, d)
    covariances = np.asarray(expected["covariances"])
    covariances = covariances[theirs] if covariances.ndim == 3 else np.broadcast_to(covariances, (k, d, d))
    np.testing.assert_allclose(dense[order], covariances, rtol=1e-4)
    np.testing.assert_array_equal(
        np.bincount(fit.predict(x), minlength=k)[order], np.asarray(expected["sizes"])[theirs]
    )


@pytest.mark.parametrize(
    ("name", "shape", "k", "init", "restarts"),
    [
        ("gmm-faithful-full2", "full", 2, "k-means++", 3),
        ("gmm-faithful-tied3", "tied", 3, "k-means++", 8),
        ("gmm-penguins-tied3", "tied", 3, "k-means++", 8),
    ],
)
def test_gaussian_mixtures_from_random_starts(name, shape, k, init, restarts):
    """Old Faithful and penguins: the best of a few seeded starts is the published one."""
    case = CASES[name]
    x = data(case)[0].drop_nulls()
    fit = em.fit(em.Mixture(em.Gaussian(shape), k), x, init=init, restarts=restarts, seed=0)
    assert fit.status is em.Status.CONVERGED
    check_gaussians(fit, case["expected"], case, x)


def test_waiting_times_with_one_variance():
    """mixtools, wait1, from its start: means 55 and 80, standard deviation 5."""
    case = CASES["gmm-faithful-waiting-tied2"]
    x, _ = data(case)
    start = {"weights": [0.5, 0.5], "means": [[55.0], [80.0]], "covariances": [[25.0]]}
    fit = em.fit(em.Mixture(em.Gaussian("tied"), 2), x, init=start)
    check_gaussians(fit, case["expected"], case, x)
    assert np.sqrt(fit.params.covariances[0, 0]) == pytest.approx(case["expected"]["sigma"], rel=1e-6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("shape", ["full", "tied", "diag"])
def test_iris(shape, k):
    """mclust's models VVV, EEE and VVI, each at the maximum that its labels lead to."""
    case = CASES[f"gmm-iris-{shape}"]
    x, _ = data(case)
    species = em.datasets.load("iris")["species"].to_numpy()
    labels = np.unique(species, return_inverse=True)[1]
    if k == 2:
        labels = np.minimum(labels, 1)
    fit = em.fit(em.Mixture(em.Gaussian(shape), k), x, init=labels)
    check_gaussians(fit, case["expected"][f"K{k}"], case, x)


def test_galaxies():
    """mclust's vignette, model V with three components, in thousands of km/s."""
    case = CASES["gmm-galaxies-full3"]
    x = data(case)[0].select(pl.col("velocity") / 1000)
    labels = np.digitize(x["velocity"], [15.0, 27.0])
    fit = em.fit(em.Mixture(em.Gaussian("full"), 3), x, init=labels)
    check_gaussians(fit, case["expected"], case, x)


def test_crabs_at_midpoints():
    """Pearson (1894), the first mixture ever fitted; here maximum likelihood with the classes at their midpoints."""
    case = CASES["pearson-crabs-points"]
    expected = case["expected"]
    x, crabs = data(case)
    start = {
        "weights": [0.41, 0.59],
        "means": [[0.633], [0.657]],
        "covariances": [[[0.018**2]], [[0.0125**2]]],
    }
    fit = em.fit(em.Mixture(em.Gaussian("full"), 2), x, weight=crabs, init=start, tol=1e-14, max_iter=20_000)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=case["tolerance"]["loglik_abs"])
    assert fit.params.weights[0] == pytest.approx(expected["weight1"], rel=1e-4)
    np.testing.assert_allclose(fit.params.means.ravel(), expected["means"], rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(fit.params.covariances.ravel()), expected["sds"], rtol=1e-4)
