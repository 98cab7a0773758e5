"""Restricted E-steps: the bound stays a bound with its true gap, promises hold, and each is the best of its kind."""

from contextlib import suppress
from itertools import combinations, islice, pairwise

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import emcore as em
from emcore.esteps import e_step_at, is_judged, is_monotone
from emcore.numerics import total
from emcore.posteriors import CategoricalPosterior, GaussianPosterior
from emcore.trace import half_steps
from tests.registry import CASES, chains, mixtures

WAITING = em.datasets.load("old_faithful").select("waiting")
TWO_NORMALS = em.Mixture(em.Gaussian(), 2)
RESTRICTED = (
    em.hard,
    em.sparse(1),
    em.sparse(2),
    em.incremental(3),
    em.tempered(0.5),
    em.tempered(2.0),
    em.tempered(em.Annealing(0.2, levels=2, hold=2)),
    em.stochastic(seed=4),
)


def one_value_per_row(case):
    problem = case.pose()
    return isinstance(problem.model.posterior(case.start(), problem.x), CategoricalPosterior)


FINITE = [case for case in CASES if one_value_per_row(case)]
by_name = {"ids": lambda value: getattr(value, "name", None) or getattr(value, "__name__", None) or repr(value)}


def halves_of(case, e_step, n):
    """n half-steps from the first start that leaves every component some rows, as a Q of a few points may not."""
    for seed in range(20):
        with suppress(em.DegenerateError):
            return list(islice(half_steps(case.pose(), case.start(seed), e_step), n))
    raise AssertionError(f"{e_step} degenerates from 20 starts")


def check_theorem(halves, e_step):
    for half in halves:
        size = 1.0 + abs(half.log_likelihood)
        assert half.kl >= 0.0
        assert np.all(half.kl_rows >= 0.0)
        assert abs(half.log_likelihood - half.elbo - half.kl) <= 1e-9 * size
    for before, after in pairwise(halves):
        if after.kind == "M" or is_monotone(e_step_at(e_step, after.iteration)):
            assert after.objective >= before.objective - 1e-9 * (1.0 + abs(before.objective)), (
                after.kind,
                after.iteration,
            )


@pytest.mark.parametrize("case", FINITE, **by_name)
@pytest.mark.parametrize("e_step", RESTRICTED, **by_name)
def test_the_gap_is_true_and_promises_hold_at_every_half_step(case, e_step):
    check_theorem(halves_of(case, e_step, 16), e_step)


def test_the_finite_cases_are_many():
    assert len(FINITE) >= 25
    assert {case.name for case in mixtures.CASES} <= {case.name for case in FINITE}


def posed(case):
    problem = case.pose()
    return problem.model, case.start(1), problem.x


SOME = [case for case in mixtures.CASES if case.name in ("gaussian-full", "poisson-holes", "categorical-prior")]


@pytest.mark.parametrize("case", SOME, **by_name)
def test_sparse_is_the_best_q_on_any_m_values(case):
    model, params, x = posed(case)
    log_joint = model.log_joint(params, x)
    for m in range(1, log_joint.shape[1] + 1):
        q = em.sparse(m)(model, params, x, None)
        supports = [log_joint[:, list(s)] for s in combinations(range(log_joint.shape[1]), m)]
        best = np.max([logsumexp(part, axis=1) for part in supports], axis=0)  # the ELBO of the best Q on a support
        assert ((q.probs > 0).sum(axis=1) <= m).all()
        np.testing.assert_allclose(em.elbo(model, params, x, q), best, rtol=1e-12)


@pytest.mark.parametrize("case", SOME, **by_name)
def test_the_ends_of_each_scale_are_exact_and_hard(case):
    model, params, x = posed(case)
    exact, hard = (e_step(model, params, x, None) for e_step in (em.exact, em.hard))
    k = exact.probs.shape[1]
    for e_step in (em.sparse(k), em.tempered(1.0), em.incremental(4)):
        np.testing.assert_allclose(e_step(model, params, x, None).probs, exact.probs, rtol=1e-12)
    for e_step in (em.sparse(1), em.tempered(1e9)):
        np.testing.assert_allclose(e_step(model, params, x, None).probs, hard.probs, atol=1e-12)
    np.testing.assert_array_equal(hard.probs, np.eye(k)[exact.probs.argmax(axis=1)])
    np.testing.assert_allclose(em.tempered(1e-12)(model, params, x, None).probs, 1.0 / k, atol=1e-8)


@pytest.mark.parametrize("case", SOME, **by_name)
@pytest.mark.parametrize("beta", [0.3, 0.9, 4.0])
def test_tempered_maximises_energy_plus_entropy_over_beta(case, beta):
    model, params, x = posed(case)
    q = em.tempered(beta)(model, params, x, None)
    value = model.expected_log_joint(params, x, q) + q.entropy() / beta
    np.testing.assert_allclose(value, logsumexp(beta * model.log_joint(params, x), axis=1) / beta, rtol=1e-11)


def test_tempering_sees_through_underflow():
    """p(z = 1 | x = 0) = e^-800 is 0 in a float; to the power 1/100 it is e^-8."""
    model = em.Mixture(em.Gaussian("spherical"), 2)
    params = {"weights": [0.5, 0.5], "means": [[0.0], [40.0]], "covariances": [1.0, 1.0]}
    x = np.array([[0.0], [40.0]])
    params = model.check_params(params, x)
    assert model.posterior(params, x).probs[0, 1] == 0.0
    q = em.tempered(0.01)(model, params, x, None)
    assert q.probs[0, 1] == pytest.approx(np.exp(-8.0) / (1.0 + np.exp(-8.0)), rel=1e-12)
    gap = em.gap(model, params, x, q)
    np.testing.assert_allclose(gap, q.kl(model.posterior(params, x)), rtol=1e-12)
    assert gap.min() > 0.2


def test_hard_em_raises_the_bound_while_the_log_likelihood_falls():
    soft = em.fit(TWO_NORMALS, WAITING)
    hard = em.fit(TWO_NORMALS, WAITING, init=soft.params, e_step=em.hard, trace=True)
    first, last = hard.trace[0], hard.trace[-1]
    assert soft.log_likelihood == pytest.approx(-1034.00175, abs=1e-5)
    assert (first.elbo, last.elbo) == (pytest.approx(-1038.58239, abs=1e-5), pytest.approx(-1038.33874, abs=1e-5))
    assert (first.log_likelihood, last.log_likelihood) == (
        pytest.approx(soft.log_likelihood, abs=1e-9),
        pytest.approx(-1034.19512, abs=1e-5),
    )
    assert hard.status is em.Status.CONVERGED
    x = WAITING.to_numpy().ravel()
    labels = hard.responsibilities(WAITING).argmax(axis=1)  # classification EM: every group's own share, mean, variance
    for k in (0, 1):
        mine = x[labels == k]
        assert hard.params.weights[k] == pytest.approx(len(mine) / len(x), rel=1e-12)
        assert hard.params.means[k, 0] == pytest.approx(mine.mean(), rel=1e-12)
        assert hard.params.covariances[k, 0, 0] == pytest.approx(mine.var(), rel=1e-10)
    means, sds = hard.params.means.ravel(), np.sqrt(hard.params.covariances.ravel())
    complete = np.log(hard.params.weights[labels]) + norm.logpdf(x, means[labels], sds[labels])
    assert hard.objective == pytest.approx(complete.sum(), rel=1e-12)


def test_a_fixed_q_moves_once_and_an_encoder_is_a_fixed_q():
    x = WAITING.to_numpy()
    table = np.column_stack([x < 68.0, x >= 68.0]).astype(float) * 0.8 + 0.1
    starts = {"init": em.fit(TWO_NORMALS, WAITING, restarts=1).params}
    for q in (table, CategoricalPosterior(table), lambda x: np.column_stack([x < 68.0, x >= 68.0]) * 0.8 + 0.1):
        fit = em.fit(TWO_NORMALS, WAITING, e_step=em.fixed(q), trace=True, **starts)
        assert fit.status is em.Status.CONVERGED
        assert fit.params.means[:, 0] == pytest.approx((table.T @ x[:, 0]) / table.sum(axis=0), rel=1e-12)
        assert fit.objective == pytest.approx(fit.trace[1].objective, rel=1e-12)
        check_theorem(list(fit.trace), fit.e_step)
        assert fit.trace[-1].kl > 10.0


@pytest.mark.parametrize(
    ("q", "error", "words"),
    [
        (np.ones((272, 3)) / 3, ValueError, r"shape \(272, 2\).*\(272, 3\)"),
        (np.ones(272), ValueError, r"shape \(272, 2\)"),
        (np.ones((272, 2)), ValueError, "sum 1"),
    ],
)
def test_a_fixed_table_must_be_probabilities(q, error, words):
    with pytest.raises(error, match=words):
        em.fit(TWO_NORMALS, WAITING, e_step=em.fixed(q))


def test_incremental_renews_one_block_and_leaves_the_rest():
    case = SOME[0]
    model, params, x = posed(case)
    old, new = (model.posterior(p, x) for p in (case.start(2), params))
    for iteration, block in ((1, 0), (2, 1), (3, 2), (4, 0)):
        q = em.incremental(3).at(iteration)(model, params, x, old)
        mine = np.arange(len(x)) % 3 == block
        np.testing.assert_array_equal(q.probs[mine], new.probs[mine])
        np.testing.assert_array_equal(q.probs[~mine], old.probs[~mine])
        np.testing.assert_array_equal(q.log_probs[~mine], old.log_probs[~mine])


def test_incremental_reaches_the_maximum_of_em_and_is_judged_by_whole_sweeps():
    """A block of weight 0 changes nothing when its turn comes: to stop there would be to stop at once."""
    weight = (np.arange(272) % 2 == 0).astype(float)
    start = em.fit(TWO_NORMALS, WAITING, restarts=1, max_iter=1).params
    exact = em.fit(TWO_NORMALS, WAITING, init=start, weight=weight)
    fit = em.fit(TWO_NORMALS, WAITING, init=start, weight=weight, e_step=em.incremental(2))
    assert fit.status is em.Status.CONVERGED
    assert fit.n_iter % 2 == 1  # passes are counted from 0
    np.testing.assert_allclose(fit.params.means, exact.params.means, rtol=1e-6)
    assert fit.objective == pytest.approx(exact.objective, rel=1e-12)


def test_incremental_serves_a_continuous_z():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 1)) @ np.array([[1.0, 0.8, 1.2, 0.5]]) + rng.normal(0.0, 0.7, (60, 4))
    model = em.FactorAnalysis(1)
    exact = em.fit(model, x, restarts=1, seed=1)
    fit = em.fit(model, x, restarts=1, seed=1, e_step=em.incremental(4))
    assert fit.objective == pytest.approx(exact.objective, rel=1e-9)
    halves = list(islice(em.steps(model, x, "k-means++", em.incremental(4), seed=1), 20))
    assert isinstance(halves[-1].q, GaussianPosterior)
    check_theorem(halves, em.incremental(4))
    assert max(half.kl for half in halves if half.kind == "E") > 1e-6


def test_draws_come_from_the_posterior():
    model = em.Mixture(em.Poisson(), 3)
    x = np.full((20_000, 1), 3.0)
    params = model.check_params({"weights": [0.2, 0.5, 0.3], "rates": [1.0, 3.0, 6.0]}, x)
    want = model.posterior(params, x[:1]).probs[0]
    shares = em.stochastic(7)(model, params, x, None).probs.mean(axis=0)
    np.testing.assert_array_less(np.abs(shares - want), 4.0 * np.sqrt(want * (1 - want) / len(x)))


def test_draws_depend_on_the_seed_and_the_iteration_alone():
    model, params, x = posed(SOME[0])

    def draw(seed, iteration):
        return em.stochastic(seed).at(iteration)(model, params, x, None).probs

    np.testing.assert_array_equal(draw(1, 5), draw(1, 5))
    assert (draw(1, 5) != draw(1, 6)).any()
    assert (draw(1, 5) != draw(2, 5)).any()


def test_a_stochastic_run_replays_and_never_claims_to_have_arrived():
    setting = {"init": "random-rows", "restarts": 1, "e_step": em.stochastic(3), "max_iter": 60}
    one, two = em.fit(TWO_NORMALS, WAITING, **setting), em.fit(TWO_NORMALS, WAITING, trace=True, **setting)
    assert one.status is em.Status.MAX_ITER
    for a, b in zip(one.params, two.params):
        np.testing.assert_array_equal(a, b)
    assert [h.objective for h in one.trace] == [h.objective for h in two.trace]
    later = [half.params.means.ravel() for half in two.trace if half.kind == "M"][20:]
    soft = em.fit(TWO_NORMALS, WAITING).params.means.ravel()
    np.testing.assert_allclose(np.sort(np.mean(later, axis=0)), np.sort(soft), atol=0.5)


def test_draws_that_happen_to_agree_are_no_arrival():
    """Far groups give the same draws in every iteration, and params that do not move; chance may still move them."""
    x = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (30, 1)) for m in (0.0, 60.0)])
    fit = em.fit(TWO_NORMALS, x, restarts=1, e_step=em.stochastic(0), max_iter=50)
    np.testing.assert_array_equal(fit.trace[-2].params.means, fit.trace[40].params.means)
    assert fit.status is em.Status.MAX_ITER


def test_annealing_goes_up_to_one_and_stays():
    schedule = em.Annealing(0.25, levels=2, hold=3)
    assert [schedule.beta(t) for t in range(1, 9)] == pytest.approx([0.25] * 3 + [0.5] * 3 + [1.0] * 2)
    assert schedule.last_change == 7
    steps = [em.tempered(schedule).at(t) for t in range(1, 10)]
    assert [is_judged(step) for step in steps] == [False] * 6 + [True] * 3
    assert [is_monotone(step) for step in steps] == [False] * 7 + [True] * 2
    assert not is_monotone(em.tempered(0.5))
    assert is_judged(em.tempered(0.5))


def test_annealing_makes_the_start_matter_less():
    """From ten starts EM ends at several maxima; annealed, all ten runs end at the best, none amid its schedule."""
    model = em.Mixture(em.Gaussian(prior="fraley-raftery"), 3)
    frame = em.datasets.load("old_faithful")
    plain = em.fit(model, frame, init="random-rows")
    annealed = em.fit(model, frame, init="random-rows", e_step=em.tempered(em.Annealing()))
    ends = np.array([run.objective for run in plain.restarts])
    assert len(np.unique(ends.round(2))) >= 3
    assert plain.objective == pytest.approx(-1136.6259, abs=1e-4)
    for run in annealed.restarts:
        assert run.status is em.Status.CONVERGED
        assert run.n_iter >= em.Annealing().last_change
        assert run.objective == pytest.approx(plain.objective, abs=1e-6)


def test_components_that_coincide_at_small_beta_would_never_part_without_a_nudge():
    merged = em.tempered(em.Annealing(0.1, levels=10, hold=5), nudge=0.0)
    nudged = em.tempered(em.Annealing(0.1, levels=10, hold=5))
    one_normal = norm.logpdf(x := WAITING.to_numpy(), x.mean(), x.std()).sum()
    assert em.fit(TWO_NORMALS, WAITING, e_step=merged).log_likelihood == pytest.approx(one_normal, abs=1e-6)
    assert em.fit(TWO_NORMALS, WAITING, e_step=nudged).log_likelihood == pytest.approx(-1034.00175, abs=1e-5)


def test_a_run_is_not_over_before_its_schedule():
    e_step = em.tempered(em.Annealing(0.5, levels=2, hold=400))
    fit = em.fit(TWO_NORMALS, WAITING, restarts=1, e_step=e_step, max_iter=790)
    assert fit.status is em.Status.MAX_ITER
    assert em.fit(TWO_NORMALS, WAITING, restarts=1, e_step=e_step).n_iter >= 800


FACTORS = em.BinaryFactors(2)
OVERLAPPING = (np.random.default_rng(1).random((400, 2)) < 0.5) @ np.array([[1.0, 0.6], [0.8, 0.9]])
OVERLAPPING = OVERLAPPING + np.random.default_rng(2).normal(0.0, 0.5, (400, 2))


@pytest.mark.parametrize("sweeps", [1, 5])
def test_mean_field_climbs_and_leads_away_from_the_maximum(sweeps):
    """Causes that explain each other away are dependent a posteriori; a factorised Q prefers parameters that are not.

    Turner & Sahani (2011), in Bayesian Time Series Models, 109-130.
    """
    exact = em.fit(FACTORS, OVERLAPPING, restarts=5)
    halves = list(islice(em.steps(FACTORS, OVERLAPPING, exact.params, em.mean_field(sweeps)), 600))
    check_theorem(halves, em.mean_field(sweeps))
    assert halves[-1].elbo > halves[0].elbo + 10.0
    assert halves[-1].log_likelihood < exact.log_likelihood - 3.0
    assert halves[-1].kl < 0.1 * halves[0].kl


def test_mean_field_is_the_best_factorised_q_when_swept_to_rest():
    params = em.fit(FACTORS, OVERLAPPING, restarts=5).params
    q = em.mean_field(500)(FACTORS, params, OVERLAPPING, None)
    best = em.elbo(FACTORS, params, OVERLAPPING, q)
    rng = np.random.default_rng(3)
    for size in (1e-3, 0.03, 0.2):
        other = q._replace(means=np.clip(q.means + rng.normal(0.0, size, q.means.shape), 0.0, 1.0))
        assert (em.elbo(FACTORS, params, OVERLAPPING, other) <= best + 1e-9 * size).mean() > 0.9  # others: far maxima


@pytest.mark.parametrize("case", chains.CASES, **by_name)
@pytest.mark.parametrize("kind", ["hard", "fixed"])
def test_chains_take_hard_and_fixed(case, kind):
    problem = case.pose()
    q = problem.model.posterior(case.start(1), problem.x)
    e_step = em.hard if kind == "hard" else em.fixed(q)
    check_theorem(halves_of(case, e_step, 12), e_step)
    if kind == "hard":
        assert np.isin(e_step(problem.model, case.start(1), problem.x, None).probs, (0.0, 1.0)).all()


@pytest.mark.parametrize(
    "e_step", [em.tempered(0.5), em.stochastic(1), em.sparse(1), em.incremental(2), em.mean_field(1)], **by_name
)
def test_chains_refuse_the_others_by_name(e_step):
    case = chains.CASES[0]
    problem = case.pose()
    with pytest.raises(TypeError, match=rf"(?s)(HMM.*{type(e_step).__name__}|{type(e_step).__name__}.*HMM)"):
        e_step(problem.model, case.start(1), problem.x, None)


def test_a_continuous_z_has_no_hard_or_tempered_e_step():
    x = np.random.default_rng(5).normal(size=(30, 4))
    for e_step in (em.hard, em.tempered(0.5), em.sparse(1), em.stochastic(0)):
        with pytest.raises(TypeError, match="FactorAnalysis"):
            em.fit(em.FactorAnalysis(1), x, restarts=1, e_step=e_step)
    with pytest.raises(TypeError, match="Mixture has no mean_field"):
        em.fit(TWO_NORMALS, WAITING, restarts=1, e_step=em.mean_field(3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: em.tempered(0.0), "beta must be a number > 0"),
        (lambda: em.tempered(float("nan")), "beta must be a number > 0"),
        (lambda: em.tempered("cold"), "beta must be a number > 0"),
        (lambda: em.tempered(0.5, nudge=-1.0), "nudge must be"),
        (lambda: em.Annealing(start=-1.0), "beta must be a number > 0"),
        (lambda: em.Annealing(levels=0), "levels must be a whole number"),
        (lambda: em.Annealing(hold=1.5), "hold must be a whole number"),
        (lambda: em.sparse(0), "m must be a whole number of at least 1"),
        (lambda: em.incremental(True), "n_blocks must be a whole number"),
        (lambda: em.mean_field(0), "sweeps must be a whole number"),
        (lambda: em.stochastic(-1), "seed must be a whole number of at least 0"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_an_e_step_without_its_settings_is_refused():
    for e_step in (em.stochastic, em.sparse, em.fixed):
        with pytest.raises(TypeError, match=rf"{e_step.__name__}\(\.\.\.\)"):
            em.fit(TWO_NORMALS, WAITING, restarts=1, e_step=e_step)


def test_a_fall_of_what_was_promised_is_told():
    """A callable that promises nothing else is held to the rise of the objective."""

    def forgetful(model, params, x, q_prev):
        return em.stochastic(0)(model, params, x, None) if q_prev is not None else model.posterior(params, x)

    fit = em.fit(TWO_NORMALS, WAITING, restarts=1, e_step=forgetful)
    assert fit.status is em.Status.DECREASED
    assert total(fit.model.log_likelihood(fit.params, fit.problem.x), None) == pytest.approx(fit.log_likelihood)
