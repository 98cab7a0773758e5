"""Slices, kinds of stationary points and many starts, against closed forms and published landscapes."""

import numpy as np
import pytest
from scipy.stats import binom, multinomial, norm

import emcore as em
from emcore.optima import matched
from emcore.trace import pose

LINKAGE = np.array([[125.0, 18.0, 20.0, 34.0]])
HEADS = em.datasets.load("coin_tosses").select("heads").to_numpy()
COINS = em.Mixture(em.Binomial(10), 2, fixed_weights=(0.5, 0.5))
IRIS = em.datasets.load("iris").select("sepal_length", "sepal_width", "petal_length", "petal_width").to_numpy()
WAITING = em.datasets.load("old_faithful").select("waiting").to_numpy()


def slope(values, grid):
    """At the middle of five even places, to fourth order."""
    return (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * (grid[1] - grid[0]))


def touches(line, at):
    middle = len(line.grid) // 2
    assert line.at == pytest.approx(at)
    assert line.grid[middle] == pytest.approx(at)
    size = 1 + abs(line.log_likelihood[middle])
    assert line.elbo[middle] == pytest.approx(line.log_likelihood[middle], abs=1e-10 * size)
    assert slope(line.bound, line.grid) == pytest.approx(slope(line.objective, line.grid), rel=1e-5, abs=1e-5)
    assert abs(slope(line.objective, line.grid)) > 1e-3, "a slope of zero would show nothing"
    assert (line.elbo <= line.log_likelihood + 1e-10 * size).all()


def test_the_bound_of_linkage_is_the_curve_of_dempster_laird_and_rubin():
    """log p by scipy's multinomial; the bound in closed form; its top is the first iterate, .608247."""
    grid = np.linspace(0.01, 0.99, 981)
    line = em.bound_slice(em.genetics.linkage(), {"theta": 0.5}, LINKAGE, "theta", grid)
    cells = np.stack([0.5 + grid / 4, (1 - grid) / 4, (1 - grid) / 4, grid / 4], axis=1)
    np.testing.assert_allclose(line.log_likelihood, multinomial.logpmf(LINKAGE[0], 197, cells), rtol=1e-10)
    hidden = 125 * 0.5 / 2.5
    complete = (hidden + 34) * np.log(grid) + 38 * np.log(1 - grid)
    here = np.flatnonzero(np.isclose(grid, 0.5))[0]
    np.testing.assert_allclose(line.elbo - line.elbo[here], complete - complete[here], atol=1e-10)
    assert line.elbo[here] == pytest.approx(line.log_likelihood[here], abs=1e-12)
    assert line.grid[line.elbo.argmax()] == pytest.approx(0.608247, abs=0.001)
    ends = em.bound_slice(em.genetics.linkage(), {"theta": 0.5}, LINKAGE, "theta", [0.0, 1.0])
    assert np.isneginf(ends.log_likelihood).all()
    assert np.isneginf(ends.elbo).all()


@pytest.mark.parametrize(
    ("along", "at"),
    [
        (("means", (0, 0)), 60.0),
        (("weights", 1), 0.6),
        (("covariances", (1, 0, 0)), 30.0),
        ({"weights": [0.2, 0.8], "means": [70.0, 50.0], "covariances": [9.0, 40.0]}, 0.0),
        (np.array([1.0, 0.5, -1.0, 0.2, 0.3]), 0.0),
    ],
    ids=["mean", "weight", "variance", "other params", "direction"],
)
@pytest.mark.parametrize("prior", [None, "fraley-raftery"])
def test_value_and_slope_of_the_bound_agree_where_it_touches(along, at, prior):
    params = {"weights": [0.4, 0.6], "means": [60.0, 78.0], "covariances": [50.0, 30.0]}
    model = em.Mixture(em.Gaussian("full", prior=prior), 2)
    weight = np.random.default_rng(0).integers(0, 3, len(WAITING))
    touches(em.bound_slice(model, params, WAITING, along, at + 1e-3 * np.arange(-2, 3), weight=weight), at)
    wide = em.bound_slice(model, params, WAITING, along, at * np.linspace(0.5, 1.5, 9), weight=weight)
    assert (wide.elbo <= wide.log_likelihood + 1e-9).all()


def test_a_line_to_other_params_arrives_there():
    ends = [{"weights": [0.5, 0.5], "probs": p} for p in ([0.6, 0.5], [0.9, 0.2])]
    line = em.bound_slice(COINS, ends[0], HEADS, ends[1], [0.0, 1.0])
    for value, p in zip(line.log_likelihood, ([0.6, 0.5], [0.9, 0.2])):
        assert value == pytest.approx(np.log(binom.pmf(HEADS, 10, p).mean(axis=1)).sum())


def test_a_one_hot_q_is_below_by_minus_log_of_the_largest_responsibility():
    params = {"weights": [0.5, 0.5], "probs": [0.6, 0.5]}
    params_t = COINS.check_params(params, COINS.check(HEADS))
    q = em.hard(COINS, params_t, HEADS, None)
    line = em.bound_slice(COINS, params, HEADS, ("probs", (0, 0)), [0.6], q=q)
    largest = COINS.posterior(params_t, HEADS).probs.max(axis=1)
    assert line.log_likelihood[0] - line.elbo[0] == pytest.approx(-np.log(largest).sum())


@pytest.mark.parametrize(
    ("along", "grid", "words"),
    [
        ("rates", [0.5], "no field 'rates'"),
        ("probs", [0.5], "name one number"),
        (("probs", (2, 0)), [0.5], "name one number"),
        (("probs", (0, 0)), [1.5], "params.probs must be between 0 and 1"),
        (("probs", (0, 0)), [[0.5]], "grid must be a vector"),
        (np.zeros(3), [0.0], "must have shape"),
        ({"weights": [0.5, 0.5], "probs": [1.0, 0.2]}, [0.0], "params.probs is on a boundary"),
    ],
)
def test_a_line_that_cannot_be_drawn_is_refused(along, grid, words):
    with pytest.raises(ValueError, match=words):
        em.bound_slice(COINS, {"weights": [0.5, 0.5], "probs": [0.6, 0.5]}, HEADS, along, grid)


def test_two_coins_started_equal_stand_on_a_saddle():
    """H_aa = Σ d_i/2 + s_i²/4, H_ab = -Σ s_i²/4 with s, d the first two derivatives of log p(x_i): +59.4 and -111.4."""
    p, x = 0.66, HEADS[:, 0]
    s, d = (x - 10 * p) / (p * (1 - p)), -(x / p**2 + (10 - x) / (1 - p) ** 2)
    same, cross = (d / 2 + s**2 / 4).sum(), -(s**2).sum() / 4
    point = em.stationary_point(COINS, {"weights": [0.5, 0.5], "probs": [p, p]}, HEADS)
    assert point.kind == "saddle"
    assert point.names == ("probs[0, 0]", "probs[1, 0]")
    np.testing.assert_allclose(point.hessian, [[same, cross], [cross, same]], rtol=1e-7)
    np.testing.assert_allclose(np.linalg.eigvalsh(point.hessian), [-111.408199, 59.378023], rtol=1e-6)
    np.testing.assert_allclose(point.eigenvalues, np.array([-111.408199, 59.378023]) * (p * (1 - p)) ** 2, rtol=1e-6)
    assert point.direction[0] == pytest.approx(-point.direction[1])
    assert "weights[0]" in point.message
    line = em.bound_slice(COINS, {"weights": [0.5, 0.5], "probs": [p, p]}, HEADS, point.direction, [-1.0, 0.0, 1.0])
    assert line.log_likelihood[1] < min(line.log_likelihood[0], line.log_likelihood[2])


def test_where_em_ends_from_unequal_coins_is_a_maximum():
    fit = em.fit(COINS, HEADS, init={"weights": [0.5, 0.5], "probs": [0.6, 0.5]})
    assert em.stationary_point(COINS, fit.params, HEADS).kind == "maximum"
    start = em.stationary_point(COINS, {"weights": [0.5, 0.5], "probs": [0.7, 0.6]}, HEADS)
    assert start.kind == "not stationary"
    assert "gains about" in start.message


def test_murrays_saddle():
    """Murray (1977): between two maxima at ρ = ±1/2 with variance 8/3, EM from ρ = 0 stays at variance 5/2."""
    x = em.datasets.load("murray").to_numpy()
    model = em.MissingNormal()
    saddle = em.stationary_point(model, {"mean": [0.0, 0.0], "covariance": [[2.5, 0.0], [0.0, 2.5]]}, x)
    assert saddle.kind == "saddle"
    assert (saddle.eigenvalues > 1e-3).sum() == 1
    top = em.stationary_point(model, {"mean": [0.0, 0.0], "covariance": [[8 / 3, 4 / 3], [4 / 3, 8 / 3]]}, x)
    assert top.kind == "maximum"


def test_a_flat_place_is_called_so():
    """Coins tossed once: only the mean of the mixture is determined, here .4 × .2 + .6 × .8 = 14/25."""
    x = np.array([[1.0]] * 14 + [[0.0]] * 11)
    point = em.stationary_point(em.Mixture(em.Binomial(1), 2), {"weights": [0.4, 0.6], "probs": [0.2, 0.8]}, x)
    assert point.kind == "flat"
    assert "2 of 3 directions" in point.message


def test_em_may_rest_on_a_minimum():
    """Pairs alike with probability t² + (1 - t)²: at t = 1/2 the second derivative is 8 (alike - unlike)."""
    model = em.MergedMultinomial({"t": "t"}, ("t*t + (1 - t)*(1 - t)", "2*t*(1 - t)"))
    x = np.array([[70.0, 30.0]])
    point = em.stationary_point(model, {"t": 0.5}, x)
    assert point.kind == "minimum"
    np.testing.assert_allclose(point.hessian, [[320.0]], rtol=1e-7)
    assert em.fit(model, x, init={"t": 0.5}).params.t == pytest.approx(0.5)
    assert em.stationary_point(model, {"t": 0.5}, x[:, ::-1]).kind == "maximum"


def test_away_from_rest_the_hessian_is_still_that_of_the_numbers():
    """Against differences of scipy's normal densities, where the slopes are far from zero."""
    x, at, steps = WAITING[:40, 0], np.array([0.3, 58.0, 75.0, 36.0, 49.0]), np.array([0.003, 0.05, 0.05, 0.3, 0.3])

    def log_likelihood(v):
        first, second = norm.pdf(x, v[1], np.sqrt(v[3])), norm.pdf(x, v[2], np.sqrt(v[4]))
        return np.log(v[0] * first + (1 - v[0]) * second).sum()

    def second(a, b):
        corners = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
        return sum(s * t * log_likelihood(at + s * a + t * b) for s, t in corners) / 4

    direct = np.array([[second(a, b) for b in np.diag(steps)] for a in np.diag(steps)]) / np.outer(steps, steps)
    params = {"weights": [0.3, 0.7], "means": at[1:3], "covariances": at[3:]}
    point = em.stationary_point(em.Mixture(em.Gaussian("diag"), 2), params, x[:, None])
    assert point.kind == "not stationary"
    np.testing.assert_allclose(point.hessian, direct, rtol=2e-3, atol=2e-4)


def test_many_starts_on_iris_find_the_published_maximum_among_many():
    """The likelihood of mclust's fit, -180.1855, is the best sound optimum; degenerate runs are told apart."""
    found = em.multistart(em.Mixture(em.Gaussian("full"), 3), IRIS, restarts=60, seed=0)
    assert found.best.objective == pytest.approx(-180.185477131, abs=1e-5)
    assert found.best.starts >= 15
    n = len(found.fit.restarts)
    assert 50 <= n <= 60, "equal starts count once"
    assert sorted(run for optimum in found for run in optimum.runs) == list(range(n))
    assert sum(optimum.starts for optimum in found) == n
    assert sum(optimum.share for optimum in found) == pytest.approx(1.0)
    sound = [optimum for optimum in found if optimum.sound]
    lost = [optimum for optimum in found if not optimum.sound]
    assert len(sound) >= 5
    assert {optimum.status for optimum in lost} == {em.Status.DEGENERATE}
    assert list(found)[: len(sound)] == sound, "sound optima come first"
    values = [optimum.objective for optimum in sound]
    assert values == sorted(values, reverse=True)
    assert any(optimum.objective > found.best.objective for optimum in lost), "the highest value is a broken fit"
    assert em.stationary_point(found.fit.model, found.best.params, IRIS).kind == "maximum"
    assert found.to_frame().shape == (len(found), 6)


def test_one_optimum_in_different_orders_is_one():
    model = em.Mixture(em.Gaussian("diag"), 2)
    found = em.multistart(model, WAITING, restarts=12, seed=1)
    assert len(found) == 1
    assert found[0].starts == len(found.fit.restarts) > 8
    firsts = {round(float(run.params.means[0, 0])) for run in found.fit.restarts}
    assert len(firsts) == 2, "the runs themselves end in both orders"


def test_matching_undoes_any_relabelling():
    model = em.Mixture(em.Gaussian("full"), 3)
    fit = em.fit(model, IRIS, restarts=5)
    problem = pose(model, IRIS)
    for order in ([1, 2, 0], [2, 1, 0], [0, 2, 1]):
        back = matched(problem, model.relabel(fit.params, order), fit.params)
        for a, b in zip(back, fit.params):
            np.testing.assert_array_equal(a, b)


def test_many_starts_take_weights_and_refuse_a_fixed_start():
    table, days = em.datasets.load("death_notices").select("notices"), em.datasets.load("death_notices")["days"]
    found = em.multistart(em.Mixture(em.Poisson(), 2), table, restarts=4, weight=days, tol=1e-10)
    assert found.best.objective == pytest.approx(-1989.94586, abs=1e-4)
    with pytest.raises(ValueError, match="name a random start"):
        em.multistart(COINS, HEADS, init={"weights": [0.5, 0.5], "probs": [0.6, 0.5]})


def test_where_every_start_is_lost_there_is_no_best():
    x = np.repeat([[0.0], [1.0]], 10, axis=0)
    found = em.multistart(em.Mixture(em.Gaussian("full"), 2), x, restarts=3)
    assert not any(optimum.sound for optimum in found)
    with pytest.raises(ValueError, match="starts ended sound"):
        _ = found.best
