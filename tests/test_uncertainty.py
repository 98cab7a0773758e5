"""Standard errors and rates against closed forms, published values and derivatives taken by hand."""

import numpy as np
import pytest
from scipy.stats import norm

import emcore as em
from emcore.curvature import neighbourhood
from emcore.uncertainty import louis_information
from tests.registry import CASES

LINKAGE = np.array([[125.0, 18.0, 20.0, 34.0]])
THETA = {"theta": (15 + np.sqrt(53809)) / 394}  # the root of the likelihood equation
DEATHS = em.datasets.load("death_notices")
NOTICES, DAYS = DEATHS.select("notices").to_numpy(), DEATHS["days"].to_numpy()
HASSELBLAD = {
    "weights": [0.359885396984934802, 1 - 0.359885396984934802],
    "rates": [1.256095101224338, 2.663404356652473],
}
WAITING = em.datasets.load("old_faithful").select("waiting").to_numpy()
RNG = np.random.default_rng(11)


def named(*names):
    return pytest.mark.parametrize("case", [c for c in CASES if c.name in names], ids=lambda case: case.name)


def differences(function, at, steps):
    """The Hessian by fourth-order central differences of differences."""
    shifts, slope = (-2, -1, 1, 2), (1 / 12, -8 / 12, 8 / 12, -1 / 12)
    at, axes = np.asarray(at, dtype=float), np.diag(steps)

    def partial(f, axis):
        return lambda v: sum(c * f(v + s * axis) for s, c in zip(shifts, slope))

    matrix = [[partial(partial(function, a), b)(at) for b in axes] for a in axes]
    return np.array(matrix) / np.outer(steps, steps)


def test_linkage_has_the_information_and_the_rate_of_dempster_laird_and_rubin():
    """Closed forms of the information; .1328 is printed in the paper (1977, table 1)."""
    model, theta = em.genetics.linkage(), THETA["theta"]
    y1, y2, y3, y4 = LINKAGE[0]
    hidden = y1 * theta / (2 + theta)
    complete = (hidden + y4) / theta**2 + (y2 + y3) / (1 - theta) ** 2
    observed = y1 / (2 + theta) ** 2 + y4 / theta**2 + (y2 + y3) / (1 - theta) ** 2
    rate = em.rate(model, THETA, LINKAGE)
    assert rate.names == ("theta",)
    assert rate.complete_information == pytest.approx(np.array([[complete]]), rel=1e-8)
    assert rate.observed_information == pytest.approx(np.array([[observed]]), rel=1e-8)
    assert (complete, observed) == pytest.approx((435.317853799, 377.516900395), rel=1e-11)
    assert rate.from_information == pytest.approx(0.132778733746, abs=1e-9)
    assert rate.from_map == pytest.approx(0.132778733746, abs=1e-9)
    assert np.isnan(rate.from_iterates)
    assert em.standard_errors(model, THETA, LINKAGE).theta == pytest.approx(0.0514673492009, rel=1e-8)


def test_the_iterates_of_a_fit_and_of_a_trace_show_the_rate():
    fit = em.fit(em.genetics.linkage(), LINKAGE, init={"theta": 0.5}, trace=True)
    assert em.rate(fit).from_iterates == pytest.approx(0.132778733746, abs=1e-6)
    assert em.rate(fit.trace).from_iterates == pytest.approx(0.132778733746, abs=1e-6)
    short = em.fit(em.genetics.linkage(), LINKAGE, init={"theta": 0.5}, tol=0, max_iter=1)
    assert np.isnan(em.rate(short).from_iterates), "one move has no ratio"


def test_hasselblads_slow_mixture():
    """Rate and standard errors from 30-digit arithmetic; turboEM's vignette prints .1948, .3503, .2507 (numerical)."""
    model = em.Mixture(em.Poisson(), 2)
    rate = em.rate(model, HASSELBLAD, NOTICES, weight=DAYS)
    assert rate.from_information == pytest.approx(0.9956662232, abs=2e-9)
    assert rate.from_map == pytest.approx(0.9956662232, abs=2e-9)
    assert rate.names == ("weights[0]", "rates[0, 0]", "rates[1, 0]")
    near = {"weights": [0.36, 0.64], "rates": [1.2563, 2.6636]}
    fit = em.fit(model, NOTICES, weight=DAYS, init=near)
    assert em.rate(fit).from_iterates == pytest.approx(0.9956662232, abs=1e-5)
    for method in ("hessian", "louis"):
        errors = em.standard_errors(model, HASSELBLAD, NOTICES, weight=DAYS, method=method)
        assert errors.weights == pytest.approx([0.194684299, 0.194684299], rel=1e-7)
        assert errors.rates.ravel() == pytest.approx([0.350029711, 0.25047827], rel=1e-7)


def test_a_mixture_of_normals_against_derivatives_of_scipys_densities():
    fit = em.fit(em.Mixture(em.Gaussian("tied"), 2), WAITING)

    def log_likelihood(v):
        weight, low, high, variance = v
        sd = np.sqrt(variance)
        return np.log(weight * norm.pdf(WAITING, low, sd) + (1 - weight) * norm.pdf(WAITING, high, sd)).sum()

    w, m, c = fit.params.weights, fit.params.means.ravel(), fit.params.covariances.ravel()
    hessian = differences(log_likelihood, [w[0], *m, *c], [0.003, 0.05, 0.05, 0.3])
    direct = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    errors = fit.standard_errors()
    ours = [errors.weights[0], *errors.means.ravel(), *errors.covariances.ravel()]
    np.testing.assert_allclose(ours, direct, rtol=1e-5)
    np.testing.assert_allclose(em.rate(fit).observed_information, -hessian, rtol=1e-5, atol=1e-5)


def test_one_normal_has_textbook_standard_errors():
    """Of a mean s/√n; of a covariance √((s_ii s_jj + s_ij²)/n)."""
    x = RNG.multivariate_normal([1.0, 1e3], [[2.0, 3.0], [3.0, 50.0]], 80)
    errors = em.fit(em.Mixture(em.Gaussian(), 1), x).standard_errors(x)
    s = np.cov(x.T, bias=True)
    np.testing.assert_allclose(errors.means[0], np.sqrt(np.diag(s) / 80), rtol=1e-7)
    spreads = np.sqrt((np.outer(np.diag(s), np.diag(s)) + s**2) / 80)
    np.testing.assert_allclose(errors.covariances[0], spreads, rtol=1e-6)
    assert np.isnan(errors.weights).all(), "the weight of a lone component is not estimated"


def test_numbers_on_a_boundary_have_no_standard_error():
    x = np.column_stack([np.ones(60), RNG.random((60, 2)) < [0.3, 0.6]]).astype(float)
    errors = em.fit(em.Mixture(em.Bernoulli(), 1), x).standard_errors()
    p = x.mean(axis=0)
    np.testing.assert_allclose(errors.probs, [[np.nan, *np.sqrt(p * (1 - p) / 60)[1:]]], rtol=1e-8)
    fixed = em.Mixture(em.Binomial(10), 2, fixed_weights=(0.5, 0.5))
    heads = em.datasets.load("coin_tosses").select("heads").to_numpy()
    errors = em.fit(fixed, heads).standard_errors()
    assert np.isnan(errors.weights).all()
    assert np.isfinite(errors.probs).all()


def test_a_prior_counts_as_information():
    """One Poisson rate under Gamma: the log posterior (a + Σx) log λ - (b + n) λ has -∂² = (a + Σx)/λ²."""
    x = RNG.poisson(3.0, (25, 1)).astype(float)
    fit = em.fit(em.Mixture(em.Poisson(prior=(5.0, 2.0)), 1), x)
    shape = 5.0 + x.sum()
    assert fit.params.rates == pytest.approx(shape / 27.0)
    assert fit.standard_errors().rates == pytest.approx(np.sqrt(shape) / 27.0, rel=1e-8)


@named("gaussian-full", "gaussian-diag-holes", "poisson-prior", "binomial-fixed-weights", "bernoulli", "exponential")
def test_louis_and_the_em_map_agree_with_second_derivatives(case):
    """Complete minus missing information; and I - I_c⁻¹I_o as the Jacobian of EM, as in Meng & Rubin (1991)."""
    fit = em.fit(case.model, case.x, init=case.init, restarts=2, tol=1e-15)
    direct, louis = (fit.standard_errors(method=method) for method in ("hessian", "louis"))
    for name, a, b in zip(direct._fields, direct, louis):
        np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=name)
    rate = em.rate(fit)
    assert rate.from_map == pytest.approx(rate.from_information, abs=1e-6)
    assert (rate.fractions > -1e-7).all()
    assert (rate.fractions < 1).all()


def test_whole_weights_are_repeated_rows():
    weight = RNG.integers(0, 4, len(WAITING))
    model = em.Mixture(em.Gaussian("diag"), 2)
    fit = em.fit(model, WAITING, weight=weight)
    repeated = np.repeat(WAITING, weight, axis=0)
    for method in ("hessian", "louis"):
        weighted = em.standard_errors(model, fit.params, WAITING, weight=weight, method=method)
        written_out = em.standard_errors(model, fit.params, repeated, method=method)
        for a, b in zip(weighted, written_out):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    for a, b in zip(fit.standard_errors(WAITING), fit.standard_errors(repeated)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (1e-5, 0.0), (1.0, 1e6)])
def test_standard_errors_carry_the_units_of_the_data(scale, shift):
    model = em.Mixture(em.Gaussian("full"), 2)
    fit = em.fit(model, WAITING, restarts=1)
    other = em.fit(model, WAITING * scale + shift, init=fit.responsibilities(WAITING))
    one, two = fit.standard_errors(), other.standard_errors()
    np.testing.assert_allclose(two.means, one.means * scale, rtol=1e-4)
    np.testing.assert_allclose(two.covariances, one.covariances * scale**2, rtol=1e-4)
    assert em.rate(other).from_information == pytest.approx(em.rate(fit).from_information, abs=1e-5)


def test_what_has_no_standard_errors_is_refused():
    heads = em.datasets.load("coin_tosses").select("heads").to_numpy()
    coins = em.Mixture(em.Binomial(10), 2, fixed_weights=(0.5, 0.5))
    with pytest.raises(ValueError, match="no strict maximum, the log-likelihood rises"):
        em.standard_errors(coins, {"weights": [0.5, 0.5], "probs": [0.66, 0.66]}, heads)
    once = np.array([[1.0]] * 14 + [[0.0]] * 11)  # a mixture of coins tossed once: only its mean is determined
    with pytest.raises(ValueError, match="flat"):
        em.standard_errors(em.Mixture(em.Binomial(1), 2), {"weights": [0.4, 0.6], "probs": [0.2, 0.8]}, once)
    with pytest.raises(ValueError, match="standard errors away"):
        em.standard_errors(coins, {"weights": [0.5, 0.5], "probs": [0.75, 0.55]}, heads)
    with pytest.raises(ValueError, match='"hessian" or "louis"'):
        em.standard_errors(coins, {"weights": [0.5, 0.5], "probs": [0.8, 0.52]}, heads, method="magic")
    with pytest.raises(TypeError, match="log_joint"):
        em.standard_errors(em.genetics.linkage(), THETA, LINKAGE, method="louis")


def test_louis_information_of_one_coin_of_known_origin_is_complete():
    """Far apart, nothing is missing: each p has information tosses/(p(1 - p)), times (p(1 - p))² in log-odds."""
    x = np.array([[0.0], [1.0], [99.0], [98.0]])
    model = em.Mixture(em.Binomial(100), 2)
    fit = em.fit(model, x, init=np.array([0, 0, 1, 1]))
    information = louis_information(neighbourhood(fit.problem, fit.params))
    p = np.array([0.005, 0.985])
    np.testing.assert_allclose(information, np.diag([1.0, *(200 * p * (1 - p))]), rtol=1e-7, atol=1e-7)
