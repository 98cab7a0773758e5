"""Accelerated EM: the limits of EM in fewer evaluations, no accepted step down, and no claim that is not true.

Hasselblad's death notices (1969) are the yardstick: EM leaves 0.99567 of the distance in every iteration.
"""

from dataclasses import dataclass
from itertools import islice, pairwise
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

import emcore as em
from emcore.accelerate import Anderson, OverRelaxed, Squarem, accelerator
from emcore.numerics import total
from emcore.parameters import Coordinates
from emcore.passes import EMMap, plain_passes
from emcore.stopping import parameter_change
from emcore.trace import pose
from tests.registry import CASES, mixtures

SCHEMES = ("squarem", "anderson", "over-relaxed")
NOTICES = em.datasets.load("death_notices")
COUNTS, DAYS = NOTICES.select("notices"), NOTICES["days"].to_numpy().astype(float)
TWO_POISSONS = em.Mixture(em.Poisson(), 2)
# The maximum to 18 digits, by Newton's method in 40-digit arithmetic; Hasselblad's print is 0.3599, 1.2561, 2.6634.
OPTIMUM = np.array([0.359885396984934802, 1.256095101224337902, 2.663404356632472641])
LOG_LIKELIHOOD = -1989.9458598829644


def distance(params):
    """Relative distance from the maximum, in either order of the labels."""
    a, b = (np.array([params.weights[i], *params.rates[[i, 1 - i], 0]]) for i in (0, 1))
    return min(np.abs(v / OPTIMUM - 1.0).max() for v in (a, b))


def passes(scheme, problem, start):
    start = problem.model.check_params(start, problem.x)
    return plain_passes(problem, start, em.exact) if scheme is None else scheme.passes(EMMap(problem), start)


def evaluations_to_the_maximum(scheme, start, most):
    """Evaluations of the EM map until all digits asked for are there; None where `most` do not suffice."""
    for step in passes(scheme, pose(TWO_POISSONS, COUNTS, DAYS), start):
        if step.n_evaluations > most:
            return None
        if distance(step.params) <= 1e-7 or step.log_likelihood >= LOG_LIKELIHOOD - 1e-8:
            return step.n_evaluations
    raise AssertionError("the passes are endless")


FROM_HALF = {"weights": [0.5, 0.5], "rates": [1.0, 3.0]}


def random_starts(n):
    rng = np.random.default_rng(20)
    return [{"weights": rng.dirichlet([1.0, 1.0]), "rates": rng.uniform(0.2, 6.0, 2)} for _ in range(n)]


def test_the_yardstick_is_a_maximum():
    problem = pose(TWO_POISSONS, COUNTS, DAYS)
    params = problem.model.check_params({"weights": [OPTIMUM[0], 1.0 - OPTIMUM[0]], "rates": OPTIMUM[1:]}, problem.x)
    start, after = islice(plain_passes(problem, params, em.exact), 2)
    assert start.log_likelihood == pytest.approx(LOG_LIKELIHOOD, abs=1e-11)
    assert parameter_change(after.params, params) < 1e-14


def test_far_fewer_evaluations_than_em():
    by_distance = [
        next(n for n, step in enumerate(passes(None, pose(TWO_POISSONS, COUNTS, DAYS), FROM_HALF), 1)
             if distance(step.params) <= 1e-7)
    ]  # fmt: skip
    assert by_distance[0] > 3000
    assert evaluations_to_the_maximum(Anderson(), FROM_HALF, 30) is not None
    assert evaluations_to_the_maximum(Squarem(), FROM_HALF, 80) is not None
    assert evaluations_to_the_maximum(OverRelaxed(), FROM_HALF, 600) is not None
    assert evaluations_to_the_maximum(None, FROM_HALF, 1500) is None


@pytest.mark.parametrize(("name", "typical", "most"), [("anderson", 40, 150), ("squarem", 150, 400)])
def test_all_of_sixty_random_starts_succeed(name, typical, most):
    costs = []
    for start in random_starts(60):
        fit = em.fit(TWO_POISSONS, COUNTS, weight=DAYS, init=start, accelerate=name)
        assert fit.status is em.Status.CONVERGED
        assert distance(fit.params) < 2e-7
        assert fit.log_likelihood == pytest.approx(LOG_LIKELIHOOD, abs=1e-9)
        costs.append(fit.n_evaluations)
    assert np.median(costs) <= typical
    assert max(costs) <= most


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_accepted_step_goes_down_and_the_values_are_those_of_the_params(case, scheme):
    problem = case.pose()
    model, x, _ = problem
    steps = []
    try:
        for step in islice(accelerator(scheme).passes(EMMap(problem), case.start(2)), 30):
            steps.append(step)
    except em.DegenerateError:
        assert len(steps) >= 2
    for before, after in pairwise(steps):
        assert after.objective >= before.objective - 1e-12 * (1.0 + abs(before.objective))
        assert after.n_evaluations > before.n_evaluations
    for step in steps[::7]:
        log_likelihood = total(model.log_likelihood(step.params, x), None)
        assert step.log_likelihood == pytest.approx(log_likelihood, rel=1e-11, abs=1e-11)
        assert step.objective == pytest.approx(log_likelihood + model.log_prior(step.params), rel=1e-11, abs=1e-11)
        for feasible, given in zip(model.check_params(step.params, x), step.params):
            np.testing.assert_allclose(feasible, given, rtol=1e-12)


@pytest.mark.parametrize("scheme", ["squarem", "anderson"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_converged_is_true(case, scheme):
    """Where an accelerated run claims to have arrived, EM itself finds nothing left to climb, however long it walks."""
    fit = em.fit(case.model, case.x, lengths=case.lengths, init=case.start(2), accelerate=scheme, max_iter=200)
    if fit.status is not em.Status.CONVERGED:
        return
    *_, last = islice(plain_passes(fit.problem, fit.params, em.exact), 150)
    if case.closed_form:  # an M-step that only climbs may rest where another one moves on
        assert parameter_change(last.params, fit.params) < 1e-6
    assert last.objective - fit.objective < 1e-8 * (1.0 + abs(fit.objective))


def test_most_runs_on_the_registry_converge():
    ends = [
        em.fit(case.model, case.x, init=case.start(2), accelerate="anderson", max_iter=400).status
        for case in mixtures.CASES
    ]
    assert ends.count(em.Status.CONVERGED) >= 0.9 * len(ends)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-10, 1e-12])
def test_the_distance_claimed_is_the_distance_left(scheme, tol):
    """At the rate 0.99567 an accelerated run must not take its small steps for nearness: tol claims √tol/10."""
    for start in (FROM_HALF, *random_starts(2 if scheme == "over-relaxed" else 8)):
        fit = em.fit(TWO_POISSONS, COUNTS, weight=DAYS, init=start, accelerate=scheme, tol=tol)
        assert fit.status is em.Status.CONVERGED
        assert distance(fit.params) < 4.0 * 0.1 * np.sqrt(tol)


def hidden_states():
    model = em.HMM(em.Poisson(), 3)
    return model, em.datasets.load("earthquakes").select("count"), {}


def published():
    """Model, data, settings, and the objective that plain EM reaches with all its patience."""
    faithful, carcinoma = em.datasets.load("old_faithful"), em.datasets.load("carcinoma")
    items, patterns = carcinoma.select(list("abcdefg")), carcinoma["count"].to_numpy().astype(float)
    prior = em.Mixture(em.Poisson(prior=(2.0, 1.0)), 2, weight_prior=3.0)
    return {
        "faithful-tied-3": (em.Mixture(em.Gaussian("tied"), 3), faithful, {}),
        "carcinoma-2": (em.Mixture(em.Bernoulli(), 2), items, {"weight": patterns}),
        "carcinoma-3": (em.Mixture(em.Bernoulli(), 3), items, {"weight": patterns}),
        "notices-map": (prior, COUNTS, {"weight": DAYS}),
        "earthquakes-hmm-3": hidden_states(),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", sorted(published()))
def test_the_best_of_several_starts_is_that_of_em(name, scheme):
    model, x, setting = published()[name]
    plain = em.fit(model, x, restarts=4, seed=5, **setting)
    fast = em.fit(model, x, restarts=4, seed=5, accelerate=scheme, **setting)
    assert fast.status is plain.status is em.Status.CONVERGED
    assert fast.objective == pytest.approx(plain.objective, abs=1e-7)
    spent, saved = (sum(run.n_evaluations for run in fit.restarts) for fit in (plain, fast))
    if scheme == "anderson":
        assert saved < spent


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gene_counts_and_linkage(scheme):
    abo = em.fit(
        em.genetics.abo(), np.array([[186, 38, 13, 284]]), init={"probs": [0.3, 0.2, 0.5]}, accelerate=scheme
    )  # Clarke et al.'s peptic ulcer patients in Rice's and Lange's textbooks: 0.2136, 0.0501, 0.7363
    np.testing.assert_allclose(abo.params.probs, [0.2136, 0.0501, 0.7363], atol=5e-5)
    linkage = em.fit(em.genetics.linkage(), np.array([[125, 18, 20, 34]]), init={"theta": 0.5}, accelerate=scheme)
    root = (15.0 + np.sqrt(53809.0)) / 394.0  # of the score 197 θ² - 15 θ - 68 (Rao 1973)
    assert float(linkage.params.theta) == pytest.approx(root, rel=1e-7)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_zero_stays_zero(scheme):
    _, x, setting = published()["carcinoma-2"]
    probs = np.where([[[False, True]] * 7, [[True, False]] * 7], 0.2, 0.8)
    probs[0, 3] = [1.0, 0.0]  # the healthy class has no carcinoma in the fourth pathologist's eyes
    model, start = em.Mixture(em.Categorical(), 2), {"weights": [0.5, 0.5], "probs": probs}
    fit = em.fit(model, x, init=start, accelerate=scheme, **setting)
    assert fit.status is em.Status.CONVERGED
    assert fit.log_likelihood == pytest.approx(-317.2568, abs=1e-4)
    assert fit.params.probs[0, 3, 1] == 0.0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_derived_field_follows_the_leaps(scheme):
    """`start` of a stationary chain has no coordinates of its own: it must follow the transitions."""
    _, x, _ = published()["earthquakes-hmm-3"]
    fit = em.fit(em.HMM(em.Poisson(), 2, stationary=True), x, restarts=1, accelerate=scheme)
    np.testing.assert_allclose(fit.params.start @ fit.params.transitions, fit.params.start, atol=1e-12)


def test_anderson_does_not_linger_at_a_saddle():
    """Secants lead to any fixed point of EM; where its own step points the other way, they are not followed."""
    model, x, _ = published()["faithful-tied-3"]
    for seed in (3, 5, 8):  # starts from which EM needs 1944, over 10,000 and 1783
        start = em.fit(model, x, init="random-rows", restarts=1, seed=seed, max_iter=1).params
        fit = em.fit(model, x, init=start, accelerate="anderson")
        assert fit.status is em.Status.CONVERGED
        assert fit.log_likelihood == pytest.approx(-1126.3159, abs=1e-4)
        assert fit.n_evaluations < 5_000  # how long it takes to leave a saddle hangs on the last digit
    slow = em.fit(model, x, init=start, max_iter=1500)
    assert slow.status is em.Status.MAX_ITER


@dataclass(frozen=True)
class Counted(em.Mixture):
    """A mixture that notes every pass over the data."""

    calls: ClassVar[list[int]] = []

    def kernel(self, x, weight=None, **settings):
        kernel = super().kernel(x, weight, **settings)

        def evaluate(params, n_starts=1):
            self.calls.append(n_starts)
            return kernel.evaluate(params, n_starts)

        return SimpleNamespace(evaluate=evaluate)


@pytest.mark.parametrize("scheme", [None, *SCHEMES])
def test_evaluations_are_counted(scheme):
    Counted.calls.clear()
    fit = em.fit(Counted(em.Poisson(), 2), COUNTS, weight=DAYS, init=FROM_HALF, accelerate=scheme, max_iter=50, tol=0)
    assert fit.n_evaluations == len(Counted.calls)
    assert fit.n_iter == 50
    assert fit.restarts[0].n_evaluations == fit.n_evaluations
    assert fit.n_evaluations >= 51


def test_a_candidate_is_taken_only_if_it_is_no_worse():
    problem = pose(TWO_POISSONS, COUNTS, DAYS)
    here = problem.model.check_params(FROM_HALF, problem.x)
    chart = Coordinates(problem.model, here)
    em_map = EMMap(problem)
    floor = em_map(here)
    rng, taken = np.random.default_rng(1), 0
    for size in np.repeat([1e-3, 0.3, 3.0], 30):
        candidate = chart.from_vector(chart.to_vector(here) + rng.normal(0.0, size, chart.size))
        objective = total(problem.model.log_likelihood(candidate, problem.x), DAYS)
        point = em_map.attempt(candidate, floor)
        assert (point is not None) == (objective > floor.objective)
        taken += point is not None
    assert 10 < taken < 80
    assert em_map.attempt(here._replace(rates=np.zeros((2, 1))), floor) is None  # log p(x) = -inf
    assert em_map.attempt(here._replace(rates=np.full((2, 1), np.inf)), floor) is None
    assert em_map.n_evaluations == 93


@pytest.mark.parametrize("scheme", SCHEMES)
def test_beyond_convergence_nothing_breaks(scheme):
    fit = em.fit(TWO_POISSONS, COUNTS, weight=DAYS, init=FROM_HALF, accelerate=scheme, max_iter=2500, tol=0)
    assert fit.status is em.Status.MAX_ITER
    assert distance(fit.params) < 2e-8
    assert fit.log_likelihood == pytest.approx(LOG_LIKELIHOOD, abs=1e-10)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_collapse_is_reported_as_by_em(scheme):
    x = np.concatenate([np.random.default_rng(0).normal(size=(40, 1)), [[9.0]]])
    start = {"weights": [0.9, 0.1], "means": [[0.0], [9.0]], "covariances": [[[1.0]], [[0.01]]]}
    fit = em.fit(em.Mixture(em.Gaussian(), 2), x, init=start, accelerate=scheme)
    assert fit.status is em.Status.DEGENERATE
    assert all(np.isfinite(field).all() for field in fit.params)
    far = {**start, "means": [[0.0], [1e9]]}
    slow, fast = (em.fit(em.Mixture(em.Gaussian(), 2), x, init=far, accelerate=s) for s in (None, scheme))
    assert slow.status is fast.status is em.Status.DEGENERATE
    assert fast.log_likelihood == slow.log_likelihood


def test_an_accelerated_run_has_no_trace():
    setting = {"weight": DAYS, "init": FROM_HALF, "accelerate": "anderson"}
    with pytest.raises(ValueError, match="no half-steps to trace: leave out trace=True or accelerate="):
        em.fit(TWO_POISSONS, COUNTS, trace=True, **setting)
    fit = em.fit(TWO_POISSONS, COUNTS, **setting)
    with pytest.raises(ValueError, match=r"no half-steps to trace; em\.steps"):
        _ = fit.trace
    halves = em.steps(TWO_POISSONS, COUNTS, fit.restarts[fit.best].start, weight=DAYS)
    assert next(iter(halves)).log_likelihood < fit.log_likelihood


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: em.fit(TWO_POISSONS, COUNTS, accelerate="aitken"), "'squarem', 'anderson', 'over-relaxed'.*'aitken'"),
        (lambda: em.fit(TWO_POISSONS, COUNTS, accelerate=3), "not 3"),
        (lambda: em.fit(TWO_POISSONS, COUNTS, accelerate=Anderson), "not <class"),
        (lambda: em.fit(TWO_POISSONS, COUNTS, accelerate=["squarem"]), "not \\['squarem'\\]"),
        (lambda: em.fit(TWO_POISSONS, COUNTS, accelerate="squarem", e_step=em.hard), "exact E-step"),
        (lambda: Anderson(memory=0), "memory must be a whole number"),
        (lambda: Anderson(ridge=0.0), "ridge must be a number > 0"),
        (lambda: OverRelaxed(growth=1.0), "growth must be a number above 1"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_configured_scheme_is_used():
    short = em.fit(TWO_POISSONS, COUNTS, weight=DAYS, init=FROM_HALF, accelerate=Anderson(memory=1))
    long = em.fit(TWO_POISSONS, COUNTS, weight=DAYS, init=FROM_HALF, accelerate=Anderson(memory=5))
    assert short.n_evaluations > long.n_evaluations
    assert distance(short.params) < 2e-7
    assert repr(long.accelerate) == "Anderson(memory=5, ridge=1e-06)"
