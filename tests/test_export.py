"""The export without a browser: what is run, what is written, and that a failure leaves nothing behind."""

import base64
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote

import numpy as np
import pytest

from emcore import charts
from emcore.charts.live import live_spec
from emcore.classroom import mixture
from emcore.export.__main__ import MARK, main, unlike
from emcore.export.course import App, Setting, apps_in, presets, read_app, settings_of, values_in
from emcore.export.pages import bar, place_of
from emcore.export.runs import Marimo, programs
from emcore.export.site import without_kernel
from emcore.export.snapshot import ExportError, Snapshot, cell_name, check_private, take
from emcore.export.tex import mathml
from emcore.export.wasm import UV, for_pyodide, write_wasm
from emcore.export.words import plain, table

APPS = Path(__file__).parents[1] / "apps"
GOOD = """# /// script
# dependencies = ["marimo"]
# [tool.marimo.opengraph]
# title = "1 · Fine?"
# description = "It says hello."
# [tool.emcore.export]
# k = [2, 3]
# ///
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    mo.md(f"hello {mo.cli_args().to_dict()}")
    return (mo,)
"""
BROKEN = (
    GOOD
    + """

@app.cell
def _(mo):
    ratio = len(mo.cli_args().to_dict()) / 0
    return (ratio,)


@app.cell
def _(mo, ratio):
    mo.md(f"{ratio}")
    return


if __name__ == "__main__":
    app.run()
"""
)


def an_app(**choices) -> App:
    return App(Path("apps/01_x.py"), "1 · X?", "Words.", MappingProxyType(choices))


# ---- which settings


def test_a_header_says_what_is_to_be_run(tmp_path):
    (tmp_path / "01_good.py").write_text(GOOD)
    (tmp_path / "helper.py").write_text("x = 1\n")
    (app,) = apps_in(tmp_path)
    assert (app.title, app.description, app.name) == ("1 · Fine?", "It says hello.", "01_good")
    assert [setting.query for setting in app.combinations()] == [(("k", "2"),), (("k", "3"),)]
    assert [setting.title for setting in settings_of(app, "", 1)] == ["as it stands", "k 2"]


def test_folders_without_an_app_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no marimo app"):
        apps_in(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        apps_in(tmp_path / "nowhere")


HERE = '<a href="?{}">This link</a> restores every control as it is now.</span>'


def shots(app: App, *values: str) -> list[Snapshot]:
    """Pages of an app that hold these values, as queries; the first lists presets too."""
    panel = (
        'Start the class from: <a href="?file=a.py&amp;k=2.0">Two</a> · <a href="?">Here</a> · '
        '<a href="?k=9">&lt;Nine&gt;</a> · <a href="?k=7">Seven</a></span>'
    )
    taken = []
    for query in values:
        html = panel + HERE.format(query.replace("&", "&amp;"))
        session = json.dumps({"cells": [{"outputs": [{"data": {"text/html": html}}]}]})
        setting = Setting("", tuple(parse_qsl(query)) if taken else ())
        taken.append(Snapshot(app, setting, f'__MARIMO_MOUNT_CONFIG__ = {{"session": {session}}}'))
    return taken


def test_the_teachers_presets_are_read_from_the_page():
    page = 'Start the class from: <a href="?file=a.py&amp;k=2&amp;hard=1">A &amp; B</a> · <a href="?">as is</a></span>'
    assert list(presets(page)) == [Setting("A & B", (("k", "2"), ("hard", "1"))), Setting("as is")]
    assert settings_of(an_app(k=(2,), hard=(1,)), page, None)[1:] == (
        Setting("k 2, hard 1", (("k", "2"), ("hard", "1"))),
    )


def test_what_a_page_holds_is_read_from_its_own_link():
    assert values_in(HERE.format("k=2.0&amp;data=A+%26+B&amp;file=x.py")) == {"k": "2", "data": "A & B"}
    assert values_in("no link") == {}


def test_settings_that_the_first_page_or_another_holds_are_not_run_again():
    page = 'Start the class from: <a href="?k=2">Two</a> · <a href="?k=5.0">Five</a></span>' + HERE.format("k=3&hard=0")
    found = settings_of(an_app(k=(2, 3, 4)), page, None)
    assert [setting.title for setting in found] == ["as it stands", "k 2", "k 4", "Five"]


def test_a_page_that_shows_in_the_end_what_another_does_is_left_out(capsys):
    taken = shots(an_app(), "k=3", "k=4", "k=4.0", "k=3")
    assert unlike(taken) == taken[:2]
    assert capsys.readouterr().out.count("left out") == 2


def test_a_link_leads_to_the_page_that_holds_what_it_asks_for():
    taken = shots(an_app(), "k=3&hard=0", "k=2&hard=0")
    assert [place_of(taken, query) for query in ("", "hard=0", "k=2", "k=3.0&hard=0", "hard=1")] == [0, 0, 1, 0, None]


def test_the_mixture_is_computed_for_several_k_covariances_and_starts():
    app = read_app(APPS / "02_gaussian_mixture.py")
    queries = [dict(setting.query) for setting in app.combinations()]
    for name in ("k", "covariance", "start"):
        values = {query[name] for query in queries}
        assert len(values) >= 2
        assert values <= {str(mixture.CONTROLS[name].read(value)) for value in values}, "a link would refuse it"
    assert len(queries) == len({tuple(query.items()) for query in queries})


def test_the_bar_shows_what_its_page_holds_and_leads_to_the_others():
    app = an_app(k=(2, 3, 4))
    taken = shots(app, "k=3", "k=2", "k=9")
    first, two, nine = (bar(taken, here, lambda place: f"p{place}.html", "index.html") for here in range(3))
    assert '<option value="3" selected>3</option>' in first
    assert '<option value="2" selected>2</option>' in two
    assert '<option value="" selected>9</option>' in nine, "not among the choices, and said all the same"
    for line in (first, two, nine):
        assert 'data-em-page="[&quot;3&quot;]" href="p0.html"' in line
        assert 'data-em-page="[&quot;2&quot;]" href="p1.html"' in line
        assert ">4</option>" not in line, "no page holds it"
        assert '<option value="p2.html"' in line
        assert "&lt;Nine&gt;</option>" in line
        assert "Seven" not in line
        assert line.count(" selected") == 2
    assert '<option value="p0.html" selected>as it stands: Here</option>' in first
    assert '<option value="p1.html" selected>Two</option>' in two


# ---- what is written


def test_formulas_become_mathml():
    assert mathml(r"p(z \mid x^{(i)}; \theta)").count("<msup>") == 1
    assert "<mi>θ</mi>" in mathml(r"\theta")
    assert "<mtext>KL</mtext>" in mathml(r"\mathrm{KL}(Q \,\|\, p)")
    assert "‖" in mathml(r"\|")
    assert mathml(r"\mathbb{E}_Q") == "<math><msub><mi>𝔼</mi><mi>Q</mi></msub></math>"
    assert mathml(r"\frac{1}{k^2}") == (
        "<math><mfrac><mrow><mn>1</mn></mrow><mrow><msup><mi>k</mi><mn>2</mn></msup></mrow></mfrac></math>"
    )


def test_markup_that_could_run_is_left_out():
    html = plain('<p onclick="x()">a<script>alert(1)</script><img src="https://x.org/a.png"><b>c</b></p>', {}.get)
    assert html == "<p>a<img><b>c</b></p>"


def test_marimos_elements_become_plain_ones():
    import marimo as mo

    assert "<math><mi>k</mi></math>" in plain(mo.md("$k$").text, {}.get)
    folded = plain(mo.accordion({"Title": mo.md("inside")}).text, {}.get)
    assert folded.startswith("<details><summary>")
    assert folded.index("Title") < folded.index("inside") < folded.index("</details>")
    tabs = plain(mo.ui.tabs({"one": mo.md("first"), "two": mo.md("second")}).text, {}.get)
    assert [tabs.index(word) for word in ("one", "first", "two", "second")] == sorted(
        tabs.index(word) for word in ("one", "first", "two", "second")
    )
    assert "<b>0.3</b>" in plain(mo.ui.slider(steps=[0, 0.1, 0.3], value=0.3, label="prior").text, {}.get)
    assert "<b>full</b>" in plain(mo.ui.dropdown(["full", "tied"], value="full", label="shape").text, {}.get)
    assert "needs the live app" in plain(mo.ui.radio(["yes", "no"], label="sure?").text, {}.get)
    assert plain(mo.ui.dropdown(["yes", "no"], label="sure?").text, {}.get).count("<li>") == 2, "nothing is chosen yet"
    assert 'class="em-callout em-warn"' in plain(mo.callout("look", kind="warn").text, {}.get)
    assert plain('<a href="?k=2">x</a><a href="javascript:y()">z</a>', {"k=2": "#1"}.get) == (
        '<a href="#1">x</a><a>z</a>'
    )
    assert table('[{"a": 1.23456789, "b": "<i>"}]').count("<td>") == 2
    assert "&lt;i&gt;" in table('[{"a": 1.23456789, "b": "<i>"}]')


def test_dead_controls_are_off_and_say_why():
    import marimo as mo

    radio = without_kernel(mo.ui.radio(["yes", "no"], label="sure?").text, {}.get)
    assert "data-disabled='true'" in radio
    assert "needs the live app" in radio
    both = without_kernel(mo.vstack([mo.ui.slider(1, 3), mo.ui.slider(1, 3), mo.download(b"x", "a.csv")]).text, {}.get)
    assert both.count("data-disabled='true'") == 2, "a download works without Python"


def test_the_numbers_are_the_live_ones(tmp_path):
    setting = Setting("", (("k", "2"), ("covariance", "tied"), ("start", "k-means++")))
    with Marimo(tmp_path / "log") as marimo:
        shot = take(marimo, read_app(APPS / "02_gaussian_mixture.py"), setting, tmp_path)
    lesson = mixture.mixture_lesson(
        mixture.MixtureSettings("old_faithful", ("eruptions", "waiting"), 2, "tied", "k-means++", seed=1)
    )
    live = live_spec(charts.staircase(lesson.trace, width="container", height=250))
    (drawn,) = [state for state in shot.models.values() if state.get("shell") == live.shell]
    compared = 0
    for name, made in live.tables.items():
        for column, packed in made["columns"].items():
            held = drawn[f"table:{name}"]["columns"][column]
            if isinstance(packed["values"], bytes):
                kind = "<" + packed["kind"]
                np.testing.assert_array_equal(
                    np.frombuffer(base64.b64decode(held["values"]), kind), np.frombuffer(packed["values"], kind)
                )
                compared += 1
    assert compared >= 3
    assert lesson.message in "".join(shot.outputs())


# ---- what goes wrong


def test_an_app_that_raises_is_named_and_nothing_is_left(tmp_path, capsys):
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / "01_broken.py").write_text(BROKEN)
    assert main([str(folder), "-o", str(tmp_path / "site")]) == 1
    said = capsys.readouterr().err
    assert "01_broken.py" in said
    assert "cell 1 (line 24: `ratio = len(mo.cli_args().to_dict()) / 0`): division by zero" in said
    assert "cell 2" not in said, "a cell that only waited for it did not fail"
    assert [path.name for path in tmp_path.iterdir()] == ["apps"]


def test_a_folder_of_somebody_elses_is_not_written_over(tmp_path, capsys):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").write_text("mine")
    assert main([str(APPS), "-o", str(tmp_path / "site")]) == 1
    assert "was not written by this command" in capsys.readouterr().err
    assert (tmp_path / "site" / "thesis.txt").read_text() == "mine"


def test_an_earlier_export_is_replaced_and_sizes_are_told(tmp_path, capsys):
    (tmp_path / "01_good.py").write_text(GOOD)
    out = tmp_path / "site"
    assert main([str(tmp_path / "01_good.py"), "-o", str(out), "--single-file", "--most", "1"]) == 0
    (out / "stale.html").write_text("")
    assert main([str(tmp_path / "01_good.py"), "-o", str(out), "--single-file", "--most", "0"]) == 0
    assert {path.name for path in out.iterdir()} == {"01_good.html", "index.html", MARK}
    said = capsys.readouterr().out
    assert "01_good: k 2" in said
    assert "01_good.html  0." in said
    assert "3 files" in said


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", f'"{Path.cwd()}/apps/x.py"'])
def test_tracebacks_and_paths_of_this_machine_are_refused(text):
    with pytest.raises(ExportError, match="01_x: the page would hold"):
        check_private("01_x", f"<p>{text}</p>")


def test_cells_are_named_as_their_author_finds_them():
    path = APPS / "02_gaussian_mixture.py"
    assert cell_name(path, 0).startswith("cell 0 (line ")
    assert "mo.md(" in cell_name(path, 1)
    assert cell_name(path, 999) == "cell 999"


# ---- WASM


def test_without_uv_the_way_to_get_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert main([str(APPS), "-o", str(tmp_path / "web"), "--wasm"]) == 1
    assert UV in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quote", ['"', r"\"", "%22"])
def test_nothing_is_pinned_that_pyodide_ships_and_nothing_asked_that_it_lacks(quote):
    wanted = ["numpy==2.4.6", "polars==2.1.0", "anywidget==0.9.1", "vl-convert-python==1.9.0.post1", "emcore @ x"]
    comma, same = ("%2C%20", "%3D%3D") if quote == "%22" else (", ", "==")
    written = comma.join(f"{quote}{name.replace('==', same)}{quote}" for name in wanted)
    kept = ["numpy", "polars", f"anywidget{same}0.9.1", "emcore @ x"]
    assert for_pyodide(written) == comma.join(f"{quote}{name}{quote}" for name in kept)


def test_a_wasm_page_holds_the_package(tmp_path, monkeypatch):
    """The wheel alone, imported from where nothing else of the project is, loads data and draws."""
    assert shutil.which("uv", path=programs()), "the `test` extra installs uv"
    monkeypatch.chdir(APPS.parent)
    folder = tmp_path / "web"
    folder.mkdir()
    write_wasm(apps_in(APPS)[:2], folder, tmp_path)
    (wheel,) = (folder / "public" / "wheels").glob("emcore-*.whl")
    for name in ("01_the_bound", "02_gaussian_mixture"):
        page = unquote((folder / f"{name}.html").read_text("utf-8"))
        assert page.count("/wheels/emcore-") == page.replace("%2B", "+").count(f"/public/wheels/{wheel.name}") >= 2
        assert not [said for said in ("numpy==", "scipy==", "polars==", "altair==", "vl-convert") if said in page]
        asked = re.findall(r'(?:src|href)="\./([^"]+)"', page)
        assert len(asked) > 10
        assert all((folder / file).exists() for file in asked), "both pages share one folder of assets"
        assert ".em-grid" in page, "the notebooks' style sheet"
    (tmp_path / "alone").mkdir()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "alone")
        (record,) = (name for name in packed.namelist() if name.endswith("RECORD"))
        said = {line.split(",")[0] for line in packed.read(record).decode().splitlines()}
        assert said == set(packed.namelist())
    code = (
        "import emcore as em; from emcore.charts.live import LiveChart; from emcore.classroom import mixture; "
        "print(em.__file__, len(em.datasets.load('old_faithful')), len(LiveChart._esm) > 300_000)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "alone", capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [str(tmp_path / "alone" / "emcore" / "__init__.py"), "272", "True"]
