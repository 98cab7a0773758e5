"""What a live chart sends: every value survives the packing, and only what changed is sent."""

from __future__ import annotations

import datetime
import gzip
import json

import altair as alt
import numpy as np
import pandas as pd
import polars as pl
import pytest

from emcore import charts
from emcore.charts import bundle
from emcore.charts.columns import pack
from emcore.charts.live import LiveChart, live_spec
from tests.traces import geyser


def unpack(column: dict) -> list:
    if column["kind"] == "json":
        return json.loads(column["values"])
    numbers = np.frombuffer(column["values"], dtype="<" + column["kind"]).tolist()
    if "width" in column:
        lists = np.reshape(numbers, (-1, column["width"])).tolist()
        return [lists[place] for place in column["places"]]
    if "levels" in column:
        return [None if code < 0 else column["levels"][code] for code in numbers]
    return [None if number != number else number for number in numbers]


def rows(table: dict) -> list[dict]:
    columns = {name: unpack(column) for name, column in table["columns"].items()}
    return [{name: values[i] for name, values in columns.items()} for i in range(table["length"])]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, -128, 127], "i1"),
        ([1, 128], "i2"),
        ([1, 40_000], "i4"),
        ([1, 3_000_000_000], "f8"),
        ([0.5, -1.25, None], "f4"),
        ([0.1, 1e-300, 1e300], "f8"),
        (["a", "b", None, "a"], "i1"),
        ([[1.0, 2.0], [3.0]], "json"),
        ([True, False, None], "json"),
        ([], "json"),
    ],
)
def test_packing_is_exact_and_as_short_as_it_can_be(values, kind):
    packed = pack(values)
    assert packed["kind"] == kind
    assert unpack(packed) == values


def test_arrays_that_repeat_travel_once():
    held, moved = np.array([1, 2, 3], dtype=np.int16), np.array([1, 2, 4], dtype=np.int16)
    packed = pack([held, held, moved, held])
    assert (packed["kind"], packed["width"], packed["places"]) == ("i1", 3, [0, 0, 1, 2])
    assert unpack(packed) == [[1, 2, 3], [1, 2, 3], [1, 2, 4], [1, 2, 3]]
    assert unpack(pack([np.array([1, 2]), np.array([3])])) == [[1, 2], [3]]


@pytest.mark.parametrize("chart", [charts.responsibilities, charts.strip, charts.gap_points, charts.staircase])
def test_a_live_chart_holds_what_its_json_says(chart):
    picture = chart(geyser())
    tables = live_spec(picture).tables
    for name, written in json.loads(picture.to_json())["datasets"].items():
        held = rows(tables[name])
        assert held == [{column: row[column] for column in sent} for row, sent in zip(written, held, strict=True)]


def test_columns_that_a_chart_never_names_stay_at_home():
    picture = charts.gap_rows(geyser())
    sent = set(live_spec(picture).tables["halves"]["columns"])
    assert {"half_step", "title"} <= sent
    assert not {"elbo", "log_likelihood", "below_elbo"} & sent
    assert {"elbo", "log_likelihood"} <= set(picture.to_dict()["datasets"]["halves"][0])


def scatter(n: int, *, k: int = 2, last: int = 5):
    points = pl.DataFrame({"x": np.linspace(0, 1, n), "label": [f"g{i % k}" for i in range(n)]})
    means = pl.DataFrame({"x": [0.2, 0.8], "t": [0, last]})
    t = alt.param("t", value=1, bind=alt.binding_range(min=0, max=last, step=1, name="half-step: "))
    dots = alt.Chart(points).mark_point().encode(x="x", color="label")
    return alt.layer(dots, alt.Chart(means).mark_rule().encode(x="x")).add_params(t)


def test_the_shell_holds_no_data_and_does_not_depend_on_them():
    small, large = live_spec(scatter(10)), live_spec(scatter(200, k=5, last=9))
    assert small.shell == large.shell
    assert [layer["data"] for layer in small.shell["layer"]] == [{"name": "table_0"}, {"name": "table_1"}]
    assert small.shell["layer"][0]["encoding"]["x"]["type"] == "quantitative"  # inferred from the frame
    assert small.shell["params"] == [{"name": "t", "value": 0}]
    assert large.controls == [{"name": "t", "label": "half-step", "min": 0, "max": 9, "step": 1, "value": 1}]
    assert rows(small.tables["table_1"]) == [{"x": 0.2, "t": 0}, {"x": 0.8, "t": 5}]
    assert rows(large.tables["table_0"])[7] == {"x": 7 / 199, "label": "g2"}


def test_an_update_sends_only_what_changed():
    live = LiveChart(scatter(10))
    assert live.update(scatter(10)) == []
    assert live.update(scatter(12)) == ["table:table_0"]
    assert live.update(scatter(12, last=6)) == ["table:table_1", "controls"]
    assert live.update(scatter(12, last=6).properties(title="new")) == ["shell"]
    state = live.get_state()
    assert state["revision"] == 4
    assert state["tables"] == ["table_0", "table_1"]
    assert state["table:table_0"]["length"] == 12


def test_the_same_tables_come_out_as_altair_itself_would_write():
    frame = pl.DataFrame(
        {
            "day": [datetime.date(2020, 1, 2), datetime.date(2021, 3, 4)],
            "at": [datetime.datetime(2020, 1, 2, 3, 4, 5), None],
            "value": [1.5, float("nan")],
            "count": [3, None],
            "flag": [True, False],
            "name": ["a", "b"],
        }
    )
    chart = alt.Chart(frame).mark_point().encode(x="day", y="value")
    (written,) = chart.to_dict()["datasets"].values()
    written[1]["value"] = None  # JSON has no NaN: it is written as null
    assert rows(live_spec(chart).tables["table_0"]) == written


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: alt.Chart(frame).mark_point().encode(x="x:Q"),
        lambda frame: alt.hconcat(alt.Chart(frame).mark_point().encode(x="x:Q"), alt.Chart(frame).mark_bar()),
        lambda frame: alt.Chart(frame).mark_point().encode(x="x:Q").facet("g:N"),
        lambda frame: alt.Chart(frame).mark_point().encode(x="x:Q").to_dict(),
        lambda frame: alt.Chart(frame.to_pandas()).mark_point().encode(x="x"),
        lambda frame: alt.Chart(alt.Data(values=frame.to_dicts())).mark_point().encode(x="x:Q"),
        lambda frame: {"data": {"values": frame.to_dicts()}, "mark": "point", "encoding": {}},
    ],
    ids=["chart", "concat", "facet", "dict", "pandas", "values", "plain"],
)
def test_every_way_to_hold_a_table_gives_the_same_single_table(make):
    frame = pl.DataFrame({"x": [0.25, 2.0], "g": ["a", "b"]})
    chart = make(frame)
    before = chart if isinstance(chart, dict) else chart.to_dict()
    spec = live_spec(chart)
    assert {name: rows(table) for name, table in spec.tables.items()} == {"table_0": frame.to_dicts()}
    assert '"values"' not in str(spec.shell)
    assert (chart if isinstance(chart, dict) else chart.to_dict()) == before  # the chart itself is left alone


def test_lookups_named_tables_and_empty_frames():
    people = pl.DataFrame({"who": ["a"], "age": [3]})
    empty = pl.DataFrame(schema={"who": pl.String, "v": pl.Float64})
    lookup = alt.LookupData(people, key="who", fields=["age"])
    chart = alt.Chart(empty).mark_point().encode(x="v", y="age:Q").transform_lookup("who", from_=lookup)
    spec = live_spec(chart)
    assert spec.tables["table_0"]["length"] == 0
    assert rows(spec.tables["table_1"]) == people.to_dicts()
    assert spec.shell["transform"][0]["from"]["data"]["name"] == "table_1"
    assert spec.shell["encoding"]["x"]["type"] == "quantitative"
    named = alt.Chart(alt.Data(values=[{"v": 1}], name="mine")).mark_point().encode(x="v:Q")
    assert list(live_spec(named).tables) == ["mine"]


def test_ten_thousand_rows_are_not_too_many_and_pandas_dates_pass():
    frame = pd.DataFrame({"when": pd.date_range("2020-01-01", periods=10_000, freq="h")})
    table = live_spec(alt.Chart(frame).mark_tick().encode(x="when")).tables["table_0"]
    assert table["length"] == 10_000
    assert rows(table)[1]["when"].startswith("2020-01-01T01:00:00")


@pytest.mark.parametrize(
    "late",
    [[[1, 2]], [[1, 2], [3]], [[1, 2], [3, None]], [[1, 2], [3, float("nan")]], "no", None, [[1, 2], [3, "x"]]],
)
def test_unsound_or_late_handles_from_the_page_change_nothing(late):
    live = LiveChart(handles=[[0, 1], [2, 3]])
    live.set_state({"handles": late})
    assert live.handles == [[0.0, 1.0], [2.0, 3.0]]


def test_handles_and_shared_parameters_from_the_page_arrive():
    live = LiveChart(handles=[[0, 1], [2]], params={"t": 0})
    live.set_state({"handles": [[5, 6], [7]], "params": {"t": 4}})
    assert live.handles == [[5.0, 6.0], [7.0]]
    assert live.params == {"t": 4}
    live.set_state({"params": {"t": "x"}})
    live.set_state({"params": {"u": 1}})
    assert live.params == {"t": 4}
    live.place([[1, 1]])
    assert live.handles == [[1.0, 1.0]]


def test_handles_that_are_not_points_are_refused():
    with pytest.raises(ValueError, match=r"handles must be \[x\] or \[x, y\]"):
        LiveChart(handles=[[1, 2, 3]])


def test_the_library_on_the_page_can_draw_what_altair_writes():
    major, minor = map(int, bundle.versions()["vega-lite"].split("."))
    asked = [int(part) for part in alt.SCHEMA_VERSION.removeprefix("v").split(".")]
    assert major == asked[0]
    assert minor >= asked[1], "Altair is newer: run python -m emcore.charts.bundle"
    library = gzip.decompress(bundle.BUNDLE.read_bytes()).decode()
    assert "as default" in library
    assert len(library) > 500_000


def test_a_picture_is_drawn_once_for_all_who_ask_for_the_same_numbers():
    trace, made = geyser(n_halves=3), []

    def picture(of, numbers, title="", parts=()):
        made.append((of, numbers.tolist(), title))
        return alt.Chart(alt.Data(values=[{"y": float(n)} for n in numbers]), title=title).mark_point().encode(y="y:Q")

    one, other = LiveChart(), LiveChart()
    one.draw(picture, trace, numbers=np.arange(3.0))
    other.draw(picture, trace, numbers=np.arange(3.0))
    assert len(made) == 1
    assert one.get_state()["tables"] == other.get_state()["tables"] != []
    for options in ({"numbers": np.arange(4.0)}, {"numbers": np.arange(3)}, {"numbers": np.arange(3.0), "title": "b"}):
        other.draw(picture, trace, **options)
    assert len(made) == 4
    for last in (2.0, 2.0, 3.0):
        other.draw(picture, trace, numbers=np.arange(3.0), parts=((np.array([last]), "a"),))
    assert len(made) == 6
