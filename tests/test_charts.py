"""Every chart is valid, small, described, under one scrubber, and safe with any column names and any run."""

import json
import re
import struct

import altair as alt
import numpy as np
import pytest
import vl_convert

import emcore as em
from emcore import charts
from emcore.charts.live import live_spec
from emcore.charts.theme import config
from emcore.trace import Trace
from tests.traces import geyser, run

NAMES = ("eruptions (min)", "waiting (min)")
CHARTS = (
    charts.staircase,
    charts.kl_curve,
    charts.gap_bars,
    charts.gap_points,
    charts.gap_rows,
    charts.responsibilities,
    charts.strip,
    charts.parameter_path,
    charts.density,
    charts.view,
)
NAMED = (charts.gap_points, charts.responsibilities, charts.parameter_path, charts.density, charts.view)


@pytest.fixture(scope="module")
def trace():
    return geyser()


def tables(chart):
    return chart.to_dict()["datasets"]


def params(chart):
    return [param["name"] for param in chart.to_dict()["params"]]


def svg(chart):
    return vl_convert.vegalite_to_svg(chart.to_json(), vl_version=".".join(alt.SCHEMA_VERSION[1:].split(".")[:2]))


# ---- what holds for every chart


@pytest.mark.parametrize("chart", CHARTS)
def test_is_valid_vega_lite(chart, trace):
    spec = chart(trace).to_dict(validate=True)
    assert spec["$schema"] == alt.SCHEMA_URL
    assert spec["config"] == config()


def test_validation_can_fail(trace):
    with pytest.raises(Exception, match="notachannel"):
        charts.staircase(trace).properties(notachannel=1).to_dict(validate=True)


@pytest.mark.parametrize("chart", CHARTS)
def test_has_one_scrubber_over_all_half_steps(chart, trace):
    made = chart(trace, half_step=7).to_dict()
    scrubbers = [param for param in made["params"] if param["name"] == "half_step"]
    bind = {"input": "range", "min": 0, "max": 59, "step": 1, "name": "half-step "}
    assert scrubbers == [{"name": "half_step", "value": 7, "bind": bind}]
    assert json.dumps(made).count('"half_step", "value"') == 1
    with pytest.raises(ValueError, match="half_step=60 is not among the 60 half-steps shown"):
        chart(trace, half_step=60)


@pytest.mark.parametrize("chart", CHARTS)
def test_is_described_with_numbers_of_the_trace(chart, trace):
    said = chart(trace).to_dict()["description"]
    assert "60 half-steps of EM on 272 rows, 3 components" in said
    assert f"{trace[0].log_likelihood:,.3f} to {trace[-1].log_likelihood:,.3f} nats" in said


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("half_step", [9, -2])
def test_says_where_we_are(chart, half_step, trace):
    half = trace[half_step]
    assert half.kind == ("M" if half_step == 9 else "E")
    moved = "q moved, θ held" if half.kind == "E" else "θ moved, q held"
    picture = svg(chart(trace, half_step=half_step))
    assert picture.count(f"iteration {half.iteration}, after the {half.kind}-step: {moved}") >= 1
    assert "NaN" not in picture
    assert "undefined" not in picture
    assert "shown:" not in picture


@pytest.mark.parametrize("chart", CHARTS)
def test_other_runs_on_the_same_data_change_data_alone(chart, trace):
    """So that a live chart swaps tables and the picture stays."""
    shells = [live_spec(chart(other)).shell for other in (trace, geyser(seed=2), geyser(k=5, seed=3, n_halves=41))]
    assert shells[0] == shells[1] == shells[2]
    assert all(not name.startswith("table_") for name in live_spec(chart(trace)).tables)


@pytest.mark.parametrize("chart", CHARTS)
def test_does_not_depend_on_global_settings(chart, trace):
    before = chart(trace).to_json()
    active = alt.theme.active
    with alt.theme.enable("dark"):
        assert chart(trace).to_json() == before
    assert alt.theme.active == active
    assert "NaN" not in before


@pytest.mark.parametrize("chart", NAMED)
def test_column_names_may_hold_anything(chart, trace):
    names = ("a.b[0]['x']", "<img src=x onerror=alert(1)> |$*")
    made = chart(trace, names=names)
    fields = re.findall(r'"field": "([^"]*)"', json.dumps(made.to_dict()))
    assert {"x0", "x1"} <= set(fields)
    assert not [field for field in fields if re.search(r"\W", field)]
    picture = svg(made)
    assert "&lt;img src=x onerror=alert(1)&gt; |$*" in picture
    assert "<img" not in picture


@pytest.mark.parametrize("chart", CHARTS)
def test_renders_to_png(chart, trace, tmp_path):
    path = tmp_path / "chart.png"
    chart(trace, half_step=5).save(path)
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG")
    assert 500 < width < 1300
    assert 200 < height < 720, "fits a projector"


@pytest.mark.parametrize("chart", [chart for chart in CHARTS if chart is not charts.view])
def test_fits_its_container(chart, trace):
    made = chart(trace, width="container")
    assert made.to_dict(validate=True)["width"] == "container"


# ---- composition


def test_charts_side_by_side_share_the_scrubber(trace):
    for both in (charts.staircase(trace) | charts.strip(trace), charts.staircase(trace) & charts.strip(trace)):
        spec = both.to_dict(validate=True)
        assert params(both) == ["half_step", "zoom"]
        parts = spec.get("hconcat") or spec["vconcat"]
        assert not any({"params", "config", "datasets", "$schema"} & set(part) for part in parts)
        assert set(spec["datasets"]) == {"halves", "q", "order", "counts"}
    three = charts.above(charts.beside(charts.gap_bars(trace), charts.kl_curve(trace)), charts.strip(trace))
    assert params(three) == ["half_step"]
    assert "iteration 4, after the M-step" in svg(charts.beside(charts.gap_bars(trace, half_step=7)))


def test_a_chart_of_altair_may_stand_beside(trace):
    other = alt.Chart(alt.Data(values=[{"a": 1}])).mark_point().encode(x="a:Q")
    both = charts.strip(trace) | other
    assert params(both) == ["half_step"]
    assert both.to_dict(validate=True)["hconcat"][1]["mark"]["type"] == "point"


def test_charts_of_two_traces_do_not_mix(trace):
    with pytest.raises(ValueError, match="different tables named 'q'"):
        charts.beside(charts.strip(trace), charts.strip(geyser(seed=2)))


def test_behaves_as_an_altair_chart(trace, tmp_path):
    chart = charts.gap_bars(trace)
    assert isinstance(chart, alt.TopLevelMixin)
    spec = chart.to_dict()
    spec["params"][0]["value"] = 59
    spec["datasets"].clear()
    assert chart.to_dict()["params"][0]["value"] == 0, "a caller may change what it got"
    other = chart.properties(title="Another")
    assert other.to_dict()["title"] == "Another"
    assert chart.to_dict()["title"]["text"] == "log p(x) = ELBO + KL"
    copied = chart.copy()
    copied["usermeta"] = {"embedOptions": {}}
    assert copied.usermeta == {"embedOptions": {}}
    assert chart.usermeta is alt.Undefined
    assert json.loads(chart.to_json(indent=2)) == json.loads(chart.to_json()) == chart.to_dict()
    assert "signals" in chart.to_dict(format="vega")
    chart.save(tmp_path / "chart.html")
    assert "vega-lite" in (tmp_path / "chart.html").read_text()


# ---- budgets, thinning, degenerate input


def test_the_whole_view_stays_small(trace):
    assert len(charts.view(trace).to_json().encode()) < 500_000
    assert len(charts.view(geyser(k=8, covariance="diag")).to_json().encode()) < 900_000


def test_much_data_and_many_half_steps_are_thinned_and_said():
    x = np.random.default_rng(0).normal(size=(20_000, 2)) + np.repeat([[0.0, 0.0], [3.0, 1.0]], 10_000, axis=0)
    trace = run(em.Mixture(em.Gaussian("diag"), 2), x, 131)
    chart = charts.view(trace, half_step=-1)
    made = tables(chart)
    assert len(chart.to_json().encode()) < 1_000_000
    kept = [row["index"] for row in made["halves"]]
    assert (len(kept), kept[0], kept[-1]) == (59, 0, 130)
    assert [row["elbo"] for row in made["halves"]] == [trace[i].elbo for i in kept]
    rows = [point["row"] for point in made["points"]]
    assert (rows[0], rows[-1]) == (0, 19_999)
    np.testing.assert_allclose([p["x1"] for p in made["points"]], x[rows, 1])
    assert f"shown: 59 of 131 half-steps, {len(rows):,} of 20,000 rows" in svg(chart)
    assert chart.to_dict()["params"][0]["bind"]["max"] == 58
    held = [row["count"] for row in made["counts"] if row["half_step"] == 0]
    assert sum(held) == pytest.approx(20_000, abs=0.02), "counts are of all rows"
    assert len(tables(charts.staircase(trace, frames=200))["halves"]) == 131


def test_axes_may_be_given(trace):
    chart = charts.responsibilities(trace, domain=((0.0, 6.0), (30.0, 110.0)))
    scales = re.findall(r'"domain": (\[[^]]*\])', json.dumps(chart.to_dict()["layer"]))
    assert {"[0.0, 6.0]", "[30.0, 110.0]"} <= set(scales)


def collapsed():
    start = {"weights": [0.5, 0.5], "means": [[0.0], [2.0]], "covariances": [[[1e-6]], [[1.0]]]}
    x = np.array([[0.0], [0.0], [1.0], [2.0], [3.0]])
    fit = em.fit(em.Mixture(em.Gaussian(), 2), x, init=start, trace=True)
    assert fit.status is em.Status.DEGENERATE
    return fit.trace


DEGENERATE = {
    "one half-step": lambda: geyser(n_halves=1),
    "one component": lambda: geyser(k=1, n_halves=5),
    "eight components": lambda: geyser(k=8, covariance="diag", n_halves=6),
    "nine components": lambda: geyser(k=9, covariance="spherical", n_halves=3),
    "four columns": lambda: run(em.Mixture(em.Gaussian("tied"), 2), em.datasets.load("iris"), 6),
    "hard E-steps": lambda: geyser(n_halves=6, e_step=em.hard),
    "collapsed early": collapsed,
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_runs_are_drawn(name):
    trace = DEGENERATE[name]()
    line = name == "collapsed early"
    for chart in CHARTS:
        if line and chart is charts.gap_points:
            with pytest.raises(ValueError, match="x has no plane"):
                chart(trace)
            continue
        made = chart(trace)
        spec = made.to_dict(validate=True)
        assert spec["params"][0]["bind"]["max"] == len(trace) - 1
        json.loads(made.to_json(allow_nan=False))
    assert f"after the {trace[-1].kind}-step" in svg(charts.view(trace, half_step=-1))


def test_models_without_responsibilities_show_their_parameters():
    linkage = run(em.genetics.linkage(), np.array([[125.0, 18.0, 20.0, 34.0]]), 12)
    spec = charts.view(linkage).to_dict(validate=True)
    assert spec["datasets"]["scalars"][0]["values"] == [float(half.params.theta) for half in linkage]
    for chart in (charts.responsibilities, charts.strip):
        with pytest.raises(ValueError, match="not a table of probabilities"):
            chart(linkage)


def test_bad_arguments_are_named(trace):
    with pytest.raises(ValueError, match=r"columns=\(0, 2\) asks for 2"):
        charts.responsibilities(trace, (0, 2))
    with pytest.raises(ValueError, match="2 different columns"):
        charts.responsibilities(trace, (1, 1))
    with pytest.raises(ValueError, match=r"one per column of x \(2\), but there are 1"):
        charts.responsibilities(trace, names=["eruptions"])
    with pytest.raises(ValueError, match='"linear" or "log"'):
        charts.staircase(trace, scale="square")
    with pytest.raises(ValueError, match="holds no half-step"):
        charts.staircase(Trace(trace.model, trace.x, None, ()))
