# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "3 · Where does EM end up?"
# description = "Summits, saddles and spikes: which place EM reaches from where, and which of them to believe."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Where does EM end up?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore.charts import landscape as maps
    from emcore.charts import traps as curves
    from emcore.charts.live import LiveChart
    from emcore.classroom import landscape, landscape_script, links, optima, traps
    from emcore.classroom import landscape_class as classroom
    from emcore.classroom.page import Page
    from emcore.classroom.tables import markdown_table

    page = Page(mo)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # Where does EM end up?

    Each iteration climbs, so EM comes to rest where the slope is zero (Wu 1983): on **a** summit, on a saddle, or
    never. Drag the white start on the map.
    """)
    return


@app.cell(hide_code=True)
def _(map_view, optima_view):
    page.side_by_side([map_view], [optima_view])
    return


@app.cell(hide_code=True)
def _(found, path):
    mo.vstack([mo.callout(path.words, kind=path.loudness), mo.callout(found.message, kind=found.kind)], gap=0.5)
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        ["At the summit, like any start.", "At a point that is no summit, for ever.", "It depends on the seed."],
        label="**Predict first:** both coins start at 0.5, exactly equal. Where does EM end?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    page.answer(guess, classroom.equal_coins_in_words)
    return


@app.cell(hide_code=True)
def _(closer_look, closer_words):
    mo.vstack([closer_look, *closer_words])
    return


@app.cell(hide_code=True)
def _():
    # The last exercise is marked by running what is asked.
    answers = page.answer_fields(classroom.exercises())
    beta_answer = page.chosen(classroom.CONTROLS["beta"], None, classroom.BETA_QUESTION)
    return answers, beta_answer


@app.cell(hide_code=True)
def _(answers, beta_answer):
    _beta = (beta_answer, classroom.mark_beta(beta_answer.value))
    page.exercises([*page.marked(classroom.exercises(), answers), _beta])
    return


@app.cell(hide_code=True)
def _(found, here, path, place, restores, share, which):
    mo.vstack(
        [
            page.folded("All places where the starts ended, in numbers", lambda: mo.md(markdown_table(found.rows()))),
            page.code(landscape_script.script(landscape.MAPS[which.value], share.value, place)),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                restores,
                [
                    page.csv(path.csv, "path.csv", "path on the map"),
                    page.csv(found.csv, "optima.csv", "where the starts ended"),
                ],
                classroom.PLAN,
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    query = page.query()
    linked = links.read(query, classroom.CONTROLS)
    here = links.address(query)
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    which = page.control(classroom.CONTROLS["map"], linked["map"], "map")
    return (which,)


@app.cell(hide_code=True)
def _(linked):
    share = page.control(classroom.CONTROLS["share"], linked["share"], "share of component 0")
    return (share,)


@app.cell(hide_code=True)
def _(linked):
    start = page.control(classroom.CONTROLS["start"], linked["start"], "start")
    return (start,)


@app.cell(hide_code=True)
def _():
    put_back = mo.ui.button(label="put the start back", value=0, on_click=lambda presses: presses + 1)
    return (put_back,)


@app.cell(hide_code=True)
def _(linked):
    basins = page.control(classroom.CONTROLS["basins"], linked["basins"], "show where every start ends")
    return (basins,)


@app.cell(hide_code=True)
def _(linked):
    # Sixty runs take a second: only when asked for.
    _names = {"data": "data", "prior": "prior strength", "starts": "how many starts"}
    _fields = {name: page.chosen(classroom.CONTROLS[name], linked[name], label) for name, label in _names.items()}
    _seed = page.number(classroom.CONTROLS["seed"], linked["seed"], "seed")
    _form = mo.md("{data}\n\n{prior}\n\n{starts}\n\n{seed}").batch(**_fields, seed=_seed)
    many = _form.form(submit_button_label="run the starts", bordered=False)
    return (many,)


@app.cell(hide_code=True)
def _(linked):
    saddle = page.control(classroom.CONTROLS["saddle"], linked["saddle"], "saddle of")
    nudge = page.control(classroom.CONTROLS["nudge"], linked["nudge"], "nudge")
    return nudge, saddle


@app.cell(hide_code=True)
def _(linked):
    galaxy = page.chosen(classroom.CONTROLS["galaxy"], linked["galaxy"], "pinned on the galaxy at, thousand km/s")
    sd = page.control(classroom.CONTROLS["width"], linked["width"], "sd at the start")
    return galaxy, sd


@app.cell(hide_code=True)
def _(linked):
    names = mo.ui.radio({"2": 2, "3": 3}, value=str(linked["names"]), label="components", inline=True)
    beta = page.control(classroom.CONTROLS["beta"], linked["beta"], "first β", debounce=True)
    return beta, names


@app.cell(hide_code=True)
def _(basins, beta, closer_look, galaxy, many, names, nudge, put_back, saddle, sd, share, start, which):
    _own = dict(zip(classroom.TABS, [[saddle, nudge], [galaxy, sd], [names], [beta]], strict=True))
    mo.sidebar(
        [
            mo.md("**The map**"),
            which,
            *([] if landscape.MAPS[which.value] == landscape.MURRAY else [share]),
            start,
            mo.md("Or drag the start: by mouse or finger, or with Tab and the arrow keys."),
            put_back,
            basins,
            mo.md("**Many starts**"),
            many,
            mo.md(f"**{closer_look.value}**"),
            *_own[closer_look.value],
        ],
        width="20rem",
    )
    return


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    map_chart = LiveChart(height=440, handle_label="start")
    map_view = mo.ui.anywidget(map_chart)
    optima_chart = LiveChart(height=380)
    optima_view = mo.ui.anywidget(optima_chart)
    closer = {tab: LiveChart(height=320) for tab in classroom.TABS}
    closer_look = page.tabs({tab: mo.ui.anywidget(chart) for tab, chart in closer.items()})
    return closer, closer_look, map_chart, map_view, optima_chart, optima_view


@app.cell(hide_code=True)
def _(linked, map_chart, put_back, share, start, which):
    # A new map or start puts the handle there; so does the button. A link may place it elsewhere.
    placed = classroom.first_place(linked, which.value, share.value, start.value, put_back.value)
    map_chart.place([placed])
    return (placed,)


@app.cell(hide_code=True)
def _(map_chart, map_view, placed, share, which):
    _ = placed, map_view.value
    place = tuple(map_chart.handles[0])
    path = landscape.climb(landscape.MAPS[which.value], share.value, place)
    return path, place


@app.cell(hide_code=True)
def _(basins, map_chart, path, share, which):
    _drawn = landscape.drawn(landscape.MAPS[which.value], share.value, path, basins.value)
    _ = map_chart.update(maps.landscape(**_drawn, width="container", height=330))
    return


@app.cell(hide_code=True)
def _(linked, many):
    many_asked = classroom.many_settings(many.value or linked)
    found = optima.ends(many_asked)
    return found, many_asked


@app.cell(hide_code=True)
def _(found, optima_chart):
    if found.found is not None:
        optima_chart.update(maps.optima(found.found, found.thinnest, width="container", height=330))
    return


@app.cell(hide_code=True)
def _(beta, closer, closer_look, galaxy, names, nudge, saddle, sd):
    # Only the picture of the open tab is drawn (all in an exported page).
    _size = {"width": "container", "height": 300}
    closer_words = []
    for _tab in page.opened(closer_look):
        match _tab:
            case classroom.NUDGE:
                _which = classroom.SADDLES[saddle.value]
                _picture = curves.escape(traps.distances(_which), nudge.value, traps.APART, **_size)
                _words = traps.escape(_which, nudge.value).message
            case classroom.SPIKE:
                _pinned = traps.spike(galaxy.value, sd.value)
                _picture, _words = curves.spike(*_pinned.drawn, **_size), _pinned.words
            case classroom.NAMES:
                _swaps = traps.swaps(names.value)
                _lines = [(swap.title, swap.log_likelihood) for swap in _swaps]
                _picture = curves.between(_lines, _swaps[0].grid, **_size)
                _words = traps.swaps_in_words(_swaps)
            case classroom.ANNEALING:
                _seen = traps.annealed(beta.value)
                _picture = curves.annealing(_seen.plain, _seen.runs, _seen.top, _seen.warm, **_size)
                _words = _seen.message
        closer[_tab].update(_picture)
        closer_words.append(page.of_tab(_tab, _words))
    return (closer_words,)


@app.cell(hide_code=True)
def _(basins, beta, galaxy, many_asked, names, nudge, place, saddle, sd, share, start, which):
    restores = classroom.many_as_link(many_asked) | {
        "map": which.value,
        "share": share.value,
        "start": start.value,
        "basins": int(basins.value),
        "place": links.Points.write([place]),
        "saddle": saddle.value,
        "nudge": nudge.value,
        "galaxy": galaxy.value,
        "width": sd.value,
        "names": names.value,
        "beta": beta.value,
    }
    return (restores,)


if __name__ == "__main__":
    app.run()
