"""Kernels against exact arithmetic, closed forms and brute force."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emcore as em
from emcore.divergence import entropy_gaussian, excess, kl_gaussian, kl_rows
from emcore.numerics import log_sum_exp_rows, normalize_log_rows
from emcore.parameters import Coordinates


@given(st.floats(min_value=-0.5, max_value=2.0).filter(lambda u: abs(u) > 1e-30))
def test_excess_keeps_its_relative_precision(u):
    """u - log(1 + u), by 60 terms of the series in exact fractions for small u, directly otherwise."""
    if abs(u) < 0.1:
        v = Fraction(u)
        exact = float(sum((-1) ** n * v**n / n for n in range(2, 24)))
    else:
        exact = u - np.log1p(u)
    assert float(excess(np.array(u))) == pytest.approx(exact, rel=1e-12)


def test_kl_of_nearly_equal_tables_keeps_its_digits():
    """KL(q ‖ q(1 + εv)) = ½ε² Σ q v² + O(ε³) with Σ q v = 0: far below the rounding of any log-likelihood."""
    q = np.array([[0.2, 0.3, 0.5]])
    v = np.array([1.0, 1.0, -1.0])
    for epsilon in (1e-3, 1e-6, 1e-10):
        p = q * (1 + epsilon * v)
        assert kl_rows(q, p)[0] == pytest.approx(0.5 * epsilon**2, rel=max(2 * epsilon, 1e-5))


def test_kl_edge_cases():
    one_hot, flat = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert kl_rows(one_hot, flat)[0] == pytest.approx(np.log(2), rel=1e-15)
    assert kl_rows(flat, one_hot)[0] == np.inf
    assert kl_rows(one_hot, one_hot)[0] == 0.0
    assert em.kl(flat, flat)[0] == 0.0


def test_a_probability_that_underflowed_keeps_its_logarithm():
    log_p = np.array([[-800.0, 0.0]])
    p = np.exp(log_p)
    q = np.array([[0.5, 0.5]])
    assert p[0, 0] == 0.0
    assert kl_rows(q, p, None, log_p)[0] == pytest.approx(0.5 * (np.log(0.5) + 800.0) + 0.5 * np.log(0.5), rel=1e-14)


def test_kl_refuses_what_is_not_a_table_of_probabilities():
    with pytest.raises(ValueError, match="one shape"):
        em.kl([[0.5, 0.5]], [[0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match="p is not a table of probabilities"):
        em.kl([[0.5, 0.5]], [[0.6, 0.6]])


def test_gaussian_kl_and_entropy_are_the_textbook_formulas():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 3))
    cov_q, cov_p = a @ a.T + np.eye(3), b @ b.T + np.eye(3)
    mean_q, mean_p = rng.normal(size=(2, 3))
    inverse = np.linalg.inv(cov_p)
    expected = 0.5 * (
        np.trace(inverse @ cov_q) - 3 + (mean_q - mean_p) @ inverse @ (mean_q - mean_p)
        + np.log(np.linalg.det(cov_p) / np.linalg.det(cov_q))
    )  # fmt: skip
    factor_q, factor_p = np.linalg.cholesky(cov_q), np.linalg.cholesky(cov_p)
    assert kl_gaussian(mean_q, factor_q, mean_p, factor_p) == pytest.approx(expected, rel=1e-12)
    assert kl_gaussian(mean_q, factor_q, mean_q, factor_q) < 1e-29
    assert entropy_gaussian(factor_q) == pytest.approx(0.5 * np.log(np.linalg.det(2 * np.pi * np.e * cov_q)), rel=1e-12)


def test_rows_far_below_the_smallest_double_normalise():
    log_joint = np.array([[-1e5, -1e5 + np.log(3)], [0.0, -np.inf]])
    probs, log_p = normalize_log_rows(log_joint)
    np.testing.assert_allclose(probs, [[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_allclose(log_p, [-1e5 + np.log(4), 0.0])
    np.testing.assert_allclose(log_sum_exp_rows(log_joint), log_p)
    assert log_sum_exp_rows(np.full((1, 2), -np.inf))[0] == -np.inf
    with pytest.raises(ValueError, match="row 1 has log p"):
        normalize_log_rows(np.array([[0.0, 0.0], [-np.inf, -np.inf]]))


@pytest.mark.parametrize("shape", ["full", "tied", "diag", "spherical"])
def test_free_coordinates_go_there_and_back(shape):
    model = em.Mixture(em.Gaussian(shape), 3)
    x = np.random.default_rng(0).normal(size=(30, 2))
    params = next(em.steps(model, x, "random-rows")).params
    chart = Coordinates(model, params)
    assert chart.size == model.n_params(params)
    for a, b in zip(chart.from_vector(chart.to_vector(params)), params):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    far = chart.from_vector(chart.to_vector(params) + np.random.default_rng(1).normal(0, 3, chart.size))
    model.check_params(far, x)


def test_a_number_on_its_boundary_stays_there():
    model = em.Mixture(em.Poisson(), 2)
    params = model.check_params({"weights": [0.3, 0.7], "rates": [[0.0], [2.0]]}, np.zeros((1, 1)))
    chart = Coordinates(model, params)
    assert chart.size == 2
    assert chart.from_vector(chart.to_vector(params) + 1.0).rates[0, 0] == 0.0
