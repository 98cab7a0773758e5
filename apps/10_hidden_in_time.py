# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "10 · Hidden in time: which state, when?"
# description = "A Markov chain behind a series, its E-step as a lattice, and every path of five steps."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Hidden in time: which state, when?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore import charts
    from emcore.charts import chain as chain_charts
    from emcore.charts import lattice as lattice_charts
    from emcore.charts.live import LiveChart
    from emcore.classroom import chain as classroom
    from emcore.classroom import chain_exercises as exercises
    from emcore.classroom import chain_words as words
    from emcore.classroom import links
    from emcore.classroom.chain_script import script
    from emcore.classroom.page import Page

    page = Page(mo)
    DECODED, PATH = "Most probable path or likeliest states?", "Path of the states' parameters"
    LOOKS = {"KL on a log scale": charts.kl_curve, "The bound in numbers": charts.gap_bars}


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # Hidden in time: which state, when?

    Each step's state $z_s$ is hidden and depends on the one before: a **hidden Markov model**. The E-step is still one
    posterior, now over whole **paths**; passes forward and backward find it without listing them (Rabiner 1989).
    """)
    return


@app.cell(hide_code=True)
def _(series_view, views):
    page.side_by_side([series_view, views["lattice"]], [views["stairs"], views["moves"]])
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.callout(lesson.message, kind=lesson.kind)
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        [
            "Neither log p(x) changes: the counts are the same.",
            "The mixture keeps its log p(x), the chain loses much of what it had over the mixture.",
            "Both lose: order is information for every model.",
        ],
        label="**Predict first:** shuffle the 107 years of earthquakes and fit a two-state mixture and chain again.",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    page.answer(guess, words.reveal)
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.fit is None)
    _last = lesson.trace[-1]
    page.numbers(
        [
            (f"{_last.log_likelihood:,.4f}", "log p(x) at the end, nats"),
            (f"{_last.elbo:,.4f}", "ELBO at the end"),
            (f"{_last.entropy:,.3f}", "entropy of Q over paths, nats"),
        ],
        lesson.worst_identity_error,
        len(lesson.trace),
    )
    return


@app.cell(hide_code=True)
def _(closer_look):
    mo.vstack([closer_look])
    return


@app.cell(hide_code=True)
def _():
    mo.accordion(
        {
            "How to read the pictures": mo.md(r"""
    **The series.** Each step has its states' colours mixed by $q(z_s)$; the strip below it holds the mixture alone.
    Horizontal lines are the states' means, the black steps the mean of the likeliest state.

    **The lattice.** *Filtered*, $p(z_s \mid x_1, \dots, x_s)$, is what the pass forward knows at step $s$; *smoothed*,
    $q(z_s) = p(z_s \mid x)$, adds what comes after, by the pass backward. Both are those of the last E-step, so they
    hold still while $\theta$ moves. Their cost is $k^2 t$ products, not $k^t$ paths (Rabiner 1989, section III.A).

    **The M-step** counts: expected first states, expected moves $\sum_s q(z_{s-1}, z_s)$, and for each state the counts
    that its share of the steps brings. Only the *pairs* are new beside a mixture (Baum, Petrie, Soules & Weiss 1970).

    **Decoding.** The line is the one most probable path (Viterbi 1967); the points are the likeliest state of every
    step on its own, which maximise the expected number of right states but may need a move that is improbable. A purple
    ring shows where they differ. With simulated data a broad grey line is the truth.
    """)
        }
    )
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.fit is None)
    page.folded("Is it right? Add up every path of the first five steps", lambda: mo.md(words.all_paths(lesson)))
    return


@app.cell(hide_code=True)
def _():
    _field = mo.ui.number
    numbers = mo.ui.array([_field(step=1e-6, label=asked.question, full_width=True) for asked in exercises.NUMBERS])
    choices = mo.ui.array([mo.ui.radio(options, label=asked.question) for asked, options in exercises.CHOICES])
    return choices, numbers


@app.cell(hide_code=True)
def _(choices, lesson, numbers):
    _chosen = page.marked([asked for asked, _ in exercises.CHOICES], choices)
    page.exercises([*page.marked(exercises.NUMBERS, numbers), *_chosen], [mo.md(words.swapped(lesson))])
    return


@app.cell(hide_code=True)
def _(asked, here, lesson):
    _ran = lesson.fit is not None
    mo.vstack(
        [
            *([page.every_half_step(lesson.trace), page.code(script(asked))] if _ran else []),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                classroom.as_link(asked),
                [page.csv(*table) for table in words.downloads(lesson)] if _ran else [],
                words.PLAN,
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
    # A new setting is a new fit: sliders wait until they are let go. The lists are not by name: see app 2.
    _field = page.fields(classroom.CONTROLS, linked)

    dataset = _field("data", "data")
    states = _field("k", "states k", debounce=True)
    stationary = _field("stationary", "start in equilibrium (else free)")
    prior = _field("prior", "prior: pseudo-moves", debounce=True)
    init = _field("start", "start")
    seed = page.number(classroom.CONTROLS["seed"], linked["seed"], "seed")
    iterations = _field("iterations", "iterations at most", debounce=True)
    _data, _model, _run = (mo.md(f"**The {part}**") for part in ("data", "model", "run"))
    fields = [_data, dataset], [_model, states, stationary, prior, _run, init, seed, iterations]
    return dataset, fields, init, iterations, prior, seed, states, stationary


@app.cell(hide_code=True)
def _(dataset, fields, linked):
    _all = classroom.lengths(dataset.value)
    length = page.control(_all, _all.read(str(linked["length"])), "first steps used", debounce=True)
    mo.sidebar([*fields[0], length, *fields[1]], width="20rem")
    return (length,)


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    series = LiveChart(height=270, link="run")
    series_view = mo.ui.anywidget(series)
    _names = ("lattice", "stairs", "moves", DECODED, *LOOKS, PATH)
    live = {name: LiveChart(height=240, link="run", quiet=True) for name in _names}
    views = {name: mo.ui.anywidget(chart) for name, chart in live.items()}
    return live, series, series_view, views


@app.cell(hide_code=True)
def _(dataset, init, iterations, length, live, prior, seed, series, states, stationary):
    asked = classroom.ChainSettings(
        dataset=classroom.DATASETS[dataset.value],
        n_states=states.value,
        stationary=stationary.value,
        transition_prior=prior.value,
        init=init.value,
        seed=seed.value or 0,
        length=length.value,
        max_iter=iterations.value,
    )
    lesson = classroom.chain_lesson(asked)
    if lesson.fit is not None:
        _trace, _times, _names = lesson.trace, lesson.series.times, lesson.series.names
        _wide = {"width": "container"}
        series.draw(lattice_charts.series, _trace, times=_times, names=_names, height=180, **_wide)
        _filtered = {"filtered": lesson.filtered, "times": _times, "time_title": _names[0]}
        live["lattice"].draw(lattice_charts.lattice, _trace, **_filtered, height=135, **_wide)
        live["stairs"].draw(charts.staircase, _trace, height=180, **_wide)
        live["moves"].draw(chain_charts.transitions, _trace, height=135, **_wide)
    return asked, lesson


@app.cell(hide_code=True)
def _(views):
    closer_look = page.tabs({name: views[name] for name in (DECODED, *LOOKS, PATH)})
    return (closer_look,)


@app.cell(hide_code=True)
def _(closer_look, lesson, live):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.fit is not None:
        _trace, _size = lesson.trace, {"width": "container", "height": 300}
        for _name in page.opened(closer_look):
            if _name == DECODED:
                _seen = {"truth": lesson.truth, "time_title": lesson.series.names[0], "times": lesson.series.times}
                live[_name].draw(chain_charts.decoding, _trace, paths=lesson.paths, **_seen, **_size)
            elif _name == PATH:
                live[_name].draw(charts.parameter_path, _trace, field=lesson.emitted, **_size)
            else:
                live[_name].draw(LOOKS[_name], _trace, **_size)
    return


if __name__ == "__main__":
    app.run()
