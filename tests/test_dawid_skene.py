"""Dawid and Skene's raters against EM in loops, and what the model promises of its table."""

import numpy as np
import pytest

import emcore as em

RNG = np.random.default_rng(28)
RATERS = em.DawidSkene(3).sample(
    em.DawidSkene(3).check_params(
        {"weights": [0.5, 0.3, 0.2], "error_rates": RNG.dirichlet(np.ones(3), (4, 3)) * 0.4 + np.eye(3) * 0.6},
        em.DawidSkene(3).check([[0, 3, 0]]),
    ),
    30,
    RNG,
)[0]
UNEVEN = RATERS[RNG.permutation(len(RATERS))[:70]]  # some items lose ratings


def plain_dawid_skene(x, k, n_iter):
    """EM in loops, from each item's share of labels: params and log-likelihood at each iteration."""
    items = sorted({int(row[0]) for row in x})
    annotators = int(max(row[1] for row in x)) + 1
    of_item = [[(int(a), int(label)) for i, a, label in x if i == item] for item in items]
    z = np.array([[sum(label == j for _, label in ratings) / len(ratings) for j in range(k)] for ratings in of_item])
    trail = []
    for _ in range(n_iter):
        weights, rates = z.mean(axis=0), np.zeros((annotators, k, k))
        for row, ratings in zip(z, of_item):
            for a, label in ratings:
                rates[a, :, label] += row
        rates /= rates.sum(axis=2, keepdims=True)
        joint = np.array([[weights[j] * np.prod([rates[a, j, label] for a, label in ratings]) for j in range(k)]
                          for ratings in of_item])  # fmt: skip
        trail.append((weights, rates, np.log(joint.sum(axis=1))))
        z = joint / joint.sum(axis=1, keepdims=True)
    return trail


@pytest.mark.parametrize("x", [RATERS, UNEVEN], ids=["even", "uneven"])
def test_raters_against_em_in_loops(x):
    model = em.DawidSkene(3)
    trail = plain_dawid_skene(x, 3, 12)
    params = model.initial_params(model.check(x), "majority", np.random.default_rng(0))
    for weights, rates, rows in trail:
        np.testing.assert_allclose(params.weights, weights, rtol=1e-12)
        np.testing.assert_allclose(params.error_rates, rates, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(model.log_likelihood(params, x), rows, rtol=1e-12)
        params = model.m_step(model.suff_stats(x, model.posterior(params, x)), params)


def test_order_of_ratings_and_codes_of_items_do_not_matter():
    model = em.DawidSkene(3)
    fit = em.fit(model, UNEVEN, init="majority", restarts=1, max_iter=30)
    mixed = UNEVEN[np.random.default_rng(1).permutation(len(UNEVEN))].copy()
    mixed[:, 0] = 7 * mixed[:, 0] + 3
    other = em.fit(model, mixed, init="majority", restarts=1, max_iter=30)
    np.testing.assert_allclose(other.params.error_rates, fit.params.error_rates, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(other.predict(mixed), fit.predict(UNEVEN))


def test_weights_of_items_are_repeated_items():
    model = em.DawidSkene(3, prior=(1.0, 0.5))
    repeats = np.arange(30) % 3
    weighted = em.fit(model, RATERS, weight=repeats, init="majority", restarts=1, tol=0, max_iter=20)
    rows, code = [], 0
    for item, count in enumerate(repeats):
        for _ in range(count):
            rows += [(code, a, label) for i, a, label in RATERS if i == item]
            code += 1
    repeated = em.fit(model, rows, init="majority", restarts=1, tol=0, max_iter=20)
    assert weighted.n_rows == repeated.n_rows == code
    np.testing.assert_allclose(weighted.params.error_rates, repeated.params.error_rates, rtol=1e-10)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-11)


def test_renaming_classes_changes_nothing():
    model = em.DawidSkene(3)
    params = em.fit(model, RATERS, init="random-responsibilities", restarts=1, max_iter=5).params
    other = model.relabel(params, [2, 0, 1])
    np.testing.assert_allclose(model.log_likelihood(other, RATERS), model.log_likelihood(params, RATERS), rtol=1e-12)


def test_an_annotator_who_never_met_a_class_keeps_even_rates():
    x = [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [2, 0, 1], [3, 0, 1]]
    fit = em.fit(em.DawidSkene(2), x, init=[0, 0, 1, 1])
    np.testing.assert_array_equal(fit.params.error_rates[1, 1], [0.5, 0.5])
    np.testing.assert_array_equal(fit.params.error_rates[0], np.eye(2))


def test_pseudo_ratings():
    """One certain item, one annotator: shares of ratings and pseudo-ratings."""
    model = em.DawidSkene(2, prior=(3.0, 1.0), weight_prior=2.0)
    x = model.check([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    params = model.params_from_responsibilities(x, np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(params.weights, [2 / 5, 3 / 5])
    np.testing.assert_allclose(params.error_rates[0], [[3 / 4, 1 / 4], [2 / 7, 5 / 7]])
    expected = 3 * np.log(3 / 4 * 5 / 7) + np.log(1 / 4 * 2 / 7) + 2 * np.log(6 / 25)
    assert model.log_prior(params) == pytest.approx(expected, rel=1e-13)


def test_simulated_raters_are_recovered():
    model = em.DawidSkene(3)
    rates = np.stack([np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3) for e in (0.1, 0.2, 0.3, 0.4, 0.15)])
    truth = model.check_params({"weights": [0.5, 0.3, 0.2], "error_rates": rates}, model.check([[0, 4, 0]]))
    x, z = model.sample(truth, 3000, np.random.default_rng(6))
    fit = em.fit(model, x, init="majority", restarts=1)
    np.testing.assert_allclose(fit.params.weights, truth.weights, rtol=0, atol=0.04)
    np.testing.assert_allclose(fit.params.error_rates, truth.error_rates, rtol=0, atol=0.06)
    assert (fit.predict(x) == z).mean() > 0.93
    assert fit.n_params == 2 + 5 * 3 * 2


@pytest.mark.parametrize(
    ("x", "settings", "error", "words"),
    [
        ([[0, 0]], {}, ValueError, "three columns"),
        ([[0, 0, 3]], {}, ValueError, "0 to 2.*3 at row 0, column 2"),
        ([[1, 1, 1]], {}, ValueError, "annotator 0 has no rating"),
        ([[0, 0, 0.5]], {}, ValueError, "0.5"),
        ([[0, 0, np.nan]], {}, ValueError, "missing"),
        ([[0, 0, 1]], {"init": "median"}, ValueError, "'majority'"),
        ([[0, 0, 1]], {"weight": [1.0, 2.0]}, ValueError, r"shape \(1,\)"),
        ([[0, 0, 1]], {"init": {"weights": [1, 0, 0], "error_rates": np.ones((1, 3, 3))}}, ValueError,
         r"error_rates\[0\]\[0\] must sum to 1|between 0 and 1"),
        ([[0, 0, 1]], {"init": {"weights": [1, 0, 0], "error_rates": np.full((1, 3, 3), 0.2)}}, ValueError,
         r"error_rates\[0\]\[0\] must sum to 1"),
        ([[0, 0, 1]], {"init": [0, 1]}, ValueError, r"\(1,\)"),
    ],
)  # fmt: skip
def test_bad_ratings(x, settings, error, words):
    with pytest.raises(error, match=words):
        em.fit(em.DawidSkene(3), x, **settings)


def test_an_annotator_unknown_to_the_params_is_refused():
    fit = em.fit(em.DawidSkene(3), RATERS, init="majority", restarts=1, max_iter=3)
    with pytest.raises(ValueError, match="annotator 4, but the parameters know 0 to 3"):
        fit.predict([[0, 4, 1]])
    for wrong in (0, 2.5, True):
        with pytest.raises(ValueError, match="n_classes"):
            em.DawidSkene(wrong)
