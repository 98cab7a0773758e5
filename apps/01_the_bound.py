# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "1 · Why does pushing up a bound push up the likelihood?"
# description = "The E-step makes the bound touch, the M-step climbs it, and what opens is extra gain."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="full", app_title="Why does pushing up a bound push up the likelihood?", css_file="classroom.css"
)

with app.setup:
    import marimo as mo

    from emcore import charts
    from emcore.charts.bound import bound_curve
    from emcore.charts.forms import elbo_forms, log_ratio
    from emcore.charts.live import LiveChart
    from emcore.classroom import bound as classroom
    from emcore.classroom import bound_script, links
    from emcore.classroom.page import Page

    page = Page(mo)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # Why does pushing up a bound push up the likelihood?

    For any $Q$, $\log p(x;\theta) = \mathrm{ELBO}(Q,\theta) + \mathrm{KL}(Q \,\|\, p(z \mid x;\theta))$. The **E-step**
    makes the bound touch at $\theta_t$; the **M-step** goes to its top. Step through it.
    """)
    return


@app.cell(hide_code=True)
def _(curve_view, views):
    page.side_by_side([curve_view], views[:2])
    return


@app.cell(hide_code=True)
def _(amount, curve, example, forms, other, ratio, row, theta):
    chosen = {
        "example": example.value,
        "theta": theta.value,
        "q": other.value,
        "amount": amount.value,
        "row": classroom.row_number(row.value, example.value),
    }
    lesson = classroom.bound_lesson(classroom.BoundSettings(**chosen))
    if lesson.run is not None:
        _trace, _along = lesson.trace, {"slices": lesson.slices, "theta": lesson.theta}
        curve.draw(bound_curve, _trace, **_along, width="container", height=290)
        forms.draw(elbo_forms, _trace, width="container", height=200)
        ratio.draw(log_ratio, _trace, **lesson.ratios._asdict(), width="container", height=150)
    mo.callout(lesson.message, kind=lesson.kind)
    return chosen, lesson


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        ["By less than the ELBO does.", "By exactly as much.", "By more."],
        label="**Predict first:** an exact E-step, then an M-step. The ELBO rises; by how much does log p(x) rise?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    page.answer(guess, classroom.reveal)
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.run is None)
    _last = lesson.trace[-1]
    page.numbers(
        [
            (f"{lesson.slices[-1].at:.7f}", "θ at the end"),
            (f"{_last.log_likelihood:,.4f}", "log p(x) at the end, nats"),
            (f"{lesson.trace[1].kl:.3g}", "gap that the first M-step opens"),
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
    **The curves.** $\log p(x;\theta)$ (solid) and $\mathrm{ELBO}(Q,\theta)$ (dashed) for the $Q$ of this half-step.
    Where $Q$ is the posterior the two touch, with the same slope, and the bound is nowhere above (Neal & Hinton 1998).

    **The three forms.** $\mathbb{E}_Q\log p(x,z) + H(Q)$; $\mathbb{E}_Q\log p(x \mid z)$ less the *rate*
    $\mathrm{KL}(Q\,\|\,p(z))$; $\log p(x)$ less the *gap* $\mathrm{KL}(Q\,\|\,p(z\mid x))$. The rate is not zero at a
    useful solution; the gap is what EM closes (Hoffman & Johnson 2016 tell the two apart). In the linkage data $z$
    determines $x$, so $\mathbb{E}_Q\log p(x\mid z)$ is the multinomial coefficient alone.

    **Flat is tight.** $\log p(x) = \log \mathbb{E}_Q[p(x,z)/Q(z)] \ge \mathbb{E}_Q\log [p(x,z)/Q(z)]$ is Jensen's
    inequality: equality if and only if $p(x,z)/Q(z)$ is the same for every $z$, that is, if $Q$ is the posterior.
    """)
        }
    )
    return


@app.cell(hide_code=True)
def _():
    exercises = classroom.exercises()
    answers = mo.ui.array(
        [
            mo.ui.number(step=0.001, label=exercises[0].question, full_width=True),
            mo.ui.number(step=0.001, label=exercises[1].question, full_width=True),
            mo.ui.dropdown(classroom.CHOICES, label=exercises[2].question, full_width=True),
        ]
    )
    return answers, exercises


@app.cell(hide_code=True)
def _(answers, exercises):
    page.exercises(page.marked(exercises, answers))
    return


@app.cell(hide_code=True)
def _(chosen, here, lesson):
    _ran = lesson.run is not None
    mo.vstack(
        [
            *([page.every_half_step(lesson.trace), page.code(bound_script.script(lesson))] if _ran else []),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                chosen,
                [page.csv(*table) for table in classroom.downloads(lesson)] if _ran else [],
                "In fifteen minutes: predict; step E, M, E on the linkage data and read the numbers over the curves; "
                "move θ; pull Q away from the posterior and see the bound sink and its top move; then one row of the "
                "coins on the wrong coin: only that row is not flat, and it owns the gap.",
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
    def _slider(name, low, high, step, label):
        return mo.ui.slider(low, high, step, value=linked[name], label=label, show_value=True, full_width=True)

    _field = page.fields(classroom.CONTROLS, linked)

    example, theta = _field("example", "example"), _slider("theta", 0.02, 0.98, 0.01, "start θ")
    amount, other = _slider("amount", 0, 1, 0.05, "away from the posterior"), _field("q", "towards")
    fields = [
        mo.md("**The data and the start**"),
        *(example, theta),
        mo.md("**Your own Q in the first E-step**"),
        *(amount, other),
    ]
    below = mo.md("At 0 the first E-step is exact, and this is EM. Later E-steps are exact in any case.")
    return amount, below, example, fields, other, theta


@app.cell(hide_code=True)
def _(example, linked):
    _names, _first = classroom.row_names(example.value), classroom.row_name(linked["row"], example.value)
    row = mo.ui.dropdown(_names, value=_first, label="Q of which row", full_width=True)
    row_fields = [row]
    return row, row_fields


@app.cell(hide_code=True)
def _(below, fields, row_fields):
    mo.sidebar([*fields, *row_fields, below], width="20rem")
    return


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    curve = LiveChart(height=360, link="run")
    curve_view = mo.ui.anywidget(curve)
    forms, ratio, stairs, closing = (LiveChart(height=280, link="run", quiet=True) for _ in range(4))
    views = [mo.ui.anywidget(chart) for chart in (forms, ratio, stairs, closing)]
    return closing, curve, curve_view, forms, ratio, stairs, views


@app.cell(hide_code=True)
def _(views):
    closer_look = page.tabs({"Staircase": views[2], "KL on a log scale": views[3]})
    return (closer_look,)


@app.cell(hide_code=True)
def _(closer_look, closing, lesson, stairs):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.run is not None:
        for _tab in page.opened(closer_look):
            match _tab:
                case "Staircase":
                    stairs.draw(charts.staircase, lesson.trace, width="container", height=260)
                case "KL on a log scale":
                    closing.draw(charts.kl_curve, lesson.trace, width="container", height=260)
    return


if __name__ == "__main__":
    app.run()
