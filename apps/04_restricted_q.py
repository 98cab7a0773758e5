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
    from emcore.charts.factorised_chain import factorised_climb, factorised_marginals, gap_by_coupling
    from emcore.charts.live import LiveChart
    from emcore.charts.restricted import profile
    from emcore.classroom import factorised_chain as chain
    from emcore.classroom import kl_directions as directions
    from emcore.classroom import links, restricted_script
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
    page.answer(guess, classroom.reveal)
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.run is None)
    page.numbers(lesson.figures, lesson.worst_identity_error, len(lesson.trace))
    return


@app.cell(hide_code=True)
def _(closer_look):
    mo.vstack([closer_look])
    return


@app.cell(hide_code=True)
def _(rho, stay):
    mo.hstack([rho, stay], wrap=True, widths="equal")
    return


@app.cell(hide_code=True)
def _(closer_look, found):
    mo.stop(chain.TITLE not in page.opened(closer_look))
    mo.callout(chain.said(found), kind="info")
    return


@app.cell(hide_code=True)
def _():
    exercises = directions.exercises()
    _sign = mo.ui.dropdown(directions.SIGNS, label=exercises[0].question, full_width=True)
    _gap = mo.ui.number(step=0.001, label=exercises[1].question, full_width=True)
    answers = mo.ui.array([_sign, _gap])
    return answers, exercises


@app.cell(hide_code=True)
def _(answers, exercises, lesson):
    _fallen = lesson.has_fallen()
    _asked = mo.md("With the controls at the side, make log p(x) fall in the run while the ELBO rises.")
    _task = [_asked, mo.callout(_fallen.words, kind=_fallen.kind)]
    page.exercises(page.marked(exercises, answers), _task)
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
    A Q of independent steps is the naive mean field of Ghahramani & Jordan (1997).
    """)
        }
    )
    return


@app.cell(hide_code=True)
def _(chosen, here, lesson, rho, stay):
    _ran = lesson.run is not None
    _trace = [lambda: lesson.trace.to_frame().write_csv()] if _ran else []
    _shown = [page.every_half_step(lesson.trace), page.code(restricted_script.script(lesson))] if _ran else []
    _teacher = page.for_the_teacher(
        here,
        classroom.PRESETS,
        chosen | {"rho": rho.value, "stay": stay.value},
        [page.csv(text, "half_steps.csv", "half-steps") for text in _trace],
        "In twenty minutes: predict; start mean field at the maximum and step: the ELBO climbs, log p(x) falls; lower "
        "the noise and watch the ellipses thin and the arrow grow; then hard EM on the penguins, against the two best "
        "of three z; then the tab on KL's direction: what would the other direction have done? Last the hidden chain: "
        "when do neighbours that agree make Q surest, and most wrong?",
    )
    mo.vstack([*_shown, _teacher])
    return


@app.cell(hide_code=True)
def _():
    query = page.query()
    linked = links.read(query, classroom.CONTROLS)
    here = links.address(query)
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    example = page.control(classroom.CONTROLS["example"], linked["example"], "example")
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
    noise = page.control(classroom.CONTROLS["noise"], linked["noise"], "noise variance (two latents)")
    return (noise,)


@app.cell(hide_code=True)
def _(linked):
    beta = page.control(classroom.CONTROLS["beta"], linked["beta"], "β (tempered Q)")
    return (beta,)


@app.cell(hide_code=True)
def _(linked):
    _label = "ρ (KL's direction)"
    rho = mo.ui.slider(0, 0.98, 0.02, value=linked["rho"], label=_label, show_value=True, full_width=True)
    return (rho,)


@app.cell(hide_code=True)
def _(linked):
    stay = page.control(classroom.CONTROLS["stay"], linked["stay"], "z stays with probability (hidden chain)")
    return (stay,)


@app.cell(hide_code=True)
def _(beta, example, noise, q_family, start):
    _parts = [mo.md("**The model and the data**"), example, noise, mo.md("**The E-step**"), q_family, beta]
    mo.sidebar([*_parts, mo.md("**The start**"), start], width="20rem")
    return


@app.cell(hide_code=True)
def _(beta, example, noise, q_family, start):
    chosen = {"example": example.value, "q": q_family.value, "start": start.value}
    chosen |= {"noise": noise.value, "beta": beta.value}
    lesson = classroom.restricted_lesson(classroom.RestrictedSettings(**chosen))
    return chosen, lesson


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    bias = LiveChart(height=430, link="run")
    profile_view = mo.ui.anywidget(bias)
    stairs, against, closing, loose = (LiveChart(height=280, link="run", quiet=True) for _ in range(4))
    two_ways, left = LiveChart(height=340), LiveChart(height=160)
    marginals = LiveChart(height=330, link="chain")
    climb = LiveChart(height=160, link="chain", quiet=True)
    views = [mo.ui.anywidget(c) for c in (stairs, against, closing, loose, two_ways, marginals, climb, left)]
    return against, bias, climb, closing, left, loose, marginals, profile_view, stairs, two_ways, views


@app.cell(hide_code=True)
def _(views):
    closer_look = page.tabs(
        {
            directions.TITLE: views[4],
            chain.TITLE: page.side_by_side([views[5]], views[6:]),
            "KL on a log scale": views[2],
            "Which rows make the bound loose?": views[3],
        }
    )
    return (closer_look,)


@app.cell(hide_code=True)
def _(stay):
    found = chain.compare(stay.value)
    return (found,)


@app.cell(hide_code=True)
def _(climb, closer_look, found, left, marginals):
    if chain.TITLE in page.opened(closer_look):
        marginals.update(factorised_marginals(*found.marginals, width="container"))
        climb.update(factorised_climb(*found.climb, width="container"))
        left.update(gap_by_coupling(*found.coupling, width="container"))
    return


@app.cell(hide_code=True)
def _(against, bias, lesson, stairs):
    if lesson.run is not None:
        bias.update(profile(lesson.trace, **lesson.profile._asdict(), width="container", height=360))
        stairs.update(charts.staircase(lesson.trace, width="container", height=150))
        against.update(posterior_and_q(lesson.trace, width="container", height=150))
    return


@app.cell(hide_code=True)
def _(rho, two_ways):
    two_ways.update(kl_directions(**directions.drawn(rho.value), width="container", height=300))
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
