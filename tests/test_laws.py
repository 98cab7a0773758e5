"""The laws of EM, tried on every model of the registry from random starts.

Each test is one line of mathematics. Tolerances are rounding, relative to the size of the numbers compared.
"""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emcore as em
from emcore.numerics import total
from emcore.parameters import Coordinates
from emcore.trace import Problem, half_steps
from emcore.trees import map_leaves
from tests.registry import CASES

SEEDS = st.integers(min_value=0, max_value=2**20)
FEW = settings(max_examples=4, deadline=None, derandomize=True)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def cases(flag):
    """The cases for which a law applies."""
    chosen = [case for case in CASES if flag(case)]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def moved(problem, params, seed, size=0.3):
    """Other params: the same ones pushed in their free coordinates."""
    chart = Coordinates(problem.model, params)
    push = np.random.default_rng(seed).normal(0.0, size, chart.size)
    return chart.from_vector(chart.to_vector(params) + push)


def close(a, b, rtol=1e-10):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * (1.0 + np.max(np.abs(b))))


def same_params(a, b, rtol=1e-8):
    for name, u, v in zip(a._fields, a, b):
        np.testing.assert_allclose(u, v, rtol=rtol, atol=rtol * (1e-12 + np.max(np.abs(v), initial=0.0)), err_msg=name)


@every_case
@FEW
@given(seed=SEEDS)
def test_log_likelihood_is_the_elbo_at_the_exact_posterior(case, seed):
    problem = case.pose()
    params = moved(problem, case.start(seed), seed)
    q, rows = problem.model.infer(params, problem.x)
    close(em.elbo(problem.model, params, problem.x, q), rows)
    close(problem.model.log_likelihood(params, problem.x), rows)
    assert np.all(q.kl(problem.model.posterior(params, problem.x)) < 1e-25)


@every_case
@FEW
@given(seed=SEEDS)
def test_log_likelihood_minus_elbo_is_the_kl_at_any_q(case, seed):
    problem = case.pose()
    params = case.start(seed)
    q = problem.model.posterior(moved(problem, params, seed), problem.x)
    posterior, rows = problem.model.infer(params, problem.x)
    kl = q.kl(posterior)
    assert np.all(kl >= 0.0)
    bound = em.elbo(problem.model, params, problem.x, q)
    np.testing.assert_allclose(rows - bound, kl, rtol=1e-9, atol=1e-10 * (1.0 + np.abs(rows).max()))
    np.testing.assert_allclose(em.gap(problem.model, params, problem.x, q), kl, atol=1e-10 * (1 + np.abs(rows).max()))


@every_case
@FEW
@given(seed=SEEDS)
def test_the_three_forms_of_the_bound_agree(case, seed):
    problem = case.pose()
    params = case.start(seed)
    q = problem.model.posterior(moved(problem, params, seed), problem.x)
    forms = em.elbo_forms(problem.model, params, problem.x, q)
    close(forms.reconstruction_minus_rate, forms.joint_plus_entropy, 1e-9)
    close(forms.evidence_minus_gap, forms.joint_plus_entropy, 1e-9)


@every_case
@FEW
@given(seed=SEEDS)
def test_the_objective_never_falls_and_the_theorem_holds_at_every_half_step(case, seed):
    problem = case.pose()
    halves = list(islice(half_steps(problem, case.start(seed)), 24))
    for before, after in pairwise(halves):
        assert after.objective >= before.objective - 1e-9 * (1.0 + abs(before.objective)), (before.kind, after.kind)
    for half in halves:
        size = 1.0 + abs(half.log_likelihood)
        assert abs(half.log_likelihood - half.elbo - half.kl) <= 1e-10 * size
        assert half.kl >= 0.0
        if half.kind == "E":
            assert half.kl <= 1e-12 * size


@cases(lambda case: case.rows_add)
@FEW
@given(seed=SEEDS)
def test_statistics_add_over_rows(case, seed):
    model, x, _ = case.pose()
    q = model.posterior(case.start(seed), x)
    cut = len(x) // 3
    first, second = slice(0, cut), slice(cut, None)
    parts = em.add_stats(model.suff_stats(x[first], q.rows(first)), model.suff_stats(x[second], q.rows(second)))
    same_params(model.m_step(parts, case.start(seed)), model.m_step(model.suff_stats(x, q), case.start(seed)))


@cases(lambda case: case.rows_add)
@FEW
@given(seed=SEEDS)
def test_whole_weights_are_repeated_rows_and_order_does_not_matter(case, seed):
    model, x, _ = case.pose()
    start = case.start(seed)
    q = model.posterior(start, x)
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 4, len(x)).astype(float) + (np.arange(len(x)) % 2)
    index = rng.permutation(np.repeat(np.arange(len(x)), weight.astype(int)))
    weighted = model.m_step(model.suff_stats(x, q, weight), start)
    repeated = model.m_step(model.suff_stats(x[index], q.rows(index)), start)
    same_params(weighted, repeated)


@every_case
@FEW
@given(seed=SEEDS)
def test_the_m_step_beats_nearby_parameters(case, seed):
    problem = case.pose()
    model, x, _ = problem
    start = case.start(seed)
    q = model.posterior(start, x)
    best = model.m_step(model.suff_stats(x, q), start)

    def objective(params):
        return total(model.expected_log_joint(params, x, q), None) + model.log_prior(params)

    top = objective(best)
    rivals = [moved(problem, best, seed + i, size) for i, size in enumerate((1e-3, 1e-2, 0.1, 0.5))]
    if not case.closed_form:
        rivals = [start]
    for rival in rivals:
        assert top >= objective(rival) - 1e-10 * (1.0 + abs(top))


@every_case
@FEW
@given(seed=SEEDS)
def test_fishers_identity(case, seed):
    """∇ log p(x; θ) = ∇ E_q log p(x, z; θ) at the exact q: what lets EM climb without differentiating a log-sum."""
    problem = case.pose()
    model, x, _ = problem
    params = moved(problem, case.start(seed), seed, 0.1)
    chart = Coordinates(model, params)
    q = model.posterior(params, x)
    at = chart.to_vector(params)

    def slope(function, i):
        values = []
        for step in (-2, -1, 1, 2):
            shifted = at.copy()
            shifted[i] += step * 1e-3
            values.append(function(chart.from_vector(shifted)))
        return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3

    for i in np.random.default_rng(seed).permutation(chart.size)[:5]:
        observed = slope(lambda p: total(model.log_likelihood(p, x), None), i)
        complete = slope(lambda p: total(model.expected_log_joint(p, x, q), None), i)
        size = 1.0 + abs(total(model.log_likelihood(params, x), None))
        np.testing.assert_allclose(observed, complete, rtol=1e-5, atol=1e-7 * size)


@cases(lambda case: case.relabels)
@FEW
@given(seed=SEEDS)
def test_relabelling_changes_nothing(case, seed):
    model, x, _ = case.pose()
    params = case.start(seed)
    order = np.random.default_rng(seed).permutation(len(params[0]))
    other = model.relabel(params, order)
    close(model.log_likelihood(other, x), model.log_likelihood(params, x), 1e-12)
    np.testing.assert_allclose(model.log_prior(other), model.log_prior(params), rtol=1e-12)


@cases(lambda case: case.real_valued)
@pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0.0), (1e6, 0.0), (1.0, 1e6), (1e-4, 3.0)])
def test_units_and_offsets_move_the_log_likelihood_by_the_jacobian_alone(case, scale, shift):
    model, x = case.model, np.asarray(case.x, dtype=float)
    if case.rescale is None:
        scaled = x * scale + shift
    elif shift:
        return
    else:
        scaled = case.rescale(x, scale)
    per_row = x.shape[1] if case.n_scaled is None else case.n_scaled
    jacobian = len(x) * per_row * np.log(scale)
    one = em.fit(model, x, init=case.init, restarts=1, seed=3, tol=0, max_iter=25)
    two = em.fit(model, scaled, init=case.init, restarts=1, seed=3, tol=0, max_iter=25)
    assert two.log_likelihood + jacobian == pytest.approx(one.log_likelihood, abs=2e-6 if shift == 1e6 else 1e-7)


@every_case
def test_fit_reports_the_value_at_the_params_that_it_returns(case):
    fit = em.fit(case.model, case.x, init=case.init, restarts=1 if not isinstance(case.init, str) else 2, max_iter=60,
                 lengths=case.lengths)  # fmt: skip
    x = fit.problem.x
    exact = total(fit.model.log_likelihood(fit.params, x), None)
    assert fit.log_likelihood == pytest.approx(exact, rel=1e-12)
    assert fit.objective == pytest.approx(exact + fit.model.log_prior(fit.params), rel=1e-12)
    last = fit.trace[-1]
    assert last.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-9)
    same_params(map_leaves(np.array, last.params), map_leaves(np.array, fit.params), 1e-6)


@every_case
def test_a_trace_recorded_on_the_way_is_the_trace_replayed(case):
    def run(trace):
        return em.fit(case.model, case.x, init=case.start(1), max_iter=5, tol=0, lengths=case.lengths, trace=trace)

    recorded, replayed = run(True).trace, run(False).trace
    assert len(recorded) == len(replayed)
    for a, b in zip(recorded, replayed):
        assert (a.kind, a.iteration) == (b.kind, b.iteration)
        assert a.objective == pytest.approx(b.objective, rel=1e-9)


def test_the_registry_is_not_empty():
    assert len(CASES) >= 20
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(isinstance(case.pose(), Problem) for case in CASES)
