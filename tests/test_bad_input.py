"""Bad input gets a clear error: what was wrong, where, and what to do."""

import numpy as np
import polars as pl
import pytest

import emcore as em

GMM = em.Mixture(em.Gaussian("full"), 2)
GOOD = np.random.default_rng(0).normal(size=(20, 2))


def with_cell(value, row=3, column=1):
    x = GOOD.copy()
    x[row, column] = value
    return x


BAD_DATA = [
    ("nan", em.BinaryFactors(1), with_cell(np.nan), ValueError, "missing values .* rows 3"),
    ("missing-predictor", em.Mixture(em.LinearRegression(), 2), with_cell(np.nan, column=0), ValueError,
     "column 0 of x is missing at row 3"),
    ("infinity", GMM, with_cell(np.inf), ValueError, "infinite value at row 3, column 1"),
    ("minus-infinity-diag", em.Mixture(em.Gaussian("diag"), 2), with_cell(-np.inf), ValueError, "row 3, column 1"),
    ("text", GMM, np.full((20, 2), "a"), TypeError, "must hold numbers"),
    ("objects", GMM, GOOD.astype(object), TypeError, "must hold numbers"),
    ("none", GMM, None, TypeError, "array or a data frame"),
    ("a-string", GMM, "old_faithful", TypeError, "array or a data frame"),
    ("complex", GMM, GOOD + 1j, TypeError, "must hold numbers"),
    ("no-rows", GMM, np.zeros((0, 2)), ValueError, "empty"),
    ("no-columns", GMM, np.zeros((5, 0)), ValueError, "empty"),
    ("one-axis", GMM, GOOD[:, 0], ValueError, r"x\[:, None\]"),
    ("three-axes", GMM, GOOD[None], ValueError, "two axes"),
    ("one-row", em.Mixture(em.Gaussian("full"), 1), GOOD[:1], ValueError, "one row"),
    ("fewer-rows-than-components", em.Mixture(em.Gaussian("full"), 5), GOOD[:3], ValueError, "n_components=5.*has 3"),
    ("constant-column", GMM, np.column_stack([GOOD, np.ones(20)]), ValueError, "column 2 of x is constant"),
    ("all-missing-column", em.Mixture(em.Gaussian("diag"), 2), np.column_stack([GOOD, np.full(20, np.nan)]), ValueError,
     "column 2 of x has no observed value"),
    ("text-frame", GMM, pl.DataFrame({"a": ["x", "y"]}), TypeError, "no numeric column"),
    ("a-series", GMM, pl.Series("a", [1.0, 2.0]), ValueError, "one column"),
    ("null-in-frame", em.BinaryFactors(1), pl.DataFrame({"a": [1.0, None, 3.0]}), ValueError, "rows 1"),
    ("negative-counts", em.Mixture(em.Poisson(), 2), np.array([[1.0], [-2.0], [3.0]]), ValueError, "-2 at row 1"),
    ("fractional-counts", em.Mixture(em.Poisson(), 2), np.array([[1.0], [2.5], [3.0]]), ValueError, "2.5 at row 1"),
    ("too-many-successes", em.Mixture(em.Binomial(10), 2), np.array([[1.0], [11.0]]), ValueError, "0 to 10.*11 at"),
    ("fractional-successes", em.Mixture(em.Binomial(10), 2), np.array([[1.0], [0.5]]), ValueError, "whole numbers"),
    ("wrong-number-of-trials", em.Mixture(em.Binomial((5, 10)), 2), np.ones((4, 3)), ValueError, "3 columns"),
    ("not-bits", em.Mixture(em.Bernoulli(), 2), np.array([[0.0], [2.0]]), ValueError, "0 to 1.*2 at row 1"),
    ("negative-level", em.Mixture(em.Categorical(), 2), np.array([[0.0], [-1.0]]), ValueError, "-1 at row 1"),
    ("level-out-of-range", em.Mixture(em.Categorical(3), 2), np.array([[0.0], [3.0]]), ValueError, "0 to 2.*3 at"),
    ("fractional-level", em.Mixture(em.Categorical(), 2), np.array([[0.0], [0.5]]), ValueError, "0.5 at row 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "x", "error", "words"), [row[1:] for row in BAD_DATA], ids=[row[0] for row in BAD_DATA]
)
@pytest.mark.filterwarnings("error")
def test_bad_data(model, x, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        em.fit(model, x)
    with pytest.raises(error, match=f"(?s){words}"):
        em.steps(model, x, "k-means++")


BAD_SETTINGS = [
    ("init-name", {"init": "kmeans"}, ValueError, "init must be one of"),
    ("labels-too-high", {"init": np.full(20, 2)}, ValueError, r"init\[0\] is 2"),
    ("labels-fractional", {"init": np.full(20, 0.5)}, ValueError, "whole numbers"),
    ("labels-empty-component", {"init": np.zeros(20)}, ValueError, "start is degenerate"),
    ("labels-text", {"init": np.full(20, "a")}, TypeError, "init must hold numbers"),
    ("labels-short", {"init": np.zeros(19)}, ValueError, r"\(20,\).*\(19,\)"),
    ("responsibilities-sum", {"init": np.full((20, 2), 0.4)}, ValueError, "init row 0 is not a probability"),
    ("responsibilities-negative", {"init": np.tile([1.5, -0.5], (20, 1))}, ValueError, "init row 0"),
    ("responsibilities-shape", {"init": np.full((20, 3), 1 / 3)}, ValueError, r"\(20, 2\)"),
    ("params-missing-field", {"init": {"weights": [0.5, 0.5], "means": np.zeros((2, 2))}}, ValueError, "covariances"),
    ("params-of-another-model", {"init": {"weights": [0.5, 0.5], "rates": np.ones((2, 2))}}, ValueError, "rates"),
    ("weights-sum", {"init": {"weights": [0.5, 0.6], "means": np.zeros((2, 2)), "covariances": [np.eye(2)] * 2}},
     ValueError, "sum to 1"),
    ("weights-negative", {"init": {"weights": [1.5, -0.5], "means": np.zeros((2, 2)), "covariances": [np.eye(2)] * 2}},
     ValueError, "between 0 and 1"),
    ("means-shape", {"init": {"weights": [0.5, 0.5], "means": np.zeros((2, 3)), "covariances": [np.eye(2)] * 2}},
     ValueError, r"means must have shape \(2, 2\)"),
    ("means-nan", {"init": {"weights": [0.5, 0.5], "means": np.full((2, 2), np.nan), "covariances": [np.eye(2)] * 2}},
     ValueError, "not finite"),
    ("covariance-asymmetric", {"init": {"weights": [0.5, 0.5], "means": np.zeros((2, 2)),
     "covariances": [[[1.0, 0.5], [0.0, 1.0]]] * 2}}, ValueError, "symmetric"),
    ("covariance-indefinite", {"init": {"weights": [0.5, 0.5], "means": np.zeros((2, 2)),
     "covariances": [[[1.0, 2.0], [2.0, 1.0]]] * 2}}, ValueError, "positive definite"),
    ("restarts-zero", {"restarts": 0}, ValueError, "restarts"),
    ("restarts-fraction", {"restarts": 2.5}, ValueError, "restarts"),
    ("restarts-with-labels", {"restarts": 5, "init": np.arange(20) % 2}, ValueError, "explicit labels"),
    ("tol-negative", {"tol": -1.0}, ValueError, "tol"),
    ("tol-nan", {"tol": np.nan}, ValueError, "tol"),
    ("tol-text", {"tol": "small"}, ValueError, "tol"),
    ("max-iter-zero", {"max_iter": 0}, ValueError, "max_iter"),
    ("weight-short", {"weight": np.ones(19)}, ValueError, r"weight must have shape \(20,\)"),
    ("weight-negative", {"weight": np.r_[-1.0, np.ones(19)]}, ValueError, r"weight\[0\] is -1"),
    ("weight-nan", {"weight": np.r_[np.nan, np.ones(19)]}, ValueError, r"weight\[0\] is nan"),
    ("weight-all-zero", {"weight": np.zeros(20)}, ValueError, "all weights are zero"),
    ("weight-text", {"weight": ["a"] * 20}, TypeError, "weight must hold numbers"),
    ("lengths-for-independent-rows", {"lengths": [10, 10]}, TypeError, "lengths"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "error", "words"), [r[1:] for r in BAD_SETTINGS], ids=[r[0] for r in BAD_SETTINGS]
)
@pytest.mark.filterwarnings("error")
def test_bad_settings(settings, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        em.fit(GMM, GOOD, **settings)


BAD_MODELS = [
    ("no-components", lambda: em.Mixture(em.Gaussian(), 0), ValueError, "at least 1"),
    ("fractional-components", lambda: em.Mixture(em.Gaussian(), 2.5), TypeError, "whole number"),
    ("true-components", lambda: em.Mixture(em.Gaussian(), True), TypeError, "whole number"),
    ("covariance-name", lambda: em.Gaussian("round"), ValueError, "'full', 'tied', 'diag', 'spherical'"),
    ("prior-name", lambda: em.Gaussian(prior="weak"), ValueError, "fraley-raftery"),
    ("negative-pseudo-count", lambda: em.Poisson(prior=(-1.0, 0.0)), ValueError, "pseudo-count"),
    ("three-pseudo-counts", lambda: em.Binomial(3, prior=(1.0, 1.0, 1.0)), ValueError, "pseudo-count"),
    ("no-trials", lambda: em.Binomial(0), ValueError, "at least 1"),
    ("no-levels", lambda: em.Categorical(0), ValueError, "at least 1"),
    ("fixed-weights-sum", lambda: em.Mixture(em.Poisson(), 2, fixed_weights=(0.5, 0.4)), ValueError, "sum to 1"),
    ("weight-prior-negative", lambda: em.Mixture(em.Poisson(), 2, weight_prior=-1.0), ValueError, "pseudo-count"),
]


@pytest.mark.parametrize(("make", "error", "words"), [r[1:] for r in BAD_MODELS], ids=[r[0] for r in BAD_MODELS])
def test_bad_models(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_wrong_number_of_features_at_predict():
    fit = em.fit(GMM, GOOD, restarts=1)
    for method in (fit.predict, fit.responsibilities, fit.bic):
        with pytest.raises(ValueError, match=r"3 columns.*made for 2"):
            method(np.zeros((4, 3)))


def test_duplicate_rows_end_degenerate_with_advice():
    x = np.repeat([[0.0, 0.0], [1.0, 3.0], [5.0, 5.0]], 5, axis=0)
    with pytest.raises(ValueError, match="start is degenerate: component 0 has collapsed"):
        em.fit(em.Mixture(em.Gaussian("full"), 3), x, init=np.repeat([0, 1, 2], 5))
    fit = em.fit(em.Mixture(em.Gaussian("full"), 3), x, seed=1)
    assert fit.status is em.Status.DEGENERATE
    assert "Try fewer components" in fit.message
    assert np.isfinite(fit.log_likelihood)


def test_collinear_columns_are_named_degenerate():
    x = np.column_stack([GOOD, GOOD @ [1.0, 2.0]])
    with pytest.raises(ValueError, match="linearly dependent"):
        em.fit(em.Mixture(em.Gaussian("full"), 2), x)


@pytest.mark.parametrize("kind", ["float32", "int64", "fortran", "strided", "read-only", "masked", "list"])
def test_good_input_of_every_kind_is_read_rightly_and_never_written_to(kind):
    x = np.round(GOOD * 10)
    variants = {
        "float32": x.astype(np.float32),
        "int64": x.astype(np.int64),
        "fortran": np.asfortranarray(x),
        "strided": np.repeat(x, 2, axis=0)[::2],
        "read-only": x.copy(),
        "masked": np.ma.masked_array(x),
        "list": x.tolist(),
    }
    given = variants[kind]
    if kind == "read-only":
        given.flags.writeable = False
    fit = em.fit(GMM, given, restarts=2, seed=3)
    same = em.fit(GMM, x, restarts=2, seed=3)
    assert fit.log_likelihood == same.log_likelihood
    np.testing.assert_array_equal(np.asarray(given), x)


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "arrow"])
def test_frames_of_every_kind(kind):
    frame = pl.DataFrame({"a": GOOD[:, 0], "name": ["x"] * 20, "b": GOOD[:, 1]})
    given = {
        "polars": frame, "lazy": frame.lazy(), "pandas": frame.to_pandas(), "arrow": frame.to_arrow(),
    }[kind]  # fmt: skip
    fit = em.fit(GMM, given, restarts=1, seed=0)
    assert fit.log_likelihood == em.fit(GMM, GOOD, restarts=1, seed=0).log_likelihood
    assert fit.predict(given).shape == (20,)
    np.testing.assert_array_equal(
        fit.model.log_likelihood(fit.params, given), fit.model.log_likelihood(fit.params, GOOD)
    )


def test_missing_cells_are_marginalised_where_that_is_exact():
    """A row with a hole counts by its observed cells alone: the product of the other columns' densities."""
    x = with_cell(np.nan)
    fit = em.fit(em.Mixture(em.Gaussian("diag"), 2), x, restarts=1, seed=0)
    p = fit.params
    from scipy.stats import norm

    expected = np.log((p.weights * norm.pdf(x[3, 0], p.means[:, 0], np.sqrt(p.covariances[:, 0]))).sum())
    assert fit.model.log_likelihood(p, x)[3] == pytest.approx(expected, rel=1e-12)
