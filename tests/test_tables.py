"""The tables hold the numbers of the trace, and the ellipses are those of the covariances."""

from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emcore as em
from emcore import tables
from emcore.trace import Trace
from tests.traces import run

RNG = np.random.default_rng(20250301)
X = np.concatenate([RNG.normal(m, [1.0, 0.5, 2.0], (20, 3)) for m in ([0, 0, 0], [4, 1, 3], [1, 5, -4])])
WEIGHT = RNG.integers(0, 4, len(X)).astype(float)
SHAPES = ("full", "tied", "diag", "spherical")


@pytest.fixture(scope="module")
def trace():
    return run(em.Mixture(em.Gaussian("full"), 3), X, 9, weight=WEIGHT)


def test_halves_are_those_of_the_trace(trace):
    frame = trace.to_frame()
    assert frame.columns == ["half_step", "iteration", "kind", *tables.NUMBERS]
    assert frame["half_step"].to_list() == list(range(9))
    assert frame["kind"].to_list() == list("EMEMEMEME")
    assert frame["iteration"].to_list() == [1, 1, 2, 2, 3, 3, 4, 4, 5]
    for name in tables.NUMBERS:
        assert frame[name].to_list() == [getattr(half, name) for half in trace], name


def test_rows_of_the_gap_sum_to_the_gap(trace):
    rows = tables.gap_rows(trace)
    assert rows.shape == (9, 60)
    np.testing.assert_allclose(rows.sum(axis=1), [half.kl for half in trace], rtol=1e-12)
    np.testing.assert_array_equal(rows[:, WEIGHT == 0], 0.0)
    frame = tables.gap_frame(trace)
    assert frame.shape == (9 * 60, 3)
    assert frame.filter((pl.col("half_step") == 3) & (pl.col("row") == 7))["kl"].item() == rows[3, 7]


def test_responsibilities_are_those_of_q(trace):
    probs = tables.responsibilities(trace, [8, 2])
    np.testing.assert_array_equal(probs, [trace[8].q.probs, trace[2].q.probs])
    frame = tables.responsibilities_frame(trace)
    assert frame.shape == (9 * 60 * 3, 4)
    sums = frame.group_by("half_step", "row").agg(pl.col("responsibility").sum())["responsibility"]
    np.testing.assert_allclose(sums, 1.0, rtol=1e-12)
    one = frame.filter((pl.col("half_step") == 4) & (pl.col("row") == 11) & (pl.col("component") == 2))
    assert one["responsibility"].item() == trace[4].q.probs[11, 2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("columns", [(0, 1), (2, 0)])
def test_ellipses_are_level_curves_of_the_marginal(shape, columns):
    trace = run(em.Mixture(em.Gaussian(shape), 3), X, 9)
    frame = tables.ellipses_frame(trace, columns, levels=(1.0, 2.5), n_angles=13)
    assert frame.shape == (9 * 3 * 2 * 13, 6)
    model = trace.model
    for (half, component, level), curve in frame.group_by("half_step", "component", "level"):
        params = trace[half].params
        covariance = dense_by_hand(params.covariances, shape, 3)[component]
        marginal = covariance[np.ix_(columns, columns)]
        offset = curve.sort("step").select("x0", "x1").to_numpy() - params.means[component, list(columns)]
        squared = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(marginal), offset)
        np.testing.assert_allclose(np.sqrt(squared), level, rtol=1e-9)
        np.testing.assert_allclose(offset[0], offset[-1], atol=1e-12)  # closed
    assert model.n_components == 3


def dense_by_hand(covariances, shape, k):
    d = X.shape[1]
    if shape == "full":
        return list(covariances)
    if shape == "tied":
        return [covariances] * k
    return [np.diag(row) if shape == "diag" else row * np.eye(d) for row in covariances]


class Components(NamedTuple):
    means: np.ndarray
    covariances: np.ndarray


class Single(NamedTuple):
    mean: np.ndarray
    covariance: np.ndarray


@pytest.mark.parametrize(
    ("covariances", "dense"),
    [
        (np.stack([np.eye(2), 2 * np.eye(2), 3 * np.eye(2)]), [1.0, 2.0, 3.0]),
        (np.array([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]),
        (np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), [1.0, 2.0, 3.0]),
        (5 * np.eye(2), [5.0, 5.0, 5.0]),
    ],
    ids=["full", "spherical", "diag", "tied"],
)
def test_shapes_of_a_model_without_a_family(covariances, dense):
    means, matrices = tables.gaussians(object(), Components(np.zeros((3, 2)), covariances))
    assert means.shape == (3, 2)
    np.testing.assert_array_equal(matrices, [value * np.eye(2) for value in dense])


def test_two_components_in_a_plane_are_diagonal_unless_symmetric():
    means = np.zeros((2, 2))
    _, diagonal = tables.gaussians(object(), Components(means, np.array([[1.0, 2.0], [3.0, 4.0]])))
    np.testing.assert_array_equal(diagonal, [np.diag([1.0, 2.0]), np.diag([3.0, 4.0])])
    _, tied = tables.gaussians(object(), Components(means, np.array([[1.0, 0.5], [0.5, 4.0]])))
    np.testing.assert_array_equal(tied, [[[1.0, 0.5], [0.5, 4.0]]] * 2)


def test_a_single_normal_is_one_component():
    means, matrices = tables.gaussians(object(), Single(np.array([1.0, 2.0]), np.diag([3.0, 4.0])))
    np.testing.assert_array_equal(means, [[1.0, 2.0]])
    np.testing.assert_array_equal(matrices, [np.diag([3.0, 4.0])])


def test_a_singular_covariance_gives_a_line(trace):
    flat = Components(np.zeros((1, 2)), np.array([[[0.0, 0.0], [0.0, 4.0]]]))
    half = trace[0]._replace(params=flat)
    axes = tables.ellipses(Trace(object(), X, None, (half,)), (0, 1)).axes
    np.testing.assert_array_equal(axes, [[[[0.0, 0.0], [0.0, 2.0]]]])


def test_parameters_by_name(trace):
    frame = tables.parameters_frame(trace)
    assert len(frame) == 9 * (3 + 3 * 3 + 3 * 9)
    one = frame.filter((pl.col("half_step") == 5) & (pl.col("parameter") == "means[1, 2]"))
    assert one["value"].item() == trace[5].params.means[1, 2]
    assert one["kind"].item() == "M"
    weights = tables.parameters_frame(trace, ["weights"])
    assert weights["parameter"].unique(maintain_order=True).to_list() == ["weights[0]", "weights[1]", "weights[2]"]
    with pytest.raises(ValueError, match=r"no field \['rates'\]: they have weights, means, covariances"):
        tables.parameters_frame(trace, ["weights", "rates"])


def test_a_number_of_the_params_has_no_index():
    linkage = run(em.genetics.linkage(), np.array([[125.0, 18.0, 20.0, 34.0]]), 5)
    names = tables.parameters_frame(linkage)["parameter"].unique().to_list()
    assert names == ["theta"]


def test_what_cannot_be_tabled_is_refused(trace):
    linkage = run(em.genetics.linkage(), np.array([[125.0, 18.0, 20.0, 34.0]]), 5)
    with pytest.raises(ValueError, match="q of MergedMultinomial is not a table of probabilities"):
        tables.responsibilities(linkage)
    with pytest.raises(ValueError, match="fields theta: ellipses need means and covariances"):
        tables.ellipses(linkage, (0, 1))
    with pytest.raises(ValueError, match="holds no half-step"):
        tables.gap_rows(Trace(trace.model, trace.x, None, ()))


@given(st.integers(1, 3000), st.integers(4, 80))
def test_kept_halves_hold_both_ends_and_whole_iterations(n_halves, most):
    kept = tables.kept_halves(n_halves, most)
    assert len(kept) <= most
    assert kept[0] == 0
    assert kept[-1] == n_halves - 1
    assert (np.diff(kept) > 0).all()
    if n_halves <= most:
        assert len(kept) == n_halves
    else:
        assert set(kept[kept % 2 == 1] - 1) <= set(kept), "an M-step is shown with the E-step before it"
        assert len(kept) >= most // 2 * 2 - 1, "the room is used"
        assert (np.diff(np.diff(kept[::2] // 2)) >= -1).all(), "dense early, sparse late (up to rounding)"


def test_too_few_half_steps_are_refused():
    with pytest.raises(ValueError, match="at least 4"):
        tables.kept_halves(100, 3)


@given(st.integers(1, 5000), st.integers(2, 300))
def test_kept_rows_are_spread_evenly(n_rows, most):
    kept = tables.kept_rows(n_rows, most)
    assert len(kept) == min(n_rows, most)
    assert (kept[0], kept[-1]) == (0, n_rows - 1)
    assert np.ptp(np.diff(kept)) <= 1 if len(kept) > 1 else n_rows == 1
