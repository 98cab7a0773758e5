"""Merged multinomials and lost zeros against enumeration: every hidden split, every number of zeros."""

import pickle
from itertools import combinations, product

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import multinomial, nbinom, poisson

import emcore as em
from emcore.models.merged_multinomial import SplitPosterior

LINKAGE, ABO, MOTH = em.genetics.linkage(), em.genetics.abo(), em.genetics.peppered_moth()
TWO_TABLES = em.MergedMultinomial({"probs": "a b c"}, ("a", "b + c", "a + b", "c"), tables=(2, 2))


def compositions(n, parts):
    """All ways to write n as an ordered sum of `parts` whole numbers."""
    for cuts in combinations(range(n + parts - 1), parts - 1):
        yield np.diff([-1, *cuts, n + parts - 1]) - 1


def hidden_probabilities(model, params):
    theta = np.concatenate([[v, 1 - v] if np.ndim(v) == 0 else v for v in params])
    return np.exp(model.hidden.log_constant) * np.prod(theta**model.hidden.exponents, axis=1)


MERGED = [
    (LINKAGE, LINKAGE.Params(np.array(0.37)), [3, 1, 0, 2]),
    (ABO, ABO.Params(np.array([0.3, 0.2, 0.5])), [2, 1, 1, 2]),
    (MOTH, MOTH.Params(np.array([0.1, 0.3, 0.6])), [1, 2, 3]),
]


@pytest.mark.parametrize(("model", "params", "x"), MERGED, ids=["linkage", "abo", "moth"])
def test_merged_likelihood_and_expected_split_by_enumeration(model, params, x):
    """log p(x) sums the multinomial of every hidden table that merges to x; the E-step is the mean of those tables."""
    cell, p = model.hidden.cell, hidden_probabilities(model, params)
    total, mean = 0.0, np.zeros(len(p))
    for n_hidden in compositions(sum(x), len(p)):
        if np.array_equal(np.bincount(cell, n_hidden, len(x)), x):
            chance = multinomial.pmf(n_hidden, sum(x), p)
            total, mean = total + chance, mean + chance * n_hidden
    assert model.log_likelihood(params, [x])[0] == pytest.approx(np.log(total), rel=1e-12)
    q = model.posterior(params, [x])
    np.testing.assert_allclose((q.counts * q.shares)[0], mean / total, rtol=1e-11, atol=1e-14)


def test_the_probabilities_of_all_tables_sum_to_one():
    params = ABO.Params(np.array([0.3, 0.2, 0.5]))
    tables = np.array(list(compositions(4, 4)))
    assert np.exp(ABO.log_likelihood(params, tables)).sum() == pytest.approx(1.0, abs=1e-13)


def test_independent_tables_in_one_row():
    """A row of two tables has the product of their multinomials, each with its own coefficient."""
    p = np.array([0.2, 0.5, 0.3])
    expected = multinomial.logpmf([3, 4], 7, [p[0], p[1] + p[2]]) + multinomial.logpmf([5, 1], 6, [p[0] + p[1], p[2]])
    assert TWO_TABLES.log_likelihood(TWO_TABLES.Params(p), [[3, 4, 5, 1]])[0] == pytest.approx(expected, rel=1e-13)


def test_labelled_entropy_and_divergence_by_enumeration():
    """Every individual of the first linkage class is in hidden cell 0 or 1: 2³ labellings of three individuals."""
    x, split, other = np.array([[3, 1, 0, 2]]), 0.3, 0.6
    q = SplitPosterior(np.array([[split, 1 - split, 1.0, 1.0, 1.0]]), x[:, LINKAGE.hidden.cell])
    p = SplitPosterior(np.array([[other, 1 - other, 1.0, 1.0, 1.0]]), x[:, LINKAGE.hidden.cell])
    labellings = list(product([0, 1], repeat=3))
    of_q = np.array([np.prod([[split, 1 - split][label] for label in labels]) for labels in labellings])
    of_p = np.array([np.prod([[other, 1 - other][label] for label in labels]) for labels in labellings])
    assert q.entropy()[0] == pytest.approx(-(of_q * np.log(of_q)).sum(), rel=1e-13)
    assert q.kl(p)[0] == pytest.approx((of_q * np.log(of_q / of_p)).sum(), rel=1e-13)


@pytest.mark.parametrize("split", [0.0, 0.01, 0.5, 1.0])
def test_the_bound_holds_at_any_split(split):
    params, x = LINKAGE.Params(np.array(0.4)), np.array([[125, 18, 20, 34]])
    q = SplitPosterior(np.array([[split, 1 - split, 1.0, 1.0, 1.0]]), x[:, LINKAGE.hidden.cell].astype(float))
    gap = em.gap(LINKAGE, params, x, q)
    np.testing.assert_allclose(gap, q.kl(LINKAGE.posterior(params, x)), rtol=1e-11)
    assert gap[0] > 1.0


def test_a_tiny_divergence_keeps_its_digits():
    """Near the maximum KL is far below the rounding of the two log-likelihoods that it is the difference of."""
    x = np.array([[125, 18, 20, 34]])
    q, p = (LINKAGE.posterior(LINKAGE.Params(np.array(t)), x) for t in (0.6268214978, 0.6268214978 + 1e-11))
    share = q.shares[0, 1]
    slope = (1 - share) * share / 0.6268214978  # of the share in theta
    assert q.kl(p)[0] == pytest.approx(0.5 * 125 * (slope * 1e-11) ** 2 / (share * (1 - share)), rel=1e-4)


def phenotypes(frequencies, rank, looks):
    """Probabilities of looks by the random meeting of two genes."""
    chances = dict.fromkeys(looks, 0.0)
    for (a, p), (b, q) in product(frequencies.items(), repeat=2):
        chances[rank(a, b)] += p * q
    return np.array([chances[look] for look in looks])


def test_genetics_by_the_meeting_of_genes():
    def blood(a, b):
        return "".join(sorted({a, b} - {"O"})) or "O"

    def moth(a, b):
        return min(a, b)  # C before I before T

    genes = np.array([0.25, 0.15, 0.6])
    expected = phenotypes(dict(zip("ABO", genes)), blood, ["A", "B", "AB", "O"])
    found = ABO.log_likelihood(ABO.Params(genes), np.eye(4))
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-13)
    expected = phenotypes(dict(zip("CIT", genes)), moth, ["C", "I", "T"])
    np.testing.assert_allclose(np.exp(MOTH.log_likelihood(MOTH.Params(genes), np.eye(3))), expected, rtol=1e-13)


def test_the_prior_is_pseudo_draws():
    """Without merging the mode is the shares of counts and pseudo-counts, and log_prior is what it maximises."""
    model = em.MergedMultinomial({"probs": "a b c"}, ("a", "b", "c"), prior=2.0)
    fit = em.fit(model, [[3, 0, 7]], restarts=1)
    np.testing.assert_allclose(fit.params.probs, np.array([5, 2, 9]) / 16, rtol=1e-12)
    assert model.log_prior(fit.params) == pytest.approx(2.0 * np.log(fit.params.probs).sum(), rel=1e-13)


def test_simulated_genes_are_recovered():
    genes = np.array([0.28, 0.07, 0.65])
    x, z = ABO.sample(ABO.Params(genes), 20_000, np.random.default_rng(4))
    assert x.sum() == 20_000
    np.testing.assert_array_equal(ABO.hidden.cell[z[:, 0]], x.argmax(axis=1))
    fit = em.fit(ABO, x.sum(axis=0)[None], restarts=2)
    np.testing.assert_allclose(fit.params.probs, genes, rtol=0, atol=0.01)
    rows = em.fit(ABO, x, restarts=1)  # one person a row, one table for all: the same estimate
    np.testing.assert_allclose(rows.params.probs, fit.params.probs, rtol=1e-5)


def test_a_gene_that_is_never_seen_goes_to_zero():
    fit = em.fit(ABO, [[100, 0, 0, 80]], restarts=1, tol=1e-18)
    assert fit.params.probs[1] < 1e-12
    assert fit.params.probs[2] == pytest.approx(np.sqrt(80 / 180), abs=1e-9)


def test_params_of_any_sensible_shape_start_a_fit():
    x = np.array([[125, 18, 20, 34]])
    fits = [em.fit(LINKAGE, x, init={"theta": theta}) for theta in (0.5, [0.5], np.array([[0.5]]))]
    fits.append(em.fit(LINKAGE, x, init=LINKAGE.Params(0.5)))
    assert {float(fit.params.theta) for fit in fits} == {float(fits[0].params.theta)}
    shares = LINKAGE.posterior(fits[0].params, x).shares
    assert float(em.fit(LINKAGE, x, init=shares).params.theta) == pytest.approx(0.6268214979, abs=1e-9)
    assert pickle.loads(pickle.dumps(fits[0].params)) == fits[0].params


def test_formulas_in_any_spelling():
    """Powers, products with complements, repeated terms and divisions mean what they say."""
    plain = em.MergedMultinomial({"theta": "t"}, ("t*t", "2*t*(1 - t)", "(1 - t)*(1 - t)"))
    other = em.MergedMultinomial({"theta": "t"}, ("t**2", "t*(1 - t) + (1 - t)*t", "(2*(1 - t)**2 + (1 - t)**2)/3"))
    for a, b in zip(plain.hidden, other.hidden):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-15)
    assert plain != other
    assert hash(plain) == hash(em.MergedMultinomial((("theta", ("t",)),), plain.cells))


@pytest.mark.parametrize(
    ("groups", "cells", "words"),
    [
        ({"theta": "t"}, ("t", "1 - t", "t"), "sum to"),
        ({"theta": "t"}, ("t", "1 - s"), "'1 - s'"),
        ({"theta": "t"}, ("t", "1 +"), "cannot be read"),
        ({"theta": "t"}, ("t", "(1 - t) * 0"), "not positive"),
        ({"theta": "t"}, ("t", "exp(t)"), "exp"),
        ({"theta": "t"}, ("t", "t/0"), "t / 0"),
        ({"probs": "a a"}, ("a", "a"), "once"),
        ({"probs": "1a b"}, ("b", "b"), "identifier"),
        ({}, ("1",), "once"),
        ({"theta": "t", "rest": ""}, ("t", "1 - t"), "once"),
    ],
)
def test_bad_formulas(groups, cells, words):
    with pytest.raises(ValueError, match=words):
        em.MergedMultinomial(groups, cells)


@pytest.mark.parametrize(
    ("x", "settings", "words"),
    [
        ([125, 18, 20, 34], {}, r"x\[None, :\]"),
        ([[125, 18, 20]], {}, "3 columns.*4 cells"),
        ([[125, 18, -1, 34]], {}, "-1 at row 0, column 2"),
        ([[125, 18, 2.5, 34]], {}, "2.5"),
        ([[0, 0, 0, 0]], {}, "every count is zero"),
        ([[125, 18, 20, 34]], {"init": {"theta": 1.5}}, "between 0 and 1"),
        ([[125, 18, 20, 34]], {"init": {"theta": [0.5, 0.5]}}, "theta"),
        ([[125, 18, 20, 34]], {"init": {"probs": 0.5}}, "does not know"),
        ([[125, 18, 20, 34]], {"init": "middle"}, "'uniform'"),
        ([[125, 18, 20, 34]], {"init": {"theta": 0.0}}, "cell 3 .*probability 0"),
        ([[125, 18, 20, 34]], {"init": np.full((1, 5), 0.5)}, "sum to one within"),
        ([[125, 18, 20, 34]], {"init": np.ones((1, 4))}, "shares"),
    ],
)
def test_bad_tables(x, settings, words):
    with pytest.raises(ValueError, match=words):
        em.fit(LINKAGE, x, **settings)
    with pytest.raises(ValueError, match="cells per table"):
        em.MergedMultinomial({"theta": "t"}, ("t", "1 - t"), tables=(1, 2))


# Lost zeros

ZTP = em.ZeroTruncatedPoisson()
COUNTS = np.array([[1.0], [2.0], [5.0]])
RATE = ZTP.check_params({"rates": [1.3]}, COUNTS)


def test_lost_zeros_by_enumeration():
    """Sum over 0, 1, 2, … zeros before each count: likelihood, mean, entropy and divergence."""
    zeros = np.arange(400)
    joint = np.exp(-1.3 * zeros) * poisson.pmf(COUNTS, 1.3)  # (n, zeros)
    rows = joint.sum(axis=1)
    np.testing.assert_allclose(ZTP.log_likelihood(RATE, COUNTS), np.log(rows), rtol=1e-12)
    posterior = joint[0] / rows[0]
    other = ZTP.posterior(ZTP.check_params({"rates": [0.9]}, COUNTS), COUNTS)
    of_other = np.exp(-0.9 * zeros) * -np.expm1(-0.9)
    q = ZTP.posterior(RATE, COUNTS)
    assert q.mean()[0] == pytest.approx(posterior @ zeros, rel=1e-12)
    seen = posterior > 0
    assert q.entropy()[0] == pytest.approx(-(posterior[seen] * np.log(posterior[seen])).sum(), rel=1e-12)
    kl = (posterior[seen] * (np.log(posterior[seen]) - np.log(of_other[seen]))).sum()
    assert q.kl(other)[0] == pytest.approx(kl, rel=1e-11)


def test_all_lost_zeros_together_are_negative_binomial():
    n, stop = 3, -np.expm1(-1.3)
    convolved = np.array([1.0])
    for _ in range(n):
        convolved = np.convolve(convolved, stop * np.exp(-1.3 * np.arange(60)))[:60]
    np.testing.assert_allclose(convolved, nbinom.pmf(np.arange(60), n, stop), rtol=1e-10)
    assert ZTP.posterior(RATE, COUNTS).mean().sum() == pytest.approx(nbinom.mean(n, stop), rel=1e-12)


def test_the_truncated_maximum_solves_its_equation():
    """λ / (1 - e^{-λ}) is the mean of the counts seen; the conditional likelihood sums to 1."""
    fit = em.fit(ZTP, COUNTS, weight=[5, 2, 1], tol=1e-18)
    rate = fit.params.rates[0]
    assert rate / -np.expm1(-rate) == pytest.approx(np.average(COUNTS[:, 0], weights=[5, 2, 1]), rel=1e-10)
    assert np.exp(ZTP.log_likelihood(RATE, np.arange(1.0, 60)[:, None])).sum() == pytest.approx(1.0, abs=1e-13)


def test_simulated_counts_without_zeros():
    x, z = ZTP.sample(RATE, 40_000, np.random.default_rng(8))
    assert x.min() == 1.0
    assert x.mean() == pytest.approx(1.3 / -np.expm1(-1.3), abs=0.02)
    assert (x == 3).mean() == pytest.approx(np.exp(ZTP.log_likelihood(RATE, [[3.0]])[0]), abs=0.01)
    assert z.mean() == pytest.approx(1.0 / np.expm1(1.3), abs=0.02)


def test_pseudo_draws_of_a_poisson():
    fit = em.fit(em.ZeroTruncatedPoisson(prior=(2.0, 4.0)), COUNTS, tol=1e-18)
    rate = fit.params.rates[0]
    assert rate == pytest.approx((8 + 2) / (3 / -np.expm1(-rate) + 4), rel=1e-10)


def test_only_ones_drift_to_zero_and_say_so():
    fit = em.fit(ZTP, np.ones((4, 1)), max_iter=200)
    assert fit.status is em.Status.MAX_ITER
    assert 0 < fit.params.rates[0] < 0.02


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: em.fit(ZTP, [[0.0], [1.0]]), "0 at row 0.*Poisson"),
        (lambda: em.fit(ZTP, [[1.5]]), "1.5"),
        (lambda: em.fit(ZTP, [[1.0, 2.0]]), "2 columns"),
        (lambda: em.fit(ZTP, COUNTS, init={"rates": [0.0]}), "rates"),
        (lambda: em.fit(ZTP, COUNTS, init=[0, 1, 0]), "no labels"),
        (lambda: em.ZeroTruncatedPoisson(prior=(1.0,)), "pseudo"),
    ],
)
def test_bad_truncated_counts(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_log_factorials_are_included():
    assert ZTP.log_likelihood(RATE, [[5.0]])[0] == pytest.approx(
        5 * np.log(1.3) - 1.3 - gammaln(6) - np.log(-np.expm1(-1.3)), rel=1e-13
    )


def test_a_probability_that_underflows_is_not_yet_zero():
    """A level held by a vanishing responsibility stays possible: log 0 against a Q above 0 would tear the bound."""
    x = np.array([[0.0], [1.0]])
    responsibilities = np.array([[1.0 - 1e-16, 1e-16], [5e-324, 1.0]])
    family = em.Categorical(2)
    model = em.Mixture(family, 2).resolve(x)
    q = em.CategoricalPosterior(responsibilities)
    params = model.m_step(model.suff_stats(x, q, np.array([100.0, 1.0])), None)
    assert (params.probs > 0).all()
    assert np.isfinite(em.elbo(model, params, x, q)).all()
