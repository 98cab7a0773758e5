# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "2 · Who is responsible?"
# description = "A Gaussian mixture by half-steps: who claims each point, and where is the bound loose?"
#
# [tool.emcore.export]
# k = [2, 3, 4]
# covariance = ["full", "tied", "spherical"]
# start = ["random-rows", "k-means++"]
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Who is responsible?", css_file="classroom.css")

with app.setup:
    from dataclasses import replace

    import marimo as mo

    from emcore import charts
    from emcore.charts.live import LiveChart
    from emcore.classroom import links
    from emcore.classroom import mixture as classroom
    from emcore.classroom.page import Page

    page = Page(mo)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # Who is responsible?

    Each point came from one of $k$ Gaussians; which one is hidden: $z^{(i)}$. The **E-step** sets $Q_i(z)$ to the
    responsibilities $p(z \mid x^{(i)}; \theta)$; the **M-step** refits each Gaussian to what it is responsible for.
    """)
    return


@app.cell(hide_code=True)
def _(claims_view, views):
    page.side_by_side([claims_view], views[:2])
    return


@app.cell(hide_code=True)
def _(lesson, moved):
    _start = " The start is yours: you moved a mean." if moved else ""
    mo.callout(lesson.message + _start, kind=lesson.kind)
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        ["It is 0 and stays 0.", "It is 0 after each E-step, and opens at each M-step.", "It grows step by step."],
        label="**Predict first:** how wide is the gap, log p(x) − ELBO, as the soft algorithm runs?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess, lesson):
    mo.stop(lesson.fit is None)
    _last = lesson.trace[-1]
    _numbers = page.numbers(
        [
            (f"{_last.log_likelihood:,.4f}", "log p(x) at the end, nats"),
            (f"{_last.elbo:,.4f}", "ELBO at the end"),
            (f"{_last.kl:.3g}", "KL(Q ‖ posterior) at the end"),
        ],
        lesson.worst_identity_error,
        len(lesson.trace),
    )
    _answer = page.answer(guess, lambda: lesson.opening)
    _numbers if _answer is None else mo.vstack([_answer, _numbers])
    return


@app.cell(hide_code=True)
def _(closer_look):
    mo.vstack([closer_look])
    return


@app.cell(hide_code=True)
def _():
    answers = page.answer_fields(classroom.EXERCISES)
    return (answers,)


@app.cell(hide_code=True)
def _(answers):
    page.exercises(page.marked(classroom.EXERCISES, answers))
    return


@app.cell(hide_code=True)
def _(here, lesson, restores, settings):
    _ran = lesson.fit is not None
    mo.vstack(
        [
            *([page.every_half_step(lesson.trace), page.code(classroom.script(settings))] if _ran else []),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                restores,
                [
                    page.csv(lambda: lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
                    page.csv(lambda: classroom.rows_csv(lesson, settings), "rows.csv", "rows and responsibilities"),
                ]
                if _ran
                else [],
                "In fifteen minutes: predict the gap; step through two iterations and read the bars; find the points "
                "between the clusters in “Which points make the bound loose?”; drag two means together and see how "
                "long EM takes to part them; switch to the hard E-step.",
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
    # All in one cell, and the lists of them not by name: to show them again is not to run again when one moves.
    _field = page.fields(classroom.CONTROLS, linked)

    components = _field("k", "components k")
    covariance = _field("covariance", "covariance")
    prior = _field("prior", "prior strength")
    init = _field("start", "start")
    seed = _field("seed", "seed", page.number)
    put_back = mo.ui.button(label="put the means back", value=0, on_click=lambda presses: presses + 1)
    hard = _field("hard", "hard E-step: all of Q on the best")
    iterations = _field("iterations", "iterations at most", page.chosen)
    dataset = _field("data", "data")
    fields = [
        mo.md("**The model**"),
        *(components, covariance, prior),
        mo.md("**The start**"),
        *(init, seed),
        mo.md("Drag the numbered means in the plot: by mouse or finger, or with Tab and the arrow keys."),
        put_back,
        mo.md("**The algorithm**"),
        *(hard, iterations),
        mo.md("**The data**"),
        dataset,
    ]
    return components, covariance, dataset, fields, hard, init, iterations, prior, put_back, seed


@app.cell(hide_code=True)
def _(dataset):
    _names = classroom.numeric_columns(classroom.DATASETS[dataset.value])
    across = mo.ui.dropdown(_names, value=_names[0], label="across", full_width=True)
    up = mo.ui.dropdown(_names, value=_names[1] if len(_names) == 2 else _names[2], label="up", full_width=True)
    return across, up


@app.cell(hide_code=True)
def _(across, fields, up):
    mo.sidebar([*fields, across, up], width="20rem")
    return


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    claims = LiveChart(height=430, link="run", handle_label="initial mean")
    claims_view = mo.ui.anywidget(claims)
    stairs, ledger, loose, shares, closing, paths, height_map = (
        LiveChart(height=300, link="run", quiet=True) for _ in range(7)
    )
    views = [mo.ui.anywidget(chart) for chart in (stairs, ledger, loose, shares, closing, paths, height_map)]
    return claims, claims_view, closing, height_map, ledger, loose, paths, shares, stairs, views


@app.cell(hide_code=True)
def _(across, claims, components, covariance, dataset, hard, init, iterations, linked, prior, put_back, seed, up):
    asked = classroom.MixtureSettings(
        dataset=classroom.DATASETS[dataset.value],
        columns=(across.value, up.value),
        n_components=components.value,
        covariance=covariance.value,
        init=init.value,
        seed=seed.value or 0,
        prior_strength=prior.value,
        hard=hard.value,
        max_iter=iterations.value,
    )
    # A new start puts the handles where it puts the means; so does the button. A link may place them elsewhere.
    placed = classroom.seeded_means(asked)
    _from_link = put_back.value == 0 and len(linked["means"]) == len(placed)
    claims.place(linked["means"] if _from_link else placed)
    return asked, placed


@app.cell(hide_code=True)
def _(asked, claims, claims_view, ledger, placed, stairs):
    _ = claims_view.value
    where = tuple(map(tuple, claims.handles))
    moved = where != placed
    settings = replace(asked, init=classroom.BY_HAND, means=where) if moved else asked
    lesson = classroom.mixture_lesson(settings)
    restores = classroom.as_link(asked, where if moved else ())
    if lesson.fit is not None:
        claims.draw(charts.responsibilities, lesson.trace, names=settings.columns, width="container", height=370)
        stairs.draw(charts.staircase, lesson.trace, width="container", height=250)
        ledger.draw(charts.gap_bars, lesson.trace, width="container")
    return lesson, moved, restores, settings


@app.cell(hide_code=True)
def _(views):
    closer_look = page.tabs(
        dict(
            zip(
                (
                    "Which points make the bound loose?",
                    "All responsibilities",
                    "KL on a log scale",
                    "Path of the means",
                    "Density",
                ),
                views[2:],
                strict=True,
            )
        )
    )
    return (closer_look,)


@app.cell(hide_code=True)
def _(closer_look, closing, height_map, lesson, loose, paths, settings, shares):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.fit is not None:
        _trace, _plane = lesson.trace, {"names": settings.columns}
        _size = {"width": "container", "height": 300}
        for _tab in page.opened(closer_look):
            match _tab:
                case "Which points make the bound loose?":
                    loose.draw(charts.gap_rows, _trace, **_size)
                case "All responsibilities":
                    shares.draw(charts.strip, _trace, **_size)
                case "KL on a log scale":
                    closing.draw(charts.kl_curve, _trace, **_size)
                case "Path of the means":
                    paths.draw(charts.parameter_path, _trace, **_plane, **_size)
                case "Density":
                    height_map.draw(charts.density, _trace, **_plane, **_size)
    return


if __name__ == "__main__":
    app.run()
