"""Bad input gets a clear error: what was wrong, where, and what to do."""

import numpy as np
import polars as pl
import pytest

import emcore as em
from tests.registry import CASES

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
    ("level-that-is-a-post-code", em.Mixture(em.Categorical(), 2), np.array([[0.0], [3e8]]), ValueError,
     "item 0 of x has the code 3e\\+08.*name n_levels"),
    ("beyond-squares", GMM, with_cell(1e308), ValueError, r"1e\+308 at row 3, column 1.*larger unit"),
    ("spread-below-squares", GMM, GOOD * 1e-300, ValueError, "column 0 of x is constant"),
    ("rows-of-different-lengths", GMM, [[1.0, 2.0], [3.0]], ValueError, "rows are equally long"),
    ("dates", GMM, np.zeros((20, 2), "M8[s]"), TypeError, "dtype is datetime64"),
    ("a-dictionary", GMM, {"a": [1.0]}, TypeError, "not dict"),
    ("duplicate-column", GMM, GOOD[:, [0, 0]], ValueError, "linearly dependent"),
    ("all-missing", GMM, np.full((20, 2), np.nan), ValueError, "column 0 of x has no observed value"),
    ("time-of-zero", em.Mixture(em.Exponential(), 2), np.array([[1.0], [0.0]]), ValueError, "0 at row 1.*half the"),
    ("constant-response", em.TRegression(4), np.column_stack([GOOD, np.ones(20)]), ValueError, "constant or an exact"),
    ("collinear-predictors", em.TRegression(4), GOOD[:, [0, 0, 1]], ValueError, "column 1 of x is collinear"),
    ("factors-for-every-column", em.FactorAnalysis(2), GOOD, ValueError, "n_factors=2 must be below .* has 2"),
    ("factors-and-a-constant", em.PPCA(1), np.ones((20, 2)), ValueError, "constant"),
    ("more-states-than-rows", em.HMM(em.Poisson(), 5), np.ones((3, 1)), ValueError, "n_states=5 .* x has 3"),
    ("table-of-no-counts", em.genetics.linkage(), np.zeros((1, 4)), ValueError, "every count is zero"),
    ("table-of-three-cells", em.genetics.linkage(), np.ones((1, 3)), ValueError, "3 columns.*4 cells"),
    ("negative-cell", em.genetics.abo(), np.array([[1.0, 2.0, -3.0, 4.0]]), ValueError, "-3 at row 0, column 2"),
    ("two-columns-of-ratings", em.DawidSkene(2), np.ones((5, 2)), ValueError, "three columns .*it has 2"),
    ("label-out-of-range", em.DawidSkene(2), np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 1.0]]), ValueError, "2 at row 0"),
    ("classes-missing", em.GroupedNormal((-np.inf, 0.0, 1.0, np.inf)), np.ones((1, 4)), ValueError, "make 3 classes"),
    ("all-in-one-class", em.GroupedNormal((-np.inf, 0.0, 1.0, np.inf)), np.array([[5.0, 0.0, 0.0]]), ValueError,
     "in 1 classes"),
    ("zero-among-truncated", em.ZeroTruncatedPoisson(), np.array([[1.0], [0.0]]), ValueError, "0 at row 1"),
    ("no-zero-to-inflate", em.ZeroInflatedPoisson(), np.array([[1.0], [2.0]]), ValueError, "no zero"),
    ("counts-of-zero", em.NegativeBinomial(), np.zeros((4, 1)), ValueError, "every count is 0"),
    ("one-group", em.RandomIntercept(), np.column_stack([np.zeros(20), GOOD]), ValueError, "1 group"),
    ("group-code-beyond-integers", em.RandomIntercept(), np.column_stack([np.full(20, 1e30), GOOD]), ValueError,
     "1e\\+30 at row 0, column 0"),
    ("same-rows", em.BinaryFactors(1), np.ones((5, 2)), ValueError, "every row of x is the same"),
    ("no-variance-to-code", em.VAE(1), np.ones((5, 3)), ValueError, "no variance"),
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
    ("weight-ragged", {"weight": [[1.0], [1.0, 2.0]]}, ValueError, "weight must be a table whose rows"),
    ("weight-infinite", {"weight": np.r_[np.inf, np.ones(19)]}, ValueError, r"weight\[0\] is inf"),
    ("labels-nan", {"init": np.full(20, np.nan)}, ValueError, r"init\[0\] is nan"),
    ("labels-negative", {"init": np.full(20, -1)}, ValueError, r"init\[0\] is -1"),
    ("responsibilities-nan", {"init": np.full((20, 2), np.nan)}, ValueError, "init row 0"),
    ("init-none", {"init": None}, TypeError, "init must hold numbers"),
    ("params-text", {"init": {"weights": ["a", "b"], "means": np.zeros((2, 2)), "covariances": [np.eye(2)] * 2}},
     TypeError, "params.weights must hold numbers"),
    ("means-beyond-squares", {"init": {"weights": [0.5, 0.5], "means": np.full((2, 2), 1e200),
     "covariances": [np.eye(2)] * 2}}, ValueError, "params.means .* square overflows"),
    ("seed-negative", {"seed": -1}, ValueError, "seed must be"),
    ("seed-none", {"seed": None}, ValueError, "seed must be"),
    ("e-step-name", {"e_step": "hard"}, TypeError, "e_step must be a function"),
    ("e-step-none", {"e_step": None}, TypeError, "e_step must be a function"),
    ("e-step-class", {"e_step": em.sparse}, TypeError, r"sparse\(\.\.\.\)"),
    ("e-step-of-factors", {"e_step": em.mean_field(3)}, TypeError, "no mean_field"),
    ("fixed-text", {"e_step": em.fixed("a")}, TypeError, "fixed must hold numbers"),
    ("fixed-shape", {"e_step": em.fixed(np.ones((3, 2)))}, ValueError, r"\(20, 2\)"),
    ("fixed-sum", {"e_step": em.fixed(np.full((20, 2), 0.7))}, ValueError, "sum 1"),
    ("accelerate-name", {"accelerate": "fast"}, ValueError, "'squarem'"),
    ("accelerate-and-trace", {"accelerate": "squarem", "trace": True}, ValueError, "no half-steps"),
    ("dtype", {"dtype": int}, ValueError, "dtype must be"),
    ("threads", {"threads": 0}, ValueError, "threads must be"),
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
    ("weight-prior-text", lambda: em.Mixture(em.Poisson(), 2, weight_prior="1"), ValueError, "weight_prior must be"),
    ("weight-prior-infinite", lambda: em.Mixture(em.Poisson(), 2, weight_prior=np.inf), ValueError, "weight_prior"),
    ("fixed-weights-text", lambda: em.Mixture(em.Poisson(), 2, fixed_weights="ab"), TypeError, "params.weights"),
    ("fixed-weights-short", lambda: em.Mixture(em.Poisson(), 2, fixed_weights=(1.0,)), ValueError, r"shape \(2,\)"),
    ("family-none", lambda: em.Mixture(None, 2), TypeError, "family must be"),
    ("family-class", lambda: em.Mixture(em.Poisson, 2), TypeError, "family must be"),
    ("family-that-is-a-model", lambda: em.HMM(GMM, 2), TypeError, "family must be"),
    ("states-none", lambda: em.HMM(em.Poisson(), None), TypeError, "n_states"),
    ("transition-prior-nan", lambda: em.HMM(em.Poisson(), 2, transition_prior=np.nan), ValueError, "transition_prior"),
    ("start-prior-text", lambda: em.HMM(em.Poisson(), 2, start_prior="a"), ValueError, "start_prior"),
    ("covariance-list", lambda: em.Gaussian(["full"]), ValueError, "covariance must be"),
    ("prior-number", lambda: em.Gaussian(prior=3), TypeError, "prior must be"),
    ("strength-negative", lambda: em.FraleyRaftery(-1.0), ValueError, "strength must be"),
    ("strength-text", lambda: em.FraleyRaftery("a"), ValueError, "strength must be"),
    ("pseudo-count-text", lambda: em.Poisson(prior="ab"), TypeError, "prior must hold numbers"),
    ("pseudo-count-nan", lambda: em.Exponential(prior=(np.nan, 1.0)), ValueError, "pseudo-count"),
    ("fractional-levels", lambda: em.Categorical((2, 2.5)), ValueError, "n_levels"),
    ("levels-text", lambda: em.Categorical("ab"), ValueError, "n_levels"),
    ("levels-none-named", lambda: em.Categorical(()), ValueError, "n_levels"),
    ("trials-text", lambda: em.Binomial("a"), ValueError, "n_trials"),
    ("df-infinite", lambda: em.StudentT(np.inf), ValueError, "df must be"),
    ("df-text", lambda: em.TRegression("a"), ValueError, "df must be"),
    ("intercept-text", lambda: em.LinearRegression(intercept="no"), TypeError, "intercept must be"),
    ("regression-prior-number", lambda: em.LinearRegression(prior=3), TypeError, "prior must be"),
    ("pseudo-rows-text", lambda: em.RegressionPrior(rows="a"), ValueError, "rows must be"),
    ("factors-fraction", lambda: em.PPCA(1.5), TypeError, "n_factors"),
    ("noise-prior-text", lambda: em.FactorAnalysis(1, noise_prior="a"), ValueError, "noise_prior"),
    ("too-many-binary-factors", lambda: em.BinaryFactors(99), ValueError, "at most"),
    ("classes-zero", lambda: em.DawidSkene(0), ValueError, "n_classes"),
    ("edges-fall", lambda: em.GroupedNormal((-np.inf, 1.0, 0.0, np.inf)), ValueError, "edges must rise"),
    ("edges-text", lambda: em.GroupedNormal("abc"), TypeError, "edges must hold numbers"),
    ("edges-none", lambda: em.GroupedNormal(None), TypeError, "edges must hold numbers"),
    ("shape-bounds-text", lambda: em.NegativeBinomial("x"), TypeError, "shape_bounds"),
    ("predictors-text", lambda: em.ZeroInflatedPoisson(predictors="a"), TypeError, "predictors must be"),
    ("predictors-number", lambda: em.ZeroInflatedPoisson(predictors=3), TypeError, "predictors must be"),
    ("missing-normal-prior", lambda: em.MissingNormal(3), TypeError, "prior must be"),
    ("codes-zero", lambda: em.VAE(0), ValueError, "n_factors"),
    ("sparse-zero", lambda: em.sparse(0), ValueError, "m must be"),
    ("blocks-fraction", lambda: em.incremental(1.5), ValueError, "n_blocks must be"),
    ("beta-zero", lambda: em.tempered(0.0), ValueError, "beta must be"),
    ("nudge-text", lambda: em.tempered(1.0, nudge="a"), ValueError, "nudge must be"),
    ("hold-fraction", lambda: em.Annealing(hold=1.5), ValueError, "hold must be"),
    ("stochastic-seed", lambda: em.stochastic(seed=-1), ValueError, "seed must be"),
    ("sweeps-zero", lambda: em.mean_field(0), ValueError, "sweeps must be"),
    ("memory-zero", lambda: em.Anderson(memory=0), ValueError, "memory must be"),
    ("ridge-text", lambda: em.Anderson(ridge="a"), ValueError, "ridge must be"),
    ("growth-one", lambda: em.OverRelaxed(1.0), ValueError, "growth must be"),
    ("power-half", lambda: em.Stepwise(0.5), ValueError, "power must be"),
]


@pytest.mark.parametrize(("make", "error", "words"), [r[1:] for r in BAD_MODELS], ids=[r[0] for r in BAD_MODELS])
@pytest.mark.filterwarnings("error")
def test_bad_models(make, error, words):
    with pytest.raises(error, match=words):
        make()


def _fitted():
    fit = em.fit(GMM, GOOD, restarts=1)
    return fit.model, fit.params, fit.model.posterior(fit.params, GOOD)


MODEL, PARAMS, Q = _fitted()
COUNTS = np.random.default_rng(1).poisson(3.0, (20, 1)).astype(float)
CHAIN, POISSON = em.HMM(em.Gaussian("diag"), 2), em.Mixture(em.Poisson(), 2)
OTHER = em.fit(POISSON, COUNTS, restarts=1).params
FACTORS = em.fit(em.PPCA(1), GOOD, restarts=1)
PATH = {"start": [0.5, 0.5], "transitions": [[0.5, 0.5], [0.5, 0.5]], "rates": [[1.0], [2.0]]}
ALONG = ("means", (0, 0))


def chain(**settings):
    return em.fit(CHAIN, GOOD, restarts=1, max_iter=5, **settings)


def path(**fields):
    return em.fit(em.HMM(em.Poisson(), 2), COUNTS, init=PATH | fields)


def stream(source=GOOD, model=GMM, **settings):
    return em.fit_stream(model, source, progress=False, **settings)


def posterior(value, k=2):
    return em.CategoricalPosterior(np.full((20, k), value))


BAD_CALLS = [
    ("fit-no-model", lambda: em.fit(None, GOOD), TypeError, "model must be a model"),
    ("fit-family", lambda: em.fit(em.Gaussian(), GOOD), TypeError, "model must be a model"),
    ("fit-class", lambda: em.fit(em.Mixture, GOOD), TypeError, "model must be a model"),
    ("float32-factors", lambda: em.fit(em.PPCA(1), GOOD, dtype="float32"), ValueError, "float32"),
    ("hard-continuous", lambda: em.fit(em.PPCA(1), GOOD, e_step=em.hard), TypeError, "no mode"),
    ("steps-no-model", lambda: em.steps(None, GOOD, PARAMS), TypeError, "model must be a model"),
    ("steps-other-params", lambda: em.steps(GMM, GOOD, OTHER), ValueError, "'rates'"),
    ("steps-seed", lambda: em.steps(GMM, GOOD, "k-means++", seed=0.5), ValueError, "seed must be"),
    ("steps-weight", lambda: em.steps(GMM, GOOD, PARAMS, weight=np.ones(3)), ValueError, r"weight must have shape"),
    ("steps-e-step", lambda: next(em.steps(GMM, GOOD, PARAMS, "hard")), TypeError, "e_step must be"),
    ("elbo-other-params", lambda: em.elbo(MODEL, OTHER, GOOD, Q), ValueError, "lack means, covariances"),
    ("elbo-mapping", lambda: em.elbo(MODEL, PARAMS._asdict(), GOOD, Q), TypeError, "params must be a params tuple"),
    ("elbo-rows", lambda: em.elbo(MODEL, PARAMS, GOOD[:5], Q), ValueError, "q has 20 rows, but x has 5"),
    ("elbo-columns", lambda: em.elbo(MODEL, PARAMS, GOOD, posterior(1 / 3, 3)), ValueError, "3 columns"),
    ("elbo-features", lambda: em.elbo(MODEL, PARAMS, GOOD[:, :1], Q), ValueError, "made for 2"),
    ("elbo-sum", lambda: em.elbo(MODEL, PARAMS, GOOD, posterior(0.7)), ValueError, "row 0 .* must sum to 1"),
    ("elbo-nan", lambda: em.elbo(MODEL, PARAMS, GOOD, posterior(np.nan)), ValueError, "row 0"),
    ("elbo-array", lambda: em.elbo(MODEL, PARAMS, GOOD, np.full((20, 2), 0.5)), TypeError, "CategoricalPosterior"),
    ("elbo-none", lambda: em.elbo(MODEL, PARAMS, GOOD, None), TypeError, "q must be a posterior"),
    ("gap-rows", lambda: em.gap(MODEL, PARAMS, GOOD[:5], Q), ValueError, "q has 20 rows"),
    ("forms-rows", lambda: em.elbo_forms(MODEL, PARAMS, GOOD[:5], Q), ValueError, "q has 20 rows"),
    ("forms-no-split", lambda: em.elbo_forms(object(), PARAMS, GOOD, Q), TypeError, "latent_prior"),
    ("kl-shapes", lambda: em.kl([[0.5, 0.5]], [[0.2, 0.3, 0.5]]), ValueError, "one shape"),
    ("kl-sum", lambda: em.kl([[0.5, 0.5]], [[0.5, 0.6]]), ValueError, "p is not a table"),
    ("kl-text", lambda: em.kl([["a", "b"]], [[0.5, 0.5]]), TypeError, "q must hold numbers"),
    ("kl-kinds", lambda: em.kl(FACTORS.model.posterior(FACTORS.params, GOOD), Q), TypeError, "of one kind"),
    ("kl-array", lambda: em.kl(Q, Q.probs), TypeError, "of one kind"),
    ("slice-field", lambda: em.bound_slice(MODEL, PARAMS, GOOD, "mean", [0.0]), ValueError, "no field 'mean'"),
    ("slice-index", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ("means", (5, 5)), [0.0]), ValueError, r"\(2, 2\)"),
    ("slice-half-index", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ("means", (0.5, 0)), [0.0]), ValueError, "index"),
    ("slice-grid-nan", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ALONG, [np.nan]), ValueError, "grid must be"),
    ("slice-grid-text", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ALONG, ["a"]), TypeError, "grid must hold"),
    ("slice-grid-number", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ALONG, 0.0), ValueError, "grid must be"),
    ("slice-weight", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ("weights", 0), [1.5]), ValueError, "between 0 and 1"),
    ("slice-direction", lambda: em.bound_slice(MODEL, PARAMS, GOOD, np.ones(3), [0.0]), ValueError, r"\(11,\), finite"),
    ("slice-direction-nan", lambda: em.bound_slice(MODEL, PARAMS, GOOD, np.full(11, np.nan), [0.0]), ValueError,
     "finite"),
    ("slice-far", lambda: em.bound_slice(MODEL, PARAMS, GOOD, np.ones(11), [1e5]), ValueError, "leaves what floats"),
    ("slice-no-params", lambda: em.bound_slice(MODEL, None, GOOD, ALONG, [0.0]), TypeError, "params must be"),
    ("slice-q-rows", lambda: em.bound_slice(MODEL, PARAMS, GOOD, ALONG, [0.0], q=Q.rows(slice(3))), ValueError,
     "q has 3 rows"),
    ("stationary-tol", lambda: em.stationary_point(MODEL, PARAMS, GOOD, tol=-1.0), ValueError, "tol must be"),
    ("stationary-tol-text", lambda: em.stationary_point(MODEL, PARAMS, GOOD, tol="a"), ValueError, "tol must be"),
    ("stationary-other", lambda: em.stationary_point(MODEL, OTHER, GOOD), ValueError, "'rates'"),
    ("stationary-lengths", lambda: em.stationary_point(MODEL, PARAMS, GOOD, lengths=[20]), TypeError, "lengths"),
    ("rate-none", lambda: em.rate(None), TypeError, "model must be a model"),
    ("rate-no-data", lambda: em.rate(MODEL, PARAMS), TypeError, "array or a data frame"),
    ("rate-nowhere", lambda: em.rate(MODEL, PARAMS._replace(means=PARAMS.means + 9), GOOD), ValueError, "fixed point"),
    ("errors-method", lambda: em.standard_errors(MODEL, PARAMS, GOOD, method="x"), ValueError, "louis"),
    ("errors-nowhere", lambda: em.standard_errors(MODEL, PARAMS._replace(means=PARAMS.means + 1), GOOD), ValueError,
     "no strict maximum"),
    ("errors-louis", lambda: em.standard_errors(em.PPCA(1), FACTORS.params, GOOD, method="louis"), TypeError,
     "hessian"),
    ("multistart-params", lambda: em.multistart(GMM, GOOD, init=PARAMS), ValueError, "random start"),
    ("multistart-restarts", lambda: em.multistart(GMM, GOOD, restarts=1.5), ValueError, "restarts"),
    ("select-none", lambda: em.select(None, GOOD), TypeError, "models must be"),
    ("select-model", lambda: em.select(GMM, GOOD), TypeError, "models must be"),
    ("select-no-k", lambda: em.select(lambda k: em.Mixture(em.Gaussian(), k), GOOD), ValueError, "needs k="),
    ("select-one-k", lambda: em.select(lambda k: em.Mixture(em.Gaussian(), k), GOOD, k=3), TypeError, "several values"),
    ("select-criterion", lambda: em.select([GMM], GOOD, criteria=["x"]), ValueError, "'bic'"),
    ("select-folds", lambda: em.select([GMM], GOOD, folds=2.5), ValueError, "folds must be"),
    ("select-folds-text", lambda: em.select([GMM], GOOD, folds="a"), ValueError, "folds must be"),
    ("select-more-folds-than-rows", lambda: em.select([GMM], GOOD, folds=99, restarts=1), ValueError, "rows, 20"),
    ("select-held-out-chain", lambda: em.select([CHAIN], GOOD), ValueError, "sequences have an order"),
    ("select-best", lambda: em.select([GMM], GOOD, criteria="bic", restarts=1).best("aic"), ValueError, "not asked"),
    ("lrt-none", lambda: em.bootstrap_lrt(GMM, GMM, GOOD, n_bootstrap=0), ValueError, "n_bootstrap"),
    ("lrt-text", lambda: em.bootstrap_lrt(GMM, GMM, GOOD, n_bootstrap="a"), ValueError, "n_bootstrap"),
    ("lrt-weights", lambda: em.bootstrap_lrt(GMM, GMM, GOOD, weight=np.full(20, 0.5)), ValueError, "whole numbers"),
    ("lrt-swapped", lambda: em.bootstrap_lrt(GMM, em.Mixture(em.Gaussian(), 1), GOOD, restarts=1), ValueError, "swap"),
    ("add-kinds", lambda: em.add_stats(MODEL.suff_stats(GOOD, Q), POISSON.suff_stats(COUNTS, Q)), TypeError, "kind"),
    ("relabel-twice", lambda: MODEL.relabel(PARAMS, [0, 0]), ValueError, "each of 0 to 1 once"),
    ("relabel-short", lambda: MODEL.relabel(PARAMS, [0]), ValueError, "order must name"),
    ("predict-infinity", lambda: FACTORS.predict(np.full((2, 2), np.inf)), ValueError, "row 0, column 0"),
    ("responsibilities-of-factors", lambda: FACTORS.responsibilities(GOOD), TypeError, "no finite z"),
    ("lengths-sum", lambda: chain(lengths=[10, 5]), ValueError, "add up to 15, but x has 20"),
    ("lengths-zero", lambda: chain(lengths=[20, 0]), ValueError, r"lengths\[1\] is 0"),
    ("lengths-negative", lambda: chain(lengths=[30, -10]), ValueError, r"lengths\[1\] is -10"),
    ("lengths-fraction", lambda: chain(lengths=[10.5, 9.5]), TypeError, "whole numbers"),
    ("lengths-number", lambda: chain(lengths=20), ValueError, "one number per sequence"),
    ("weights-per-row-of-a-chain", lambda: chain(weight=np.ones(20)), ValueError, r"shape \(1,\)"),
    ("transitions-sum", lambda: path(transitions=[[0.5, 0.6], [0.5, 0.5]]), ValueError, r"transitions\[0\] must sum"),
    ("start-sum", lambda: path(start=[0.5, 0.6]), ValueError, "params.start must sum to 1"),
    ("rates-negative", lambda: path(rates=[[-1.0], [2.0]]), ValueError, r"rates\[0, 0\] is -1"),
    ("impossible-sequence", lambda: path(rates=[[0.0], [0.0]]), ValueError, "sequence 0 is impossible"),
    ("dataset-typo", lambda: em.datasets.load("old_faithfull"), ValueError, "Did you mean 'old_faithful'"),
    ("dataset-path", lambda: em.datasets.load("../pyproject"), ValueError, "no data set"),
    ("dataset-info", lambda: em.datasets.info(3), ValueError, "no data set 3"),
    ("stream-none", lambda: stream(None), TypeError, "source must be"),
    ("stream-no-model", lambda: stream(model=None), TypeError, "model must be a model"),
    ("stream-empty", lambda: stream([]), ValueError, "empty"),
    ("stream-chain", lambda: stream(model=CHAIN), TypeError, "cannot be cut into blocks"),
    ("stream-columns", lambda: stream([GOOD, GOOD[:, :1]]), ValueError, "block 1 of the source"),
    ("stream-infinity", lambda: stream([GOOD, np.full((3, 2), np.inf)]), ValueError, "block 1 .*row 0, column 0"),
    ("stream-text", lambda: stream([np.full((3, 2), "a")]), TypeError, "block 0 .*must hold numbers"),
    ("stream-weight", lambda: stream([(GOOD, -np.ones(20))]), ValueError, r"block 0 .*weight\[0\] is -1"),
    ("stream-weight-name", lambda: stream(pl.DataFrame(GOOD), weight="w"), ValueError, "weight='w' is no column"),
    ("stream-labels", lambda: stream(init=np.zeros(20)), TypeError, "no labels"),
    ("stream-block-rows", lambda: stream(block_rows=0), ValueError, "block_rows"),
    ("stream-seed", lambda: stream(seed=-1), ValueError, "seed must be"),
    ("stream-online", lambda: stream(online=3), TypeError, "Stepwise"),
    ("stream-read-once", lambda: stream(iter([GOOD])), TypeError, "can be read once"),
    ("stream-no-file", lambda: stream("no-such.parquet"), FileNotFoundError, "no-such.parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), [r[1:] for r in BAD_CALLS], ids=[r[0] for r in BAD_CALLS])
@pytest.mark.filterwarnings("error")
def test_bad_calls(call, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        call()


def damaged(x):
    """One table, made hard in every way that a user's own may be."""
    rows = np.arange(len(x))[:, None]
    return {
        "huge": x * 1e100, "tiny": x * 1e-100, "offset": x + 1e6, "negative": -x, "beyond-squares": x * 1e200,
        "float32": x.astype(np.float32), "whole": np.round(3 * x), "bits": (x > 0).astype(float),
        "zeros": np.zeros_like(x), "ones": np.ones_like(x), "one-row": x[:1], "two-rows": x[:2],
        "one-column": x[:, :1], "same-rows": np.repeat(x[:1], len(x), axis=0),
        "duplicate": np.column_stack([x, x[:, -1]]), "collinear": np.column_stack([x, x @ np.ones(x.shape[1])]),
        "constant-last": np.column_stack([x[:, :-1], np.ones(len(x))]),
        "hole": np.where((rows == 2) & (np.arange(x.shape[1]) == x.shape[1] - 1), np.nan, x),
        "empty-column": np.column_stack([x[:, :-1], np.full(len(x), np.nan)]),
    }  # fmt: skip


HARD = [
    case
    for case in CASES
    if case.lengths is None
    and isinstance(case.x, np.ndarray)
    and not np.isinf(case.x).any()
    and "prior" not in case.name
]


@pytest.mark.parametrize("case", HARD, ids=lambda case: case.name)
@pytest.mark.filterwarnings("error")
def test_hard_tables_end_in_words_or_in_a_finite_answer(case):
    """Whatever a table does to a model: an error in words, or finite params; no warning, and nothing written to."""
    for name, x in damaged(np.asarray(case.x, dtype=float)).items():
        before = x.copy()
        x.flags.writeable = False
        init = case.init if isinstance(case.init, str) else "random-rows"
        try:
            fit = em.fit(case.model, x, init=init, restarts=1, max_iter=5)
        except (TypeError, ValueError) as error:
            words = str(error)
        else:
            words = fit.message
            assert np.isfinite([fit.log_likelihood, fit.objective]).all(), name
            assert all(np.isfinite(field).all() for field in fit.params), name
        assert len(words.split()) > 4, name
        np.testing.assert_array_equal(x, before)


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
