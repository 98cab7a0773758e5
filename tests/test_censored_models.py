"""Truncated laws and censored responses against scipy, asymptotic series and direct optimisation."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import erfcx, log_ndtr

import emcore as em
from emcore.models.censored_exponential import truncated_exponential
from emcore.models.truncated import truncated_normal
from tests.optima import agrees_with_direct_optimisation

RNG = np.random.default_rng(1979)
PLANE = np.column_stack([RNG.normal(size=(80, 2)), np.zeros(80)])
PLANE[:, 2] = 1.0 + PLANE[:, 0] - 2.0 * PLANE[:, 1] + RNG.standard_t(2, 80)


def test_truncated_normal_moments_are_scipys():
    lower = np.array([-1.0, 0.5, -np.inf, 2.0, -np.inf, -3.0, 4.0])
    upper = np.array([2.0, np.inf, -1.0, 2.5, np.inf, np.inf, 4.0])
    means, scale = np.array([0.3, -1.0, 0.5, 1.0, 2.0, 1.0, 0.0]), 1.7
    q = truncated_normal(means, np.array(scale), lower, upper)
    for i in range(6):
        law = stats.truncnorm((lower[i] - means[i]) / scale, (upper[i] - means[i]) / scale, means[i], scale)
        assert q.expectation[i] == pytest.approx(law.mean(), rel=1e-10)
        assert q.variance[i] == pytest.approx(law.var(), rel=1e-8)
        assert q.entropy()[i] == pytest.approx(law.expect(lambda z: -law.logpdf(z)), rel=1e-7)  # noqa: B023
        normal = stats.norm(means[i], scale)
        assert q.log_mass[i] == pytest.approx(np.log(normal.cdf(upper[i]) - normal.cdf(lower[i])), rel=1e-10, abs=1e-13)
    assert (q.expectation[6], q.variance[6], q.entropy()[6], q.log_mass[6]) == (4.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("a", [5.0, 40.0, 1e3, 1e6])
def test_far_tails_follow_the_asymptotic_series(a):
    """Mills' ratio: log P = log φ(a) - log a - 1/a² + 5/(2a⁴) - …; E z - a = 1/a - 2/a³ + …, var = 1/a² - 6/a⁴ + …"""
    for sign in (1.0, -1.0):
        ends = (np.array([a]), np.array([np.inf])) if sign > 0 else (np.array([-np.inf]), np.array([-a]))
        q = truncated_normal(np.zeros(1), np.array(1.0), *ends)
        assert q.log_mass[0] == pytest.approx(log_ndtr(-a), rel=1e-14)
        assert sign * q.expectation[0] == pytest.approx(np.sqrt(2 / np.pi) / erfcx(a / np.sqrt(2)), rel=1e-14)
        # var = 1 - (E z)(E z - a); E z - a = 1/a - 2/a³ + 10/a⁵ - 74/a⁷ + …, summed where it has converged
        if a >= 40.0:
            series = 1 / a**2 - 6 / a**4 + 50 / a**6 - 518 / a**8
            assert q.variance[0] == pytest.approx(series, rel=1e-8)


def test_narrow_intervals_are_uniform():
    width = 2.0**-30
    q = truncated_normal(np.zeros(1), np.array(1.0), np.array([1.5]), np.array([1.5 + width]))
    assert q.variance[0] == pytest.approx(width**2 / 12, rel=1e-6)
    assert q.log_mass[0] == pytest.approx(np.log(width) + stats.norm.logpdf(1.5), rel=1e-9)
    assert q.entropy()[0] == pytest.approx(np.log(width), rel=1e-9)


def test_divergence_of_truncated_normals_is_an_integral_and_keeps_its_digits():
    lower, upper = np.array([0.2, -np.inf, -1.0, 6.0]), np.array([np.inf, 0.4, 1.5, np.inf])
    q = truncated_normal(np.full(4, 0.3), np.array(1.2), lower, upper)
    p = truncated_normal(np.full(4, -0.8), np.array(1.9), lower, upper)
    for i in range(4):
        ours, theirs = (
            stats.truncnorm((lower[i] - m) / s, (upper[i] - m) / s, m, s) for m, s in ((0.3, 1.2), (-0.8, 1.9))
        )
        ratio = ours.expect(lambda z: ours.logpdf(z) - theirs.logpdf(z), epsabs=1e-13)  # noqa: B023
        assert q.kl(p)[i] == pytest.approx(ratio, rel=1e-7)
    step = 2.0**-36
    near = truncated_normal(np.full(4, 0.3 + step), np.array(1.2), lower, upper)
    np.testing.assert_allclose(q.kl(near), 0.5 * q.variance * step**2 / 1.2**4, rtol=1e-8)
    np.testing.assert_array_equal(q.kl(q), np.zeros(4))


def test_truncated_exponential_is_scipys():
    lower, upper = np.array([0.0, 2.0, 1.0, 3.0, 5.0]), np.array([np.inf, np.inf, 4.0, 3.0 + 1e-7, 5.0])
    q, p = (truncated_exponential(np.array(rate), lower, upper) for rate in (0.7, 0.9))
    for i in range(4):
        ours, theirs = (stats.truncexpon(r * (upper[i] - lower[i]), lower[i], 1 / r) for r in (0.7, 0.9))
        if np.isinf(upper[i]):
            ours, theirs = (stats.expon(lower[i], 1 / r) for r in (0.7, 0.9))
        assert q.expectation[i] == pytest.approx(ours.mean(), rel=1e-8)
        if i < 3:
            assert q.entropy()[i] == pytest.approx(ours.entropy(), rel=1e-8)
            ratio = ours.expect(lambda z: ours.logpdf(z) - theirs.logpdf(z))  # noqa: B023
            assert q.kl(p)[i] == pytest.approx(ratio, rel=1e-6)
    assert q.entropy()[3] == pytest.approx(np.log(1e-7), rel=1e-8)
    assert q.kl(p)[3] == pytest.approx(0.5 * 0.2**2 * 1e-14 / 12, rel=1e-5)
    assert (q.entropy()[4], q.kl(p)[4], q.expectation[4]) == (0.0, 0.0, 5.0)


def censored_plane(n=150, kinds=4):
    v = RNG.normal(size=(n, 2))
    z = 2.0 + v[:, 0] - 0.5 * v[:, 1] + RNG.normal(0.0, 0.8, n)
    kind = np.arange(n) % kinds
    lower = np.select([kind == 1, kind == 2, kind == 3], [np.minimum(z, 2.0), -np.inf, np.floor(z)], z)
    upper = np.select([kind == 1, kind == 2, kind == 3], [np.where(z < 2.0, z, np.inf), z + 0.5, np.floor(z) + 1], z)
    return np.column_stack([v, lower, upper])


def test_censored_regression_is_the_direct_optimum_of_scipys_likelihood():
    x = censored_plane()
    fit = em.fit(em.CensoredRegression(), x, restarts=2)
    beta, scale = fit.params
    law = stats.norm(beta[0] + x[:, :2] @ beta[1:], scale)
    observed = x[:, 2] == x[:, 3]
    mass = np.where(observed, 1.0, law.cdf(x[:, 3]) - law.cdf(x[:, 2]))
    rows = np.where(observed, law.logpdf(np.where(observed, x[:, 2], 0.0)), np.log(mass))
    np.testing.assert_allclose(fit.model.log_likelihood(fit.params, x), rows, rtol=1e-10, atol=1e-12)
    agrees_with_direct_optimisation(fit)
    np.testing.assert_allclose(beta, [2.0, 1.0, -0.5], atol=0.3)


def test_nothing_censored_is_least_squares_and_an_unknown_response_says_nothing():
    x = np.column_stack([PLANE, PLANE[:, 2]])
    fit = em.fit(em.CensoredRegression(), x, restarts=1)
    design = np.column_stack([np.ones(len(PLANE)), PLANE[:, :2]])
    np.testing.assert_allclose(fit.params.coefficients, np.linalg.lstsq(design, PLANE[:, 2])[0], rtol=1e-10)
    unknown = np.concatenate([x, [[5.0, -5.0, -np.inf, np.inf]]])
    more = em.fit(em.CensoredRegression(), unknown, restarts=1)
    np.testing.assert_allclose(more.params.coefficients, fit.params.coefficients, rtol=1e-6)
    assert more.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-8)


def test_tobit_recovers_what_zeros_hide():
    v = RNG.normal(size=400)
    z = -0.3 + v + RNG.normal(0.0, 0.6, 400)
    x = np.column_stack([v, np.where(z > 0, z, -np.inf), np.maximum(z, 0.0)])
    fit = em.fit(em.CensoredRegression(), x, restarts=1)
    np.testing.assert_allclose([*fit.params.coefficients, fit.params.scales], [-0.3, 1.0, 0.6], atol=0.12)
    naive = np.polyfit(v, np.maximum(z, 0.0), 1)
    assert naive[0] < 0.7 < fit.params.coefficients[1]


BAD_INTERVALS = [
    ("reversed", [[0.0, 2.0, 1.0]], "row 0 of x has lower = 2 and upper = 1"),
    ("upper-minus-infinity", [[0.0, -np.inf, -np.inf]], "row 0"),
    ("lower-infinity", [[0.0, np.inf, np.inf]], "row 0"),
    ("nan", [[0.0, np.nan, 1.0]], "missing"),
    ("infinite-predictor", [[np.inf, 0.0, 1.0]], "infinite value at row 0, column 0"),
    ("all-right-censored", [[v, v % 3, np.inf] for v in range(9)], "no row of x has an upper end"),
    ("all-left-censored", [[v, -np.inf, v % 3] for v in range(9)], "no row of x has a lower end"),
    ("collinear", [[v, 2 * v, v % 3, v % 3] for v in range(9)], "predictor column 1"),
    ("one-column", [[1.0], [2.0]], "end in the columns lower and upper"),
]


@pytest.mark.parametrize(("x", "words"), [row[1:] for row in BAD_INTERVALS], ids=[row[0] for row in BAD_INTERVALS])
def test_impossible_intervals_are_refused(x, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        em.fit(em.CensoredRegression(), np.array(x, dtype=float))


def test_right_censored_waiting_times_have_a_closed_form():
    z = RNG.exponential(5.0, 60)
    x = np.column_stack([np.minimum(z, 4.0), np.where(z < 4.0, z, np.inf)])
    weight = RNG.integers(1, 4, 60).astype(float)
    fit = em.fit(em.CensoredExponential(), x, restarts=2, weight=weight)
    assert fit.params.rates == pytest.approx((weight * (z < 4.0)).sum() / (weight * x[:, 0]).sum(), rel=1e-7)


def test_interval_censored_waiting_times_are_the_direct_optimum():
    z = RNG.exponential(5.0, 90)
    lower = np.select([np.arange(90) % 3 == 1, np.arange(90) % 3 == 2], [np.floor(z), -np.inf], z)
    upper = np.select([np.arange(90) % 3 == 1, np.arange(90) % 3 == 2], [np.floor(z) + 1.0, 2.0 * z], z)
    x = np.column_stack([lower, upper])
    fit = em.fit(em.CensoredExponential(), x, restarts=1)
    agrees_with_direct_optimisation(fit)
    law = stats.expon(scale=1.0 / fit.params.rates)
    rows = np.where(
        lower == upper, law.logpdf(np.maximum(lower, 0.0)), np.log(law.cdf(upper) - law.cdf(lower) + (lower == upper))
    )
    np.testing.assert_allclose(fit.model.log_likelihood(fit.params, x), rows, rtol=1e-9)


def test_waiting_times_without_an_event_or_a_wait_are_refused():
    for x, words in (
        ([[1.0, np.inf], [2.0, np.inf]], "right-censored"),
        ([[0.0, 1.0], [-np.inf, 2.0]], "infinite rate"),
        ([[-1.0, 2.0], [1.0, 1.0]], r"waiting times are > 0, but row 0"),
        ([[0.0, 0.0], [1.0, 1.0]], "row 0"),
        ([[0.0, 1.0, 1.0]], "two columns"),
    ):
        with pytest.raises(ValueError, match=words):
            em.fit(em.CensoredExponential(), np.array(x))
