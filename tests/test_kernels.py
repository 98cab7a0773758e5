"""Kernels of mixtures: statistics and log p(x) as the model's own E-step has them, at any scale, in little room."""

import tracemalloc

import numpy as np
import pytest

import emcore as em
from emcore.kernels.base import pile_up, take_apart
from emcore.kernels.exponential_family import ExponentialFamilyKernel
from emcore.kernels.gaussian import GaussianKernel
from emcore.kernels.linear import LinearRows, Stored, even_blocks
from emcore.kernels.plain import PlainKernel
from emcore.kernels.residual import ResidualRows
from tests.registry import CASES

MIXTURES = [case for case in CASES if isinstance(case.model, em.Mixture)]
SHAPES = ("full", "tied", "diag", "spherical")
STARTS = 3


def leaves(tree):
    """Arrays of statistics or params; what they carry besides is left out."""
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree] if isinstance(tree, np.ndarray) else []


def assert_close(ours, theirs, tolerance=1e-9):
    """Every array within `tolerance` of the largest number in it."""
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def expected(model, params, x, weight=None):
    """What a kernel should give, by the model's own methods on all rows at once."""
    q, rows = model.infer(params, x)
    return model.suff_stats(x, q, weight), rows.sum() if weight is None else weight @ rows


def counted(x):
    """Weights of rows, zeros among them."""
    return np.arange(len(x)) % 4.0


def clusters(n, d, k, *, seed=0, narrow=1.0, scale=1.0, offset=0.0):
    """Rows of k clusters, the first `narrow` times as wide as the others, and responsibilities near their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    widths = np.where(labels == 0, narrow, 1.0)[:, None]
    x = rng.normal(0.0, 5.0, (k, d))[labels] + widths * rng.standard_normal((n, d))
    sure = 1e-3 * narrow**2
    return scale * x + offset, (1.0 - sure) * np.eye(k)[labels] + sure / k


class TestAgainstTheModel:
    @pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weighted"])
    @pytest.mark.parametrize("case", MIXTURES, ids=lambda case: case.name)
    def test_one_start(self, case, weighted):
        model, x, weight = case.pose(counted(case.x) if weighted else None)
        params = case.start()
        stats, log_likelihood = model.kernel(x, weight).evaluate(params)
        theirs, value = expected(model, params, x, weight)
        np.testing.assert_allclose(log_likelihood, [value], rtol=1e-12)
        assert_close(model.m_step(stats, params), model.m_step(theirs, params))
        np.testing.assert_allclose(stats.counts, theirs.counts, rtol=1e-9)

    @pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weighted"])
    @pytest.mark.parametrize("case", MIXTURES, ids=lambda case: case.name)
    def test_a_pile_of_starts(self, case, weighted):
        model, x, weight = case.pose(counted(case.x) if weighted else None)
        starts = [case.start(seed) for seed in range(STARTS)]
        pile = model.pile(starts)
        kernel = model.kernel(x, weight)
        stats, log_likelihood = kernel.evaluate(pile, STARTS)
        singly = [expected(model, start, x, weight) for start in starts]
        np.testing.assert_allclose(log_likelihood, [value for _, value in singly], rtol=1e-12)
        np.testing.assert_allclose(model.log_priors(pile, STARTS), [model.log_prior(start) for start in starts])
        after = model.unpile(model.m_step_pile(stats, pile, STARTS), STARTS)
        for ours, start, (theirs, _) in zip(after, starts, singly, strict=True):
            assert_close(ours, model.m_step(theirs, start))

    @pytest.mark.parametrize("case", MIXTURES, ids=lambda case: case.name)
    def test_a_pile_of_one(self, case):
        model, x, _ = case.pose()
        pile = model.pile([case.start()])
        stats, _ = model.kernel(x).evaluate(pile, 1)
        (ours,) = model.unpile(model.m_step_pile(stats, pile, 1), 1)
        assert_close(ours, model.m_step(expected(model, case.start(), x)[0], case.start()))

    @pytest.mark.parametrize("case", MIXTURES, ids=lambda case: case.name)
    def test_piles_come_apart_as_they_were(self, case):
        model = case.pose().model
        starts = [case.start(seed) for seed in range(STARTS)]
        for ours, theirs in zip(model.unpile(model.pile(starts), STARTS), starts, strict=True):
            assert type(ours) is type(theirs)
            assert_close(ours, theirs, 0.0)


class TestGaussianScales:
    @pytest.mark.parametrize("narrow", [1.0, 1e-3, 1e-4, 1e-6], ids="narrow{:g}".format)
    @pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e-4, 0.0), (1e6, 0.0), (1.0, 1e6)])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_agrees_with_the_model(self, shape, scale, offset, narrow):
        x, responsibilities = clusters(600, 3, 3, narrow=narrow, scale=scale, offset=offset)
        model = em.Mixture(em.Gaussian(shape), 3).resolve(x)
        weight = counted(x)
        params = model.params_from_responsibilities(x, responsibilities, weight)
        stats, log_likelihood = model.kernel(x, weight).evaluate(params)
        theirs, value = expected(model, params, x, weight)
        assert_close((stats.counts, *stats.family[:2]), (theirs.counts, *theirs.family[:2]))
        own = theirs.family.scatter
        np.testing.assert_allclose(stats.family.scatter, own, rtol=0, atol=1e-9 * np.abs(own).max())
        tight = own[0] if shape != "tied" else own
        np.testing.assert_allclose(
            stats.family.scatter[0] if shape != "tied" else stats.family.scatter, tight, atol=1e-9 * np.abs(tight).max()
        )
        np.testing.assert_allclose(log_likelihood, [value], rtol=1e-9)

    @pytest.mark.parametrize("narrow", [1e-3, 1e-4, 1e-6])
    @pytest.mark.parametrize("offset", [0.0, 1e6])
    def test_keeps_the_digits_of_a_tiny_cluster(self, narrow, offset):
        x, responsibilities = clusters(60, 2, 2, narrow=narrow, offset=offset)
        model = em.Mixture(em.Gaussian(), 2).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        stats, log_likelihood = model.kernel(x).evaluate(params)
        scatter, value = in_long_double(params, x)
        tolerance = 1e-10 + (1e-16 * offset / narrow) ** 2  # a mean is a float64, and the scatter is about that
        np.testing.assert_allclose(stats.family.scatter[0], scatter, rtol=0, atol=tolerance * np.abs(scatter).max())
        np.testing.assert_allclose(log_likelihood, [value], rtol=1e-11)

    def test_the_first_kernel_is_left_where_a_component_is_narrow_after_the_step(self, monkeypatch):
        rng = np.random.default_rng(0)
        x = np.concatenate([1e-2 * rng.standard_normal((100, 2)), [50.0, 0.0] + rng.standard_normal((100, 2))])
        model = em.Mixture(em.Gaussian(), 2).resolve(x)
        family = em.Gaussian().Params(np.array([[0.0, 0.0], [50.0, 0.0]]), np.tile(np.eye(2), (2, 1, 1)))
        wide = model.make_params(np.array([0.5, 0.5]), family)
        used = []
        sweep = ResidualRows.sweep
        monkeypatch.setattr(ResidualRows, "sweep", lambda *a: used.append(True) or sweep(*a))
        stats, _ = model.kernel(x).evaluate(wide)
        theirs, _ = expected(model, wide, x)
        own = theirs.family.scatter[0]
        np.testing.assert_allclose(stats.family.scatter[0], own, rtol=0, atol=1e-12 * own.max())
        assert used

    @pytest.mark.parametrize(("narrow", "tolerance"), [(1.0, 1e-6), (1e-2, 1e-6), (1e-3, 2e-5)])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_single_precision(self, shape, narrow, tolerance):
        x, responsibilities = clusters(3000, 3, 3, narrow=narrow, offset=100.0)
        model = em.Mixture(em.Gaussian(shape), 3).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        stats, log_likelihood = model.kernel(x, dtype=np.float32).evaluate(params)
        theirs, value = expected(model, params, x)
        np.testing.assert_allclose(log_likelihood, [value], rtol=1e-5)
        own = theirs.family.scatter
        error = np.abs(stats.family.scatter - own) / np.abs(own).max(axis=tuple(range(own.ndim))[1:], keepdims=True)
        assert error.max() < tolerance
        assert stats.family.scatter.dtype == np.float64


def in_long_double(params, x):
    """Scatter of the first component and log p(x) under two Gaussian components in the plane, by brute force."""
    x, logs = x.astype(np.longdouble), []
    for weight, mean, covariance in zip(*(np.asarray(part, np.longdouble) for part in params), strict=True):
        (a, b), (_, c) = covariance
        u, v = (x - mean).T
        det = a * c - b * b
        squares = (c * u * u - 2 * b * u * v + a * v * v) / det
        logs.append(np.log(weight) - (squares + np.log(det)) / 2 - np.log(8 * np.arctan(np.longdouble(1))))
    top = np.maximum(*logs)
    rows = top + np.log(sum(np.exp(log - top) for log in logs))
    q = np.exp(logs[0] - rows)
    residuals = x - (q @ x) / q.sum()
    return ((residuals * q[:, None]).T @ residuals).astype(float), float(rows.sum())


class TestBlocks:
    @pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 1024, 1025])
    def test_blocks_cover_the_rows_once(self, n):
        blocks = even_blocks(n, 0)
        assert np.array_equal(np.concatenate([np.arange(n)[rows] for rows in blocks]), np.arange(n))
        assert max(rows.stop - rows.start for rows in blocks) <= 512

    @pytest.mark.parametrize("n", [1, 511, 512, 513, 1025])
    def test_sweeps_of_any_length(self, n):
        rng = np.random.default_rng(n)
        features = np.concatenate([np.ones((1, n)), rng.standard_normal((300, n))])  # wide: blocks are at their least
        natural, weight = rng.standard_normal((6, 301)), rng.random(n)
        sums, value = LinearRows(Stored(features), weight).sweep(natural, 2)
        joint = (natural @ features).reshape(2, 3, n)
        rows = np.log(np.exp(joint).sum(axis=1))
        q = np.exp(joint - rows[:, None]).reshape(6, n)
        np.testing.assert_allclose(value, rows @ weight, rtol=1e-12)
        np.testing.assert_allclose(sums, features @ (q * weight).T, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_long_table_is_the_sum_of_its_parts(self, shape, dtype):
        x, responsibilities = clusters(20_011, 2, 3)
        model = em.Mixture(em.Gaussian(shape), 3).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        stats, log_likelihood = model.kernel(x, dtype=dtype).evaluate(params)
        theirs, value = expected(model, params, x)
        tolerance = 1e-9 if dtype == np.float64 else 1e-4
        assert_close((stats.counts, *stats.family[:3]), (theirs.counts, *theirs.family[:3]), tolerance)
        np.testing.assert_allclose(log_likelihood, [value], rtol=tolerance)

    def test_products_made_by_the_block_are_those_kept(self, monkeypatch):
        x, responsibilities = clusters(5000, 3, 3)
        model = em.Mixture(em.Gaussian(), 3).resolve(x)
        params = model.params_from_responsibilities(x, responsibilities)
        kept = model.kernel(x).evaluate(params)
        monkeypatch.setattr("emcore.kernels.gaussian._STORED", 0.0)
        assert_close(model.kernel(x).evaluate(params), kept, 1e-13)
        counts = np.random.default_rng(0).poisson([2.0, 9.0], (5000, 2)).astype(float)
        model = em.Mixture(em.Poisson(), 2)
        params = model.make_params(np.array([0.3, 0.7]), em.Poisson.Params(np.array([[1.0, 8.0], [3.0, 10.0]])))
        kept = model.kernel(counts).evaluate(params)
        monkeypatch.setattr("emcore.kernels.exponential_family._STORED", 0.0)
        assert_close(model.kernel(counts).evaluate(params), kept, 1e-13)


class TestChoice:
    def test_each_family_has_its_kernel(self):
        chosen = {case.name: type(case.pose().model.kernel(case.pose().x)) for case in MIXTURES}
        assert chosen["gaussian-tied"] is GaussianKernel
        assert chosen["gaussian-full-cells"] is PlainKernel
        assert chosen["categorical-prior"] is ExponentialFamilyKernel  # its missing cells have no statistics
        assert chosen["student-t"] is PlainKernel

    def test_a_pile_of_statistics_comes_apart_too(self):
        case = next(case for case in MIXTURES if case.name == "gaussian-tied")
        model, x, _ = case.pose()
        parts = [expected(model, case.start(seed), x)[0] for seed in range(STARTS)]
        piled = pile_up(parts, model.shared_fields)
        assert piled.family.scatter.shape == (STARTS, 2, 2)
        for ours, theirs in zip(take_apart(piled, STARTS, model.shared_fields), parts, strict=True):
            assert_close(ours, theirs, 0.0)


class TestRoom:
    """Peak of what a pass takes beyond x: the whitened rows, and blocks. scikit-learn takes 269 bytes a row here."""

    @pytest.mark.parametrize("shape", SHAPES)
    def test_gaussian(self, shape):
        n, d, k = 1_000_000, 2, 5
        x = np.random.default_rng(0).standard_normal((n, d))
        model = em.Mixture(em.Gaussian(shape), k)
        params = model.params_from_responsibilities(x[:1000], np.eye(k)[np.arange(1000) % k])
        assert peak(lambda: model.kernel(x).evaluate(params)) < 50 * n

    def test_without_a_matrix_of_responsibilities(self):
        n, k = 300_000, 5
        x = np.random.default_rng(0).poisson(1e5, (n, 1)).astype(float)
        model = em.Mixture(em.Poisson(), k)
        params = model.make_params(np.full(k, 0.2), em.Poisson.Params(np.linspace(9e4, 1.1e5, k)[:, None]))
        assert peak(lambda: model.kernel(x).evaluate(params)) < 50 * n


def peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
