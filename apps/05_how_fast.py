# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "5 · How fast, and have we arrived?"
# description = "EM's rate is the share of information that is missing; why a small gain is not nearness."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="How fast, and have we arrived?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore.charts import convergence as curves
    from emcore.charts.live import LiveChart
    from emcore.classroom import arrival, links, speed, speed_script
    from emcore.classroom import speed_class as classroom
    from emcore.classroom.page import Page
    from emcore.classroom.tables import markdown_table

    page = Page(mo)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # How fast, and have we arrived?

    Each iteration of EM leaves the same share of the error: the share of information that is missing with $z$
    (Dempster, Laird & Rubin 1977).
    """)
    return


@app.cell(hide_code=True)
def _(error_view, information_view, left_view):
    page.side_by_side([error_view], [left_view, information_view])
    return


@app.cell(hide_code=True)
def _(ran):
    mo.callout(ran.words, kind="info")
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        [
            "About 0.0001 of its limit.",
            "Nearer than that: gains shrink.",
            "It may be hundreds of steps away.",
        ],
        label="**Predict first:** an iteration gained less than 0.0001 nats. How near is EM to its limit?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    page.answer(guess, lambda: f"Take the death notices. {classroom.slow_in_words()}")
    return


@app.cell(hide_code=True)
def _(closer_look, tables):
    mo.vstack([closer_look, *tables])
    return


@app.cell(hide_code=True)
def _():
    answers = page.answer_fields(classroom.exercises())
    return (answers,)


@app.cell(hide_code=True)
def _(answers):
    page.exercises(page.marked(classroom.exercises(), answers))
    return


@app.cell(hide_code=True)
def _(digits, example, here, level, name, ran, separation, share):
    _restores = {
        "example": example.value,
        "share": share.value,
        "separation": separation.value,
        "digits": digits.value,
    }
    mo.vstack(
        [
            page.code(speed_script.script(name, level)),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                _restores,
                [page.csv(lambda: classroom.path_csv(ran), "em_run.csv", "EM's run")],
                "In fifty minutes: linkage first, and the rate from three iterates; censor more and more waiting times "
                "and watch slope and bar together; the death notices: predict, read the table of stopping rules at "
                "ε = 0.0001, and compare the standard errors with those had z been seen; end with the leaps of SQUAREM "
                "and why they need a guard.",
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

    example = _field("example", "example")
    share = _field("share", "share censored", debounce=True)
    separation = _field("separation", "separation, in standard deviations", debounce=True)
    digits = _field("digits", "ε = 10⁻ᵈ, digits d")
    fields = [mo.md("**The example**"), example]
    own_fields = {speed.CENSORED: [share], speed.NORMALS: [separation]}
    stopping = [
        mo.md("**When to stop**"),
        digits,
        mo.md("The diamonds on EM's line show where four rules would stop it at this ε."),
    ]
    return digits, example, fields, own_fields, separation, share, stopping


@app.cell(hide_code=True)
def _(example, fields, own_fields, stopping):
    mo.sidebar([*fields, *own_fields.get(speed.EXAMPLES[example.value], []), *stopping], width="20rem")
    return


@app.cell(hide_code=True)
def _(example, separation, share):
    name = speed.EXAMPLES[example.value]
    level = classroom.level(name, share.value, separation.value)
    ran = speed.race(name, level)
    return level, name, ran


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    errors = LiveChart(height=440, link="iteration")
    error_view = mo.ui.anywidget(errors)
    left = LiveChart(height=260, link="iteration", quiet=True)
    left_view = mo.ui.anywidget(left)
    shares = LiveChart(height=160)
    information_view = mo.ui.anywidget(shares)
    estimated = LiveChart(height=320, link="iteration", quiet=True)
    guarded = LiveChart(height=320)
    closer_look = page.tabs(
        {
            "Stopping rules": mo.md(arrival.COLUMNS),
            "The rate from three iterates": mo.ui.anywidget(estimated),
            "Standard errors": mo.md(classroom.ERRORS),
            "Why a guard?": mo.ui.anywidget(guarded),
        }
    )
    return closer_look, error_view, errors, estimated, guarded, information_view, left, left_view, shares


@app.cell(hide_code=True)
def _(digits, errors, ran):
    _ = errors.update(
        curves.error_curves(
            [curves.Line(run.scheme, run.evaluations, run.error) for run in ran.runs],
            [curves.Mark(*mark) for mark in arrival.marks(ran, classroom.tolerance(digits.value))],
            classroom.said_at(ran),
            near=classroom.near(ran),
            width="container",
            height=300,
        )
    )
    return


@app.cell(hide_code=True)
def _(left, ran, shares):
    _seen = arrival.watch(ran)
    _ = left.update(curves.predictions(_seen.true_left, _seen.gain, _seen.gain_left, width="container", height=170))
    _ = shares.update(curves.information(ran.rate.fractions, width="container", height=90))
    return


@app.cell(hide_code=True)
def _(closer_look, digits, estimated, guarded, level, name, ran):
    # Only the open tab is filled (all in an exported page).
    _size = {"width": "container", "height": 300}
    tables = []
    for _tab in page.opened(closer_look):
        match _tab:
            case "Stopping rules":
                tables += [page.of_tab(_tab, markdown_table(arrival.rows(ran, classroom.tolerance(digits.value))))]
            case "The rate from three iterates":
                _rates = arrival.watch(ran).rate
                estimated.update(curves.rates(_rates, ran.em.error, ran.rate.from_information, **_size))
            case "Standard errors":
                tables += [page.of_tab(_tab, markdown_table(classroom.errors_table(ran)))]
            case "Why a guard?":
                guarded.update(curves.guard(classroom.below(ran, speed.bare_squarem(name, level)), **_size))
    return (tables,)


if __name__ == "__main__":
    app.run()
