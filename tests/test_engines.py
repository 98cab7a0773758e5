"""One answer, however the passes are computed: in chunks, on threads, in single precision."""

import numpy as np
import pytest

import emcore as em
from emcore.kernels import chunks

IRIS = em.datasets.load("iris").drop("species").to_numpy()


def same_bits(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.params, other.params, strict=True))


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 40 rows, so that small tables have several."""
    monkeypatch.setattr(chunks, "_WORK", 0.0)
    monkeypatch.setattr(chunks, "_FEWEST", 40)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_change_no_bit_and_chunks_no_digit(covariance, weighted, monkeypatch):
    weight = np.arange(150) % 4 / 2.0 if weighted else None
    model = em.Mixture(em.Gaussian(covariance), 3)
    settings = {"restarts": 3, "seed": 1, "max_iter": 15, "tol": 0, "weight": weight}
    whole = em.fit(model, IRIS, **settings)
    monkeypatch.setattr(chunks, "_WORK", 0.0)
    monkeypatch.setattr(chunks, "_FEWEST", 40)
    one, two, three = (em.fit(model, IRIS, threads=threads, **settings) for threads in (1, 2, 3))
    assert same_bits(one, two)
    assert same_bits(one, three)
    assert one.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-10)
    for a, b in zip(one.params, whole.params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def test_missing_cells_and_repeated_rows_in_chunks(small_chunks):
    holes = IRIS.copy()
    holes[::7, 1] = np.nan
    counts = np.repeat(np.arange(10.0), [162, 267, 271, 185, 111, 61, 27, 8, 3, 1])[:, None]
    for family, x in ((em.Gaussian("full"), holes), (em.Gaussian("diag"), holes), (em.Poisson(), counts)):
        model = em.Mixture(family, 2)
        fits = [em.fit(model, x, restarts=1, seed=0, max_iter=10, tol=0, threads=threads) for threads in (1, 2)]
        assert same_bits(*fits)
        last = list(zip(range(21), em.steps(model, x, fits[0].restarts[0].start), strict=False))[20][1]
        assert fits[0].log_likelihood == pytest.approx(last.log_likelihood, rel=1e-9)


def test_a_refused_row_has_its_number_among_all_rows(small_chunks):
    x = np.zeros((100, 1))
    x[77] = 3.0
    start = {"weights": [0.5, 0.5], "rates": [[0.0], [0.0]]}
    with pytest.raises(ValueError, match="row 77 "):
        em.fit(em.Mixture(em.Poisson(), 2), x, init=start)


def test_threads_serve_models_without_a_kernel():
    x = np.random.default_rng(0).standard_normal((20_000, 5)) @ np.random.default_rng(1).standard_normal((5, 5))
    fits = [em.fit(em.FactorAnalysis(2), x, max_iter=5, tol=0, threads=threads) for threads in (1, 2)]
    assert same_bits(*fits)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_single_precision_loses_what_it_says(covariance):
    rng = np.random.default_rng(3)
    x = 1e3 + np.concatenate([rng.standard_normal((3000, 3)), 4.0 + rng.standard_normal((2000, 3)) * [1.0, 2.0, 0.5]])
    model = em.Mixture(em.Gaussian(covariance), 2)
    start = em.fit(model, x, restarts=1, seed=0, max_iter=1).params
    double, single = (em.fit(model, x, init=start, tol=1e-7, dtype=dtype) for dtype in ("float64", "float32"))
    assert single.status is em.Status.CONVERGED
    value = em.fit(model, x, init=single.params, max_iter=1).restarts[0]
    assert single.log_likelihood == pytest.approx(model.log_likelihood(single.params, x).sum(), rel=1e-12)
    assert value.objective >= single.objective - 1e-6 * abs(single.objective)
    assert single.log_likelihood == pytest.approx(double.log_likelihood, rel=1e-7)
    for a, b in zip(single.params, double.params, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threads": 0}, "threads must be a whole number"),
        ({"threads": 1.5}, "threads must be a whole number"),
        ({"dtype": "float16"}, 'dtype must be "float64" or "float32"'),
        ({"dtype": int}, 'dtype must be "float64" or "float32"'),
    ],
)
def test_wrong_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        em.fit(em.Mixture(em.Gaussian("full"), 2), IRIS, **settings)


def test_single_precision_is_for_mixtures():
    with pytest.raises(ValueError, match="FactorAnalysis computes in float64"):
        em.fit(em.FactorAnalysis(1), IRIS, dtype="float32")
