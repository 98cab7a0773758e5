# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "4 · What if Q is not allowed to be the posterior?"
# description = "Hard, sparse, tempered, mean-field: the bound still rises, and leads away from maximum likelihood."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="What if Q is not allowed to be the posterior?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore import charts
    from emcore.charts.contours import kl_directions, posterior_and_q
    from emcore.charts.live import LiveChart
    from emcore.charts.restricted import profile
    from emcore.classroom import kl_directions as directions
    from emcore.classroom import links
    from emcore.classroom import restricted as classroom
    from emcore.classroom.page import Page

    page = Page(mo)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # What if Q is not allowed to be the posterior?

    Keep $Q$ in a family that lacks $p(z \mid x;\theta)$. The ELBO stays a bound, but never touches, and its highest
    point need not be where $\log p(x;\theta)$ is highest.
    """)
    return


@app.cell(hide_code=True)
def _(profile_view, views):
    page.side_by_side([profile_view], views[:2])
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.callout(lesson.message, kind=lesson.kind)
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        ["It stays: nothing is higher.", "It moves, and log p(x) falls.", "It moves, and log p(x) rises."],
        label="**Predict first:** mean-field EM starts at the very maximum of log p(x). What does it do?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    mo.stop(guess.value is None)
    mo.md(f"You said: “{guess.value}” {classroom.reveal()}")
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.run is None)
    _last = lesson.trace[-1]
    page.numbers(
        [
            (f"{_last.log_likelihood:,.3f}", "log p(x) at the end of the run, nats"),
            (f"{_last.elbo:,.3f}", "ELBO at the end of the run"),
            (f"{_last.kl:.3g}", "gap at the end of the run"),
            (f"{lesson.loss:.3g}", "log p(x) lost to the bias"),
        ],
        lesson.worst_identity_error,
        len(lesson.trace),
    )
    return


@app.cell(hide_code=True)
def _(closer_look, rho):
    mo.vstack([closer_look, rho])
    return


@app.cell(hide_code=True)
def _():
    exercises = directions.exercises()
    answers = mo.ui.array(
        [
            mo.ui.dropdown(directions.SIGNS, label=exercises[0].question, full_width=True),
            mo.ui.number(step=0.001, label=exercises[1].question, full_width=True),
        ]
    )
    return answers, exercises


@app.cell(hide_code=True)
def _(answers, exercises, lesson):
    _verdicts = [asked.mark(given) for asked, given in zip(exercises, answers.value, strict=True)]
    _fallen = lesson.has_fallen()
    _task = [
        mo.md("With the controls at the side, make log p(x) fall in the run while the ELBO rises."),
        mo.callout(_fallen.words, kind=_fallen.kind),
    ]
    page.exercises(zip(answers, _verdicts, strict=True), _task)
    return


@app.cell(hide_code=True)
def _():
    mo.accordion(
        {
            "What is written about this": mo.md(r"""
    A restricted E-step still climbs the ELBO, $\log p(x) - \mathrm{KL}(Q\,\|\,p(z\mid x))$ (Neal & Hinton 1998), but
    the log-likelihood may fall (Gunawardana & Byrne 2005). The maximum of the ELBO leans to parameters at which the
    family fits the posterior well (Turner & Sahani 2011). Hard EM is classification EM (Celeux & Govaert 1992), and
    tempering is deterministic annealing (Ueda & Nakano 1998). $\mathrm{KL}(Q\,\|\,p)$ makes $Q$ avoid what $p$
    excludes, $\mathrm{KL}(p\,\|\,Q)$ makes it cover all that $p$ allows (Minka 2005; Bishop 2006, section 10.1.2).
    """)
        }
    )
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.run is None)
    page.every_half_step(lesson.trace)
    return


@app.cell(hide_code=True)
def _(chosen, here, lesson, rho):
    _downloads = (
        [page.csv(lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps")]
        if lesson.run is not None
        else []
    )
    page.for_the_teacher(
        here,
        classroom.PRESETS,
        chosen | {"rho": rho.value},
        _downloads,
        "In twenty minutes: predict; start mean field at the maximum and step: the ELBO climbs, log p(x) falls; lower "
        "the noise and watch the ellipses thin and the arrow grow; then hard EM on the penguins, against the two best "
        "of three z; then the tab on KL's direction: what would the other direction have done?",
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
    example = mo.ui.dropdown(
        list(classroom.CONTROLS["example"].options), value=linked["example"], label="example", full_width=True
    )
    return (example,)


@app.cell(hide_code=True)
def _(example, linked):
    q_family = mo.ui.dropdown(
        classroom.families(example.value),
        value=classroom.family(linked["q"], example.value),
        label="Q may be",
        full_width=True,
    )
    return (q_family,)


@app.cell(hide_code=True)
def _(linked):
    start = mo.ui.radio(list(classroom.CONTROLS["start"].options), value=linked["start"], label="EM starts at")
    return (start,)


@app.cell(hide_code=True)
def _(linked):
    noise = mo.ui.slider(
        steps=list(classroom.CONTROLS["noise"].options),
        value=linked["noise"],
        label="noise variance (two latents)",
        show_value=True,
        full_width=True,
    )
    return (noise,)


@app.cell(hide_code=True)
def _(linked):
    beta = mo.ui.slider(
        steps=list(classroom.CONTROLS["beta"].options),
        value=linked["beta"],
        label="β (tempered Q)",
        show_value=True,
        full_width=True,
    )
    return (beta,)


@app.cell(hide_code=True)
def _(linked):
    rho = mo.ui.slider(
        0.0, 0.98, 0.02, value=linked["rho"], label="correlation ρ (KL's direction)", show_value=True, full_width=True
    )
    return (rho,)


@app.cell(hide_code=True)
def _(beta, example, noise, q_family, start):
    mo.sidebar(
        [
            mo.md("**The model and the data**"),
            example,
            noise,
            mo.md("**The E-step**"),
            q_family,
            beta,
            mo.md("**The start**"),
            start,
        ],
        width="20rem",
    )
    return


@app.cell(hide_code=True)
def _(beta, example, noise, q_family, start):
    chosen = {
        "example": example.value,
        "q": q_family.value,
        "start": start.value,
        "noise": noise.value,
        "beta": beta.value,
    }
    lesson = classroom.restricted_lesson(classroom.RestrictedSettings(**chosen))
    return chosen, lesson


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    bias = LiveChart(height=430, link="run")
    profile_view = mo.ui.anywidget(bias)
    stairs, against, closing, loose = (LiveChart(height=280, link="run", quiet=True) for _ in range(4))
    two_ways = LiveChart(height=340)
    views = [mo.ui.anywidget(chart) for chart in (stairs, against, closing, loose, two_ways)]
    return against, bias, closing, loose, profile_view, stairs, two_ways, views


@app.cell(hide_code=True)
def _(views):
    closer_look = page.tabs(
        dict(
            zip(
                ("KL's direction", "KL on a log scale", "Which rows make the bound loose?"),
                (views[4], views[2], views[3]),
                strict=True,
            )
        )
    )
    return (closer_look,)


@app.cell(hide_code=True)
def _(against, bias, lesson, stairs):
    if lesson.run is not None:
        bias.update(profile(lesson.trace, **lesson.profile._asdict(), width="container", height=360))
        stairs.update(charts.staircase(lesson.trace, width="container", height=150))
        against.update(posterior_and_q(lesson.trace, width="container", height=150))
    return


@app.cell(hide_code=True)
def _(rho, two_ways):
    _found = directions.directions(rho.value)
    two_ways.update(
        kl_directions(
            _found.covariance, _found.narrow, _found.wide, words=directions.said(_found), width="container", height=300
        )
    )
    return


@app.cell(hide_code=True)
def _(closer_look, closing, lesson, loose):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.run is not None:
        for _tab in page.opened(closer_look):
            match _tab:
                case "KL on a log scale":
                    closing.update(charts.kl_curve(lesson.trace, width="container", height=280))
                case "Which rows make the bound loose?":
                    loose.update(charts.gap_rows(lesson.trace, width="container", height=300))
    return


if __name__ == "__main__":
    app.run()
