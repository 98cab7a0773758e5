"""The numbers inside the charts are those of the trace; densities are those of scipy."""

import json
import re

import numpy as np
import pytest
from scipy import stats

import emcore as em
from emcore import charts
from emcore.charts.theme import COMPONENT_COLOURS, colour, dash, shape
from tests.test_charts import CHARTS, svg, tables
from tests.traces import geyser, run

FAITHFUL = em.datasets.load("old_faithful")


@pytest.fixture(scope="module")
def trace():
    return geyser()


@pytest.mark.parametrize("chart", CHARTS)
def test_halves_are_those_of_the_trace(chart, trace):
    halves = tables(chart(trace))["halves"]
    assert [row["half_step"] for row in halves] == list(range(60))
    assert [row["iteration"] for row in halves] == [half.iteration for half in trace]
    for name in ("log_likelihood", "elbo", "kl", "entropy", "expected_log_joint", "log_prior", "objective"):
        assert [row[name] for row in halves] == [getattr(half, name) for half in trace], name
    summit = max(half.log_likelihood for half in trace)
    below = [row["below_elbo"] for row in halves]
    assert below == [summit - half.elbo if summit > half.elbo else None for half in trace]


def test_q_is_packed_in_thousandths(trace):
    for chart in (charts.responsibilities, charts.strip, charts.view):
        table = tables(chart(trace))["q"]
        assert [row["k"] for row in table] == [3] * 60
        packed = np.array([row["q"] for row in table]).reshape(60, 272, 3)
        np.testing.assert_allclose(packed / 1000, [half.q.probs for half in trace], atol=0.5001e-3)


def test_points_are_drawn_in_the_colours_of_q_mixed_and_the_shape_of_the_likeliest(trace):
    chart = charts.responsibilities(trace, half_step=12)
    thousandths = np.array(tables(chart)["q"][12]["q"]).reshape(272, 3)
    pure = np.array([[*bytes.fromhex(colour(c)[1:])] for c in range(3)])
    mixed = np.floor(thousandths @ pure / 1000 + 0.5).astype(int)
    drawn = re.findall(r'transform="translate[^"]*" d="(M[^"]*)" fill="(#[0-9a-f]{6})" stroke="#767676"', svg(chart))
    assert [digits for _, digits in drawn] == [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in mixed]
    outline = {}
    for (path, _), likeliest in zip(drawn, thousandths.argmax(axis=1), strict=True):
        assert outline.setdefault(likeliest, path) == path
    assert len(set(outline.values())) == len(outline) == 3
    np.testing.assert_allclose(mixed, trace[12].q.probs @ pure, atol=1.0)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_components_have_their_means_and_ellipses(covariance):
    iris = em.datasets.load("iris")
    trace = run(em.Mixture(em.Gaussian(covariance), 3), iris, 12)
    table = tables(charts.responsibilities(trace, (3, 1)))["components"]
    assert len(table) == 12 * 3
    for row in table:
        fitted, c = trace[row["half_step"]].params, row["component"]
        assert [row["x0"], row["x1"]] == fitted.means[c, [3, 1]].tolist()
        marginal = trace.model.family.shape.dense(fitted.covariances, 3, 4)[c][np.ix_([3, 1], [3, 1])]
        factor = np.linalg.cholesky(marginal)
        np.testing.assert_allclose([row["a"], row["b"], row["c"]], factor[[0, 1, 1], [0, 0, 1]], rtol=1e-9, atol=1e-12)
        assert row["count"] == pytest.approx(trace[row["half_step"]].q.probs[:, c].sum(), abs=0.006)


def test_gaps_are_shares_of_the_largest(trace):
    table = tables(charts.gap_points(trace))["gaps"]
    for row, half in zip(table, trace, strict=True):
        assert row["largest"] == half.kl_rows.max()
        assert row["total"] == pytest.approx(half.kl, rel=1e-12, abs=0)
        np.testing.assert_allclose(
            np.array(row["shares"]) * row["largest"] / 1000, half.kl_rows, atol=0.5001e-3 * row["largest"]
        )


def test_the_loosest_rows_come_first(trace):
    table = tables(charts.gap_rows(trace, most=6))["top_gaps"]
    assert table[0] | {"half_step": 0} == {"half_step": 0, "total": 0.0, "largest": 0.0, "rows": [], "kl": []}
    rows = np.argsort(-trace[3].kl_rows)[:6]
    assert table[3]["rows"] == rows.tolist()
    assert table[3]["kl"] == pytest.approx(trace[3].kl_rows[rows], rel=1e-4)


def test_weights_count():
    weight = np.arange(272.0) % 3
    trace = geyser(n_halves=4, weight=weight)
    made = tables(charts.view(trace))
    held = [row["count"] for row in made["counts"] if row["half_step"] == 2]
    np.testing.assert_allclose(held, weight @ trace[2].q.probs, atol=0.006)
    assert {row["size"] for row in made["points"]} == {0.0, 0.5, 1.0}
    assert tables(charts.gap_rows(trace))["top_gaps"][1]["total"] == pytest.approx(trace[1].kl, rel=1e-12)


def test_curves_are_weighted_densities():
    galaxies = em.datasets.load("galaxies")
    trace = run(em.Mixture(em.Gaussian(), 2), galaxies, 6)
    rows = [row for row in tables(charts.density(trace))["curves"] if row["half_step"] == 5]
    assert [row["component"] for row in rows] == ["all", "0", "1"]
    x = rows[0]["x0"] + rows[0]["dx"] * np.arange(len(rows[0]["y"]))
    fitted = trace[5].params
    sd = np.sqrt(fitted.covariances.ravel())
    expected = [fitted.weights[k] * stats.norm.pdf(x, fitted.means[k, 0], sd[k]) for k in range(2)]
    for row, values in zip(rows, [sum(expected), *expected], strict=True):
        np.testing.assert_allclose(np.array(row["y"]) * row["unit"], values, atol=0.5001 * row["unit"])
    bars = tables(charts.density(trace))["histogram"]
    assert sum(bar["height"] * (bar["x1"] - bar["x0"]) for bar in bars) == pytest.approx(1.0)


def test_curves_of_counts_are_probabilities():
    x = np.repeat(np.arange(10.0), [162, 267, 271, 185, 111, 61, 27, 8, 3, 1])[:, None]
    trace = run(em.Mixture(em.Poisson(), 2), x, 5)
    rows = [row for row in tables(charts.density(trace))["curves"] if row["half_step"] == 4]
    assert (rows[0]["x0"], rows[0]["dx"]) == (0.0, 1.0)
    fitted = trace[4].params
    expected = fitted.weights[1] * stats.poisson.pmf(np.arange(len(rows[2]["y"])), fitted.rates[1, 0])
    np.testing.assert_allclose(np.array(rows[2]["y"]) * rows[2]["unit"], expected, atol=0.5001 * rows[2]["unit"])


@pytest.mark.parametrize("family", [em.Gaussian("full"), em.StudentT(4.0)], ids=["gaussian", "student-t"])
def test_shades_are_the_density_in_the_plane(family):
    trace = run(em.Mixture(family, 2), FAITHFUL, 4)
    made = tables(charts.density(trace))
    cells, fitted = made["cells"][0], trace[1].params
    place = np.arange(cells["cells"])
    x = cells["x0"] + cells["dx"] * (place % cells["across"] + 0.5)
    y = cells["y0"] + cells["dy"] * (place // cells["across"] + 0.5)

    def density(fitted):
        law = stats.multivariate_normal if isinstance(family, type(em.Gaussian())) else student
        parts = (law(m, s).pdf(np.stack([x, y], axis=1)) for m, s in zip(fitted.means, fitted.covariances))
        return sum(w * part for w, part in zip(fitted.weights, parts))

    def student(mean, scale):
        return stats.multivariate_t(mean, scale, df=4.0)

    level = 10 * np.sqrt(density(fitted) / density(trace[3].params).max())
    digits = np.array([int(digit) for digit in made["shades"][1]["digits"]])
    clear = np.abs(level - np.round(level)) > 1e-6
    np.testing.assert_array_equal(digits[clear], np.minimum(np.floor(level), 9)[clear])


def test_the_path_of_any_parameter(trace):
    table = tables(charts.parameter_path(trace, field="weights"))["scalars"]
    assert [row["name"] for row in table] == ["weights[0]", "weights[1]", "weights[2]"]
    assert table[2]["values"] == [half.params.weights[2] for half in trace]
    with pytest.raises(ValueError, match="no field 'rates': they have weights, means, covariances"):
        charts.parameter_path(trace, field="rates")


def test_a_prior_is_added_to_both_lines():
    model = em.Mixture(em.Gaussian("full", prior=em.FraleyRaftery(30.0)), 3, weight_prior=5.0)
    trace = run(model, FAITHFUL, 10)
    halves = tables(charts.staircase(trace))["halves"]
    climbs = [row["objective"] for row in halves]
    assert climbs == [half.elbo + half.log_prior for half in trace]
    assert (np.diff(climbs) > -1e-9).all()
    np.testing.assert_allclose(
        [row["log_posterior"] - row["objective"] for row in halves], [h.kl for h in trace], atol=1e-9
    )
    assert "both + log prior" in charts.staircase(trace).to_dict()["title"]["text"]
    without = charts.staircase(trace, with_prior=False).to_dict()
    assert "prior" not in without["title"]["text"]
    assert '"field": "elbo"' in json.dumps(without["layer"])


def test_components_look_different():
    looks = [(colour(c), shape(c), tuple(dash(c))) for c in range(16)]
    assert len(set(looks)) == 16
    assert len({look[0] for look in looks[:8]}) == len({look[1] for look in looks[:8]}) == len(COMPONENT_COLOURS)
    assert len({look[2] for look in looks[:8]}) == 8


def test_rows_with_missing_cells_are_left_out():
    x = FAITHFUL.to_numpy().astype(float)
    x[::10, 1] = np.nan
    trace = run(em.Mixture(em.Gaussian("diag"), 2), x, 5)
    points = tables(charts.responsibilities(trace))["points"]
    assert [point["row"] for point in points if point["x1"] is None] == list(range(0, 272, 10))
    assert "NaN" not in svg(charts.view(trace))
