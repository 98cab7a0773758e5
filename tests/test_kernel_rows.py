"""Rows that kernels treat apart: equal ones, impossible ones, and what has no digits to give."""

import numpy as np
import pytest

import emcore as em
from emcore.kernels.collapse import distinct_rows
from emcore.kernels.plain import PlainKernel
from emcore.kernels.residual import ResidualRows
from tests.test_kernels import SHAPES, assert_close, clusters, expected


class TestDistinctRows:
    def test_repeated_rows_are_counted(self):
        rows = np.array([[0.0, 1.0], [2.0, np.nan], [-0.0, 1.0], [0.0, 1.0], [2.0, np.nan], [5.0, 5.0], [5.0, 5.0]])
        x, weight = distinct_rows(rows, None)
        order = np.argsort(x[:, 0])
        np.testing.assert_array_equal(x[order], [[0.0, 1.0], [2.0, np.nan], [5.0, 5.0]])
        np.testing.assert_array_equal(weight[order], [3.0, 2.0, 2.0])
        _, summed = distinct_rows(rows, np.arange(7.0))
        np.testing.assert_array_equal(summed[order], [5.0, 5.0, 11.0])

    @pytest.mark.parametrize("n", [50, 100_000])
    def test_rows_that_differ_stay(self, n):
        x = np.random.default_rng(0).standard_normal((n, 2))
        assert distinct_rows(x, None)[0] is x

    def test_a_long_table_of_few_patterns(self):
        codes = np.random.default_rng(0).integers(0, 2, (100_000, 7)).astype(float)
        x, weight = distinct_rows(codes, None)
        patterns, counts = np.unique(codes, axis=0, return_counts=True)
        order = np.lexsort(x.T[::-1])
        np.testing.assert_array_equal(x[order], patterns)
        np.testing.assert_array_equal(weight[order], counts)

    @pytest.mark.parametrize(
        "family", [em.Bernoulli(), em.Categorical(), em.Gaussian("diag")], ids=lambda f: str(f)[:9]
    )
    def test_nothing_changes_but_the_time(self, family):
        rng = np.random.default_rng(1)
        x = (rng.random((3000, 4)) < np.where(rng.random((3000, 1)) < 0.4, 0.8, 0.3)).astype(float)
        model = em.Mixture(family, 2).resolve(x)
        weight = rng.integers(0, 4, len(x)).astype(float)
        params = model.initial_params(x, "random-rows", rng, weight)
        stats, log_likelihood = model.kernel(x, weight).evaluate(params)
        theirs, value = expected(model, params, x, weight)
        assert_close(model.m_step(stats, params), model.m_step(theirs, params), 1e-11)
        np.testing.assert_allclose(log_likelihood, [value], rtol=1e-12)


class TestHardRows:
    @pytest.mark.parametrize("weight", [None, [1.0, 1.0, 1.0, 0.0]], ids=["rows", "weightless"])
    def test_a_row_that_no_component_allows_is_named(self, weight):
        x = np.array([[0.0], [1.0], [1.0], [3.0]])
        model = em.Mixture(em.Categorical(4), 2).resolve(x)
        probs = np.array([[[0.5, 0.5, 0.0, 0.0]], [[0.2, 0.8, 0.0, 0.0]]])
        params = model.make_params(np.array([0.5, 0.5]), em.Categorical.Params(probs))
        with pytest.raises(ValueError, match="row 3 has log p"):
            model.kernel(x, None if weight is None else np.array(weight)).evaluate(params)

    def test_the_row_number_is_that_of_the_whole_table(self):
        x = np.ones((20_000, 1))
        x[17_003] = 2.0
        model = em.Mixture(em.Poisson(), 2)
        params = model.make_params(np.array([0.5, 0.5]), em.Poisson.Params(np.zeros((2, 1))))
        x -= 1.0
        with pytest.raises(ValueError, match="row 17003 has log p"):
            model.kernel(x).evaluate(params)
        with pytest.raises(ValueError, match="row 17003 has log p"):
            PlainKernel(model, x, None, singly=False).evaluate(model.pile([params, params]), 2)

    def test_probabilities_of_0_that_some_component_lacks(self):
        x = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 2.0], [0.0, 3.0]])
        model = em.Mixture(em.Poisson(), 2)
        params = model.make_params(np.array([0.5, 0.5]), em.Poisson.Params(np.array([[0.0, 1.0], [2.0, 1.5]])))
        stats, value = model.kernel(x).evaluate(params)
        theirs, total = expected(model, params, x)
        assert_close(stats, theirs, 1e-14)
        np.testing.assert_allclose(value, [total], rtol=1e-14)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_component_of_weight_0(self, shape):
        x, responsibilities = clusters(300, 2, 3)
        model = em.Mixture(em.Gaussian(shape), 3).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        params = params._replace(weights=np.array([0.4, 0.6, 0.0]))
        stats, value = model.kernel(x).evaluate(params)
        theirs, total = expected(model, params, x)
        np.testing.assert_allclose(stats.counts, theirs.counts, rtol=1e-10)
        np.testing.assert_allclose(value, [total], rtol=1e-12)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_singular_covariance_is_degenerate(self, shape):
        x, responsibilities = clusters(300, 2, 3)
        model = em.Mixture(em.Gaussian(shape), 3).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        singular = params._replace(covariances=0.0 * params.covariances)
        with pytest.raises(em.numerics.DegenerateError):
            model.kernel(x).evaluate(singular)

    def test_a_row_far_away_under_every_component(self):
        x, responsibilities = clusters(300, 2, 3)
        model = em.Mixture(em.Gaussian(), 3).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        x[7] = 1e5
        stats, value = model.kernel(x).evaluate(params)
        theirs, total = expected(model, params, x)
        assert_close((stats.counts, *stats.family[:2]), (theirs.counts, *theirs.family[:2]))
        np.testing.assert_allclose(value, [total], rtol=1e-9)

    def test_the_m_step_of_a_pile_says_that_a_start_has_emptied(self):
        x, responsibilities = clusters(300, 2, 3)
        model = em.Mixture(em.Gaussian(), 3).resolve(x)
        sound = model.params_from_responsibilities(x, responsibilities)
        far = sound._replace(means=sound.means + np.array([[0.0], [0.0], [1e4]]))
        pile = model.pile([sound, far])
        stats, _ = model.kernel(x).evaluate(pile, 2)
        with pytest.raises(em.numerics.DegenerateError, match="component 2 has emptied"):
            model.m_step_pile(stats, pile, 2)


class TestFarApart:
    """Tables of one cluster each, as chunks of a sorted table are: the other components hold nothing there."""

    @pytest.mark.parametrize("d", [1, 2, 3])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_components_without_rows_cost_no_other_kernel(self, shape, d, monkeypatch):
        rng = np.random.default_rng(0)
        x = 100.0 * np.repeat([0.0, 1.0], 200)[:, None] + rng.standard_normal((400, d))
        model = em.Mixture(em.Gaussian(shape), 2).resolve(x)
        params = model.params_from_responsibilities(x, np.eye(2)[np.repeat([0, 1], 200)])
        kernel, (theirs, value) = model.kernel(x[:200]), expected(model, params, x[:200])
        monkeypatch.setattr(PlainKernel, "evaluate", None)
        monkeypatch.setattr(ResidualRows, "sweep", None)
        stats, log_likelihood = kernel.evaluate(params)
        assert theirs.counts[1] == stats.counts[1] == 0.0
        np.testing.assert_allclose(stats.family.scatter, theirs.family.scatter, rtol=0, atol=1e-10)
        np.testing.assert_allclose(log_likelihood, [value], rtol=1e-12)

    @pytest.mark.parametrize("shape", ["full", "diag", "spherical"])
    def test_and_do_not_pass_for_sound(self, shape):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((200, 2))
        model = em.Mixture(em.Gaussian(shape), 2, weight_prior=1.0).resolve(x)
        params = model.params_from_responsibilities(x, np.eye(2)[np.arange(200) % 2])
        far = params._replace(means=params.means + np.array([[0.0], [1e3]]))
        stats, _ = model.kernel(x).evaluate(far)
        with pytest.raises(em.numerics.DegenerateError, match="component 1"):
            model.m_step(stats, far)
