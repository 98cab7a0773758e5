"""A chart on the page: changed in place, never blank, its handles moved by mouse, finger and keyboard."""

from __future__ import annotations

import http.server
import re
import struct
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"

APP = """
import marimo

app = marimo.App(width="medium")

with app.setup:
    import altair as alt
    import marimo as mo
    import numpy as np
    import polars as pl

    from emcore.charts.live import LiveChart


@app.function
def picture(n, k, starts):
    rng = np.random.default_rng(0)
    points = pl.DataFrame({"x": rng.uniform(1, 6, n), "y": rng.uniform(40, 100, n), "z": np.arange(n) % k})
    last = 10 if k < 5 else 6
    rows = [{"t": t, "x": x + t / 10, "y": y} for t in range(last + 1) for x, y in starts]
    path = pl.DataFrame(rows, schema={"t": pl.Int64, "x": pl.Float64, "y": pl.Float64})
    t = alt.param("t", value=8, bind=alt.binding_range(min=0, max=last, step=1, name="half-step: "))
    x = alt.X("x:Q").scale(domain=[0, 7])
    y = alt.Y("y:Q").scale(domain=[30, 110])
    dots = alt.Chart(points).mark_point().encode(x, y, alt.Color("z:N").legend(None))
    cross = alt.Chart(path).mark_point(shape="cross", size=200, color="black").encode(x, y)
    cross = cross.transform_filter("datum.t == t")
    chart = alt.layer(dots, cross).add_params(t).properties(width="container", height=300)
    return chart.properties(title="many" if k == 6 else "few", description="Points and starting means")


@app.cell
def _():
    k = mo.ui.slider(1, 8, value=2, label="components")
    k
    return (k,)


@app.cell
def _():
    scatter = LiveChart(handles=[[2, 55], [4.5, 80]], height=340)
    view = mo.ui.anywidget(scatter)
    view
    return scatter, view


@app.cell
def _():
    other = LiveChart(alt.Chart(pl.DataFrame({"a": [1.0, 2.0]})).mark_tick().encode(x="a:Q"), height=60)
    mo.ui.anywidget(other)
    return


@app.cell
def _(view):
    starts = view.value["handles"]
    mo.Html(f"<p data-testid='starts'>{starts}</p>")
    return (starts,)


@app.cell
def _(k, scatter, starts):
    sent = scatter.update(picture(300, k.value, starts))
    mo.Html(f"<p data-testid='sent'>{' '.join(sent)}</p>")
    return


if __name__ == "__main__":
    app.run()
"""

# Looks at the chart before every repaint and keeps the smallest height, width and number of drawn marks.
WATCH = """live => {
  const seen = live.seen = { frames: 0, height: Infinity, width: Infinity, plot: Infinity, marks: Infinity };
  const look = () => {
    const shown = [...live.querySelectorAll("svg.marks")].filter(s => getComputedStyle(s).visibility === "visible");
    const box = shown.length ? shown[0].getBoundingClientRect() : { height: 0, width: 0 };
    const plot = shown.length ? shown[0].querySelector(".root .background").getBoundingClientRect().width : 0;
    const marks = shown.length ? shown[0].querySelectorAll(".mark-symbol path").length : 0;
    seen.frames += 1;
    for (const [key, value] of Object.entries({ height: box.height, width: box.width, plot, marks }))
      seen[key] = Math.min(seen[key], value);
    requestAnimationFrame(look);
  };
  look();
}"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("live") / "live_app.py"
    path.write_text(dedent(APP))
    return path


@pytest.fixture(scope="module")
def address(marimo_app, notebook) -> str:
    return marimo_app(notebook).url


def open_chart(page, address):
    page.goto(address)
    live = page.locator(".em-live").first
    live.locator("svg.marks").wait_for(timeout=30_000)
    page.get_by_test_id("sent").wait_for()
    wait_for_revision(live, 1)
    return live


def wait_for_revision(live, revision: int) -> None:
    """Until the update of that number, or a later one, has been drawn."""
    live.evaluate(
        """(live, wanted) => new Promise((done, fail) => {
            const late = setTimeout(() => fail(new Error("still at revision " + live.dataset.revision)), 20000);
            const look = () => Number(live.dataset.revision) >= wanted
                ? (clearTimeout(late), done()) : requestAnimationFrame(look);
            look();
        })""",
        revision,
    )


def colours(live) -> int:
    drawn = live.locator("svg.marks .mark-symbol path").evaluate_all("all => all.map(p => p.getAttribute('stroke'))")
    return len(set(drawn) - {None, "transparent"})


def test_a_slider_changes_the_data_inside_the_same_picture(page, address):
    received, modules = [], []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda text: received.append(len(text))))
    page.on("request", lambda r: modules.append(r.url) if "@file" in r.url else None)
    live = open_chart(page, address)
    svg = live.locator("svg.marks")
    picture = live.locator("[role=graphics-document]")
    assert picture.get_attribute("aria-label") == "Points and starting means"
    assert len(modules) == 1, "two charts share one module"
    assert colours(live) == 2 + 1  # two components, and the crosses
    svg.evaluate("e => { e.tag = 'first'; }")
    live.evaluate("e => { e.tag = 'first'; }")
    live.evaluate(WATCH)
    received.clear()
    page.get_by_role("slider", name="components").press("ArrowRight")
    wait_for_revision(live, 2)
    expect(page.get_by_test_id("sent")).to_have_text("table:table_0")
    assert colours(live) == 3 + 1
    assert svg.evaluate("e => e.tag") == live.evaluate("e => e.tag") == "first"
    seen = live.evaluate("e => e.seen")
    assert seen["frames"] > 1
    assert seen["height"] > 300
    assert seen["width"] > 900
    assert seen["plot"] > 900
    assert seen["marks"] == 302
    assert sum(received) < 12_000  # 300 points of 17 bytes in base64, and the cell's own messages
    assert page.refused == []
    assert page.errors == []


def test_a_new_specification_is_swapped_in_without_a_blank_frame(page, address):
    live = open_chart(page, address)
    live.locator("svg.marks").evaluate("e => { e.tag = 'first'; }")
    live.evaluate(WATCH)
    for step in range(4):
        page.get_by_role("slider", name="components").press("ArrowRight")
        wait_for_revision(live, 2 + step)
    expect(page.get_by_test_id("sent")).to_contain_text("shell")
    svg = live.locator("svg.marks")
    assert svg.count() == 1
    assert svg.evaluate("e => e.tag ?? null") is None
    assert "many" in svg.text_content()
    seen = live.evaluate("e => e.seen")
    assert seen["height"] > 300
    assert seen["width"] > 900
    assert seen["plot"] > 900
    assert seen["marks"] == 302


def test_the_scrubber_keeps_its_place_and_is_clamped_to_a_shorter_trace(page, address):
    live = open_chart(page, address)
    scrubber = live.get_by_role("slider", name="half-step")
    crosses = live.locator("svg.marks .mark-symbol").nth(1)
    assert scrubber.get_attribute("aria-valuetext") == "8 of 10"
    before = crosses.inner_html()
    scrubber.press("ArrowRight")
    assert scrubber.get_attribute("aria-valuetext") == "9 of 10"
    assert crosses.inner_html() != before
    components = page.get_by_role("slider", name="components")
    components.press("ArrowRight")
    wait_for_revision(live, 2)
    assert scrubber.get_attribute("aria-valuetext") == "9 of 10"
    for step in range(2):  # five components: the trace is only six half-steps long
        components.press("ArrowRight")
        wait_for_revision(live, 3 + step)
    assert scrubber.get_attribute("aria-valuetext") == "6 of 6"
    assert crosses.locator("path").count() == 2
    live.get_by_role("button", name="Play").click()  # from the end it starts again
    expect(scrubber).to_have_attribute("aria-valuetext", "1 of 6")
    live.get_by_role("button", name="Pause").click()
    expect(live.get_by_role("button", name="Play")).to_be_visible()


def starts(page) -> list[float]:
    return [float(v) for v in re.findall(r"-?\d+\.?\d*", page.get_by_test_id("starts").inner_text())]


def plot_box(live) -> dict[str, float]:
    frame = live.locator("svg.marks .root .background").first
    return frame.evaluate("e => e.getBoundingClientRect().toJSON()")  # without the stroke


def test_a_handle_follows_the_mouse_and_stays_on_the_axes(page, address):
    live = open_chart(page, address)
    handle = live.get_by_role("slider", name="initial mean 1")
    assert handle.get_attribute("aria-label") == "initial mean 1 at (4.50, 80.0)"
    box, plot = handle.bounding_box(), plot_box(live)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    assert x == pytest.approx(plot["x"] + plot["width"] * 4.5 / 7, abs=1.5)
    assert y == pytest.approx(plot["y"] + plot["height"] * 30 / 80, abs=1.5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - plot["width"] / 7, y + plot["height"] / 8, steps=8)
    page.mouse.up()
    page.get_by_test_id("starts").get_by_text("3.5").wait_for()
    assert starts(page) == pytest.approx([2, 55, 3.5, 70], abs=0.2)
    page.mouse.move(x - plot["width"] / 7, y + plot["height"] / 8)
    page.mouse.down()
    page.mouse.move(1275, 2, steps=4)
    page.mouse.up()
    page.get_by_test_id("starts").get_by_text("7.0, 110.0").wait_for()
    assert handle.get_attribute("aria-label") == "initial mean 1 at (7.00, 110.0)"


def test_a_handle_is_reached_by_tab_and_moved_by_arrows(page, address):
    live = open_chart(page, address)
    page.get_by_role("slider", name="components").focus()
    page.keyboard.press("Tab")
    handle = live.get_by_role("slider", name="initial mean 0")
    assert handle.evaluate("e => e.matches(':focus-visible')")
    page.keyboard.press("ArrowRight")
    assert handle.get_attribute("aria-label") == "initial mean 0 at (2.07, 55.0)"
    page.keyboard.press("Shift+ArrowUp")
    assert handle.get_attribute("aria-label") == "initial mean 0 at (2.07, 63.0)"
    page.get_by_test_id("starts").get_by_text("[2.07, 63.0]").wait_for()
    assert handle.evaluate("e => e.matches(':focus')")


def test_it_fits_a_phone_and_a_finger_moves_the_handle(new_page, address):
    page = new_page(400, 800, has_touch=True)
    live = open_chart(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert 300 < live.locator("svg.marks").bounding_box()["width"] <= 400
    handle = live.get_by_role("slider", name="initial mean 0")
    box, plot = handle.bounding_box(), plot_box(live)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    for kind, part in (("touchStart", 0), ("touchMove", 0.5), ("touchMove", 1)):
        points = [{"x": x + part * plot["width"] / 7, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.get_by_test_id("starts").get_by_text("[3.").wait_for()
    assert starts(page) == pytest.approx([3, 55, 4.5, 80], abs=0.1)


def test_the_exported_page_draws_and_scrubs_without_a_kernel(page, notebook, tmp_path):
    import marimo

    command = [sys.executable, "-m", "marimo", "export", "html", str(notebook), "-o", str(tmp_path / "x.html")]
    subprocess.run([*command, "-f", "--no-include-code", "--no-sandbox"], cwd=ROOT, check=True)
    (tmp_path / "_marimo").symlink_to(Path(marimo.__file__).parent / "_static")
    html = (tmp_path / "x.html").read_text()
    html = re.sub(r"https://cdn\.jsdelivr\.net/npm/@marimo-team/frontend@[0-9.]+/dist/", "./_marimo/", html)
    (tmp_path / "x.html").write_text(html)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        live = open_chart(page, f"http://127.0.0.1:{server.server_port}/x.html")
        crosses = live.locator("svg.marks .mark-symbol").nth(1)
        before = crosses.inner_html()
        live.get_by_role("slider", name="half-step").press("ArrowRight")
        assert crosses.inner_html() != before
        server.shutdown()
    assert page.refused == []


def places_of_marks(svg: ElementTree.Element) -> list[str]:
    symbols = (group for group in svg.iter(f"{SVG}g") if "mark-symbol" in group.get("class", ""))
    return [path.get("transform", "") for group in symbols for path in group.iter(f"{SVG}path")]


def test_a_picture_is_saved_as_it_stands(page, address):
    """SVG by the mouse, after the scrubber has moved; PNG by the keyboard, at twice the size."""
    live = open_chart(page, address)
    live.locator("input[type=range]").fill("3")
    shown = live.locator("svg.marks")
    live.hover()
    with page.expect_download() as download:
        live.get_by_role("button", name="Save this picture as SVG").click()
    assert download.value.suggested_filename == "few.svg"
    saved = ElementTree.parse(download.value.path()).getroot()
    assert saved.tag == f"{SVG}svg"
    assert "few" in "".join(saved.itertext())
    on_page = ElementTree.fromstring(shown.evaluate("svg => new XMLSerializer().serializeToString(svg)"))
    assert len(places_of_marks(saved)) == 302
    assert places_of_marks(saved) == places_of_marks(on_page)

    live.get_by_role("button", name="Save this picture as PNG").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "few.png"
    data = Path(download.value.path()).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    box = shown.bounding_box()
    assert (width, height) == pytest.approx((2 * box["width"], 2 * box["height"]), abs=2)
