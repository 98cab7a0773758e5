"""Choosing a model: criteria by closed forms and published tables, folds, and a simulated likelihood ratio."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, poisson

import emcore as em
from emcore.selection import deal

IRIS = em.datasets.load("iris").select("sepal_length", "sepal_width", "petal_length", "petal_width").to_numpy()
DEATHS = em.datasets.load("death_notices")
NOTICES, DAYS = DEATHS.select("notices").to_numpy(), DEATHS["days"].to_numpy()
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def iris_selection():
    criteria = ("bic", "aic", "icl")
    return em.select(lambda k: em.Mixture(em.Gaussian(), k), IRIS, k=range(1, 4), criteria=criteria, restarts=20)


def test_bic_on_iris_is_mclusts(iris_selection):
    """mclust (Scrucca et al. 2016), model VVV, with the sign of this package: 574.0178 (K=2), 580.839 (K=3)."""
    assert [row.k for row in iris_selection] == [1, 2, 3]
    assert [row.n_params for row in iris_selection] == [14, 29, 44]
    assert iris_selection[1].bic == pytest.approx(574.01783227, abs=1e-4)
    assert iris_selection[2].bic == pytest.approx(580.838907203, abs=1e-4)
    assert iris_selection.best().k == 2
    assert iris_selection.best("aic").k == 3
    one = multivariate_normal(IRIS.mean(axis=0), np.cov(IRIS.T, bias=True)).logpdf(IRIS).sum()
    assert iris_selection[0].log_likelihood == pytest.approx(one)
    assert iris_selection[0].aic == pytest.approx(-2 * one + 28)
    assert iris_selection[0].icl == pytest.approx(iris_selection[0].bic), "with one component nothing is uncertain"


def test_icl_completes_the_data_with_the_most_probable_component(iris_selection):
    row = iris_selection[2]
    weights, means, covariances = row.fit.params
    joint = np.column_stack([w * multivariate_normal(m, c).pdf(IRIS) for w, m, c in zip(weights, means, covariances)])
    completed = np.log(joint.max(axis=1)).sum()
    assert row.icl == pytest.approx(-2 * completed + 44 * np.log(150), rel=1e-10)
    assert row.icl > row.bic


def test_a_table_of_the_criteria(iris_selection):
    frame = iris_selection.to_frame()
    assert frame.columns == ["k", "log_likelihood", "n_params", "bic", "aic", "icl", "held_out", "sound", "status"]
    assert frame["status"].to_list() == ["CONVERGED"] * 3
    assert frame["held_out"].is_nan().all(), "it was not asked for"
    with pytest.raises(ValueError, match="held_out"):
        iris_selection.best("held_out")


def test_held_out_likelihood_is_that_of_rows_not_fitted():
    """One normal: every fold by hand, from the rows that `deal` leaves."""
    row = em.select({"normal": em.Mixture(em.Gaussian(), 1)}, IRIS, criteria=["held_out"], folds=4, seed=3)[0]
    by_hand = 0.0
    for out in deal(np.ones(150), 4, np.random.default_rng(3)):
        kept = IRIS[out == 0]
        by_hand += multivariate_normal(kept.mean(axis=0), np.cov(kept.T, bias=True)).logpdf(IRIS[out == 1]).sum()
    assert row.k == "normal"
    assert row.held_out == pytest.approx(by_hand / 150, rel=1e-10)
    assert np.isnan([row.bic, row.aic, row.icl]).all()


def test_likelihood_always_says_more_and_held_out_does_not():
    x = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(6, 1, (60, 2))])
    table = em.select(lambda k: em.Mixture(em.Gaussian(), k), x, k=(1, 2, 5), restarts=4, tol=1e-8)
    likelihoods = [row.log_likelihood for row in table]
    assert likelihoods == sorted(likelihoods)
    assert [table.best(c).k for c in ("bic", "icl", "held_out")] == [2, 2, 2]


def test_a_frequency_table_is_cut_as_its_rows_would_be():
    models = [em.Mixture(em.Poisson(), 1)]
    table = em.select(models, NOTICES, weight=DAYS, seed=2)[0]
    rows = em.select(models, np.repeat(NOTICES, DAYS, axis=0), seed=2)[0]
    assert table.k == 1
    for name in ("log_likelihood", "bic", "aic", "icl", "held_out"):
        assert getattr(table, name) == pytest.approx(getattr(rows, name), rel=1e-10), name


def test_folds_share_out_the_weights():
    for weights in (np.ones(17), np.array([5.0, 0.0, 12.0, 3.0]), np.array([0.5, 1.5, 2.0, 3.25, 1.0])):
        folds = deal(weights, 3, np.random.default_rng(0))
        np.testing.assert_allclose(np.sum(folds, axis=0), weights)
        again = deal(weights, 3, np.random.default_rng(0))
        np.testing.assert_array_equal(folds, again)
    sizes = [fold.sum() for fold in deal(np.array([5.0, 0.0, 12.0, 3.0]), 3, np.random.default_rng(1))]
    assert sorted(sizes) == [6, 7, 7]
    parts = deal(np.array([0.5, 1.5, 2.0, 3.25, 1.0]), 2, np.random.default_rng(0))
    assert all(((part == 0) | (part == [0.5, 1.5, 2.0, 3.25, 1.0])).all() for part in parts)


def test_a_degenerate_candidate_is_marked_and_never_the_best():
    x = np.repeat([[0.0], [1.0]], 10, axis=0)
    table = em.select(lambda k: em.Mixture(em.Gaussian(), k), x, k=(1, 2), criteria=("bic",), restarts=2)
    assert [row.sound for row in table] == [True, False]
    assert table[1].status is em.Status.DEGENERATE
    assert table[1].bic < table[0].bic, "by its number alone it would win"
    assert table.best().k == 1
    folds = em.select([em.Mixture(em.Gaussian(), 2)], x, criteria=("held_out",), restarts=2)
    assert np.isnan(folds[0].held_out)


def test_models_without_components_have_no_icl_and_sequences_no_folds():
    table = em.select(em.PPCA, IRIS, k=(1, 2), criteria=("bic", "icl"), restarts=1)
    assert np.isnan(table[0].icl)
    assert table.best().k in (1, 2)
    with pytest.raises(ValueError, match="no sound candidate"):
        table.best("icl")


def test_bad_requests_are_refused():
    model = em.Mixture(em.Poisson(), 1)
    with pytest.raises(ValueError, match="criteria must be among"):
        em.select([model], NOTICES, criteria=("dic",))
    with pytest.raises(ValueError, match="needs k="):
        em.select(lambda k: em.Mixture(em.Poisson(), k), NOTICES)
    with pytest.raises(ValueError, match="models already made"):
        em.select([model], NOTICES, k=(1, 2))
    with pytest.raises(ValueError, match="folds must be between"):
        em.select([model], NOTICES, folds=1)
    with pytest.raises(ValueError, match="criterion must be one of"):
        em.select([model], NOTICES, criteria=("bic",)).best("waic")


def test_a_simulated_likelihood_ratio_tells_one_component_from_two():
    one, two = em.Mixture(em.Gaussian("tied"), 1), em.Mixture(em.Gaussian("tied"), 2)
    settings = {"n_bootstrap": 19, "restarts": 2, "tol": 1e-5, "max_iter": 60}
    apart = np.concatenate([RNG.normal(0, 1, (50, 1)), RNG.normal(5, 1, (50, 1))])
    test = em.bootstrap_lrt(one, two, apart, **settings)
    assert test.p_value == pytest.approx(1 / 20)
    assert len(test.simulated) + test.set_aside == 19
    gain = em.fit(two, apart, restarts=2).log_likelihood - test.smaller.log_likelihood
    assert test.statistic == pytest.approx(2 * gain, abs=1e-2)
    again = em.bootstrap_lrt(one, two, apart, **settings)
    np.testing.assert_array_equal(again.simulated, test.simulated)
    together = np.random.default_rng(0).normal(size=(100, 1))
    assert em.bootstrap_lrt(one, two, together, **settings).p_value > 0.1


def test_a_frequency_table_is_simulated_with_as_many_rows_as_it_counts():
    one, two = em.Mixture(em.Poisson(), 1), em.Mixture(em.Poisson(), 2)
    test = em.bootstrap_lrt(one, two, NOTICES, weight=DAYS, n_bootstrap=9, restarts=1, tol=1e-5, max_iter=60)
    null = (DAYS * poisson.logpmf(NOTICES[:, 0], np.average(NOTICES[:, 0], weights=DAYS))).sum()
    assert test.smaller.log_likelihood == pytest.approx(null)
    assert test.statistic == pytest.approx(2 * (-1989.94586 - null), abs=0.5)
    assert test.p_value == pytest.approx(0.1)
    assert (np.abs(test.simulated) < 15).all(), "twice the gain of a needless component is a few nats"
    with pytest.raises(ValueError, match="whole numbers"):
        em.bootstrap_lrt(one, two, NOTICES, weight=DAYS + 0.5)


def test_a_broken_fit_is_not_tested():
    x = np.repeat([[0.0], [1.0]], 10, axis=0)
    with pytest.raises(ValueError, match="DEGENERATE"):
        em.bootstrap_lrt(em.Mixture(em.Gaussian(), 1), em.Mixture(em.Gaussian(), 2), x, restarts=2)
