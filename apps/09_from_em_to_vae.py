# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "9 · How does EM become a VAE?"
# description = "From PPCA by EM to a curve with an encoder: what its family costs, what sharing costs, and collapse."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="How does EM become a VAE?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore import charts
    from emcore.charts.encoders import collapse, gap_in_two, rate_and_distortion
    from emcore.charts.latent import decoder_curve, one_row
    from emcore.charts.latent_map import latent_map, reconstructions
    from emcore.charts.live import LiveChart
    from emcore.classroom import links
    from emcore.classroom import vae as classroom
    from emcore.classroom import vae_exercises as asking
    from emcore.classroom import vae_tables as tables
    from emcore.classroom.page import Page
    from emcore.classroom.vae_script import script

    page = Page(mo)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # How does EM become a VAE?

    A decoder turns a hidden $z$ into $x = f(z) + \text{noise}$. EM's $Q$ is the posterior; a VAE's $Q$ is a Gaussian
    whose mean and width an **encoder** reads off $x$: an E-step that all rows share.
    """)
    return


@app.cell(hide_code=True)
def _(curve_view, views):
    page.side_by_side([curve_view], views[:2])
    return


@app.cell(hide_code=True)
def _(dataset, told):
    mo.stop(classroom.n_latents(dataset.value) != 2)
    mo.hstack([told])
    return


@app.cell(hide_code=True)
def _(beta, dataset, decoder, e_step, encoder_steps, encoder_width, noise, seed, stairs, two_parts):
    asked = classroom.VaeSettings(
        data=dataset.value,
        decoder=decoder.value,
        e=e_step.value,
        width=encoder_width.value,
        steps=encoder_steps.value,
        beta=beta.value,
        noise=noise.value,
        seed=seed.value or 0,
    )
    with mo.status.spinner("Fitting: a new setting takes seconds, then it is remembered …", remove_on_exit=True):
        lesson = classroom.vae_lesson(asked)
    if lesson.run is not None:
        stairs.draw(charts.staircase, lesson.trace, with_prior=False, width="container", height=150)
        two_parts.draw(gap_in_two, lesson.trace, **lesson.parts._asdict(), width="container", height=120)
    mo.callout(lesson.message, kind=lesson.kind)
    return asked, lesson


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        list(asking.GUESSES),
        label="**Predict first:** at the same θ, whose ELBO is higher: the encoder's, or that of a Gaussian for each "
        "row?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    page.answer(guess, asking.reveal)
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.run is None)
    _last = lesson.trace[-1]
    page.numbers(
        [
            (f"{_last.log_likelihood:,.3f}", "log p(x) at the end, nats"),
            (f"{_last.elbo:,.3f}", "ELBO at the end"),
            (classroom.nats(lesson.family), "family gap"),
            (classroom.nats(lesson.amortisation), "amortisation gap"),
        ],
        lesson.worst_identity_error,
        len(lesson.trace),
    )
    return


@app.cell(hide_code=True)
def _(closer_look, dataset, which_row):
    mo.vstack([closer_look] if classroom.n_latents(dataset.value) == 2 else [closer_look, which_row])
    return


@app.cell(hide_code=True)
def _():
    exercises = asking.exercises()
    answers = page.answer_fields(exercises)
    return answers, exercises


@app.cell(hide_code=True)
def _(answers, exercises, lesson):
    _task = [
        mo.md("With the controls at the side, make sharing the encoder cost less than the Gaussian family does."),
        mo.callout(lesson.encoder_is_good().words, kind=lesson.encoder_is_good().kind),
    ]
    page.exercises(page.marked(exercises, answers), _task)
    return


@app.cell(hide_code=True)
def _():
    mo.accordion(
        {
            "What is written about this": mo.md(r"""
    A variational autoencoder climbs $\mathbb{E}_Q[\log p(x\mid z)] - \mathrm{KL}(Q\,\|\,p(z))$ in the weights of
    decoder and encoder together, by gradients through $z = m(x) + s(x)\,\varepsilon$ (Kingma & Welling 2014). Here
    the two take turns, so that each half of a step can be seen, and $\varepsilon$ runs over the nodes of a quadrature
    rule, so that a run repeats exactly. With a line for a decoder the optimum is that of probabilistic PCA (Tipping &
    Bishop 1999), with no gap, and a latent collapses where the noise exceeds its eigenvalue (Lucas et al. 2019). The
    gap is what the family lacks and what sharing costs (Cremer, Li & Duvenaud 2018). $\beta$ weighs the rate (Higgins
    et al. 2017): the E-step then climbs another objective, and the ELBO may fall. Without an encoder the curve is
    fitted by EM on a grid over $z$, as in the generative topographic mapping (Bishop, Svensén & Williams 1998). A
    weak prior holds the decoder's weights; it is left out of the pictures.
    """)
        }
    )
    return


@app.cell(hide_code=True)
def _(asked, here, lesson):
    _ran = lesson.run is not None
    mo.vstack(
        [
            *([page.every_half_step(lesson.trace), page.code(script(asked))] if _ran else []),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                asking.as_link(asked),
                [page.csv(*table) for table in tables.downloads(lesson)] if _ran else [],
                tables.PLAN,
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
    # Every value of these is a fit of its own: sliders wait for their release.
    _of = classroom.CONTROLS
    e_step = mo.ui.radio(list(_of["e"].options), value=linked["e"], label="E-step")
    decoder = mo.ui.radio(list(_of["decoder"].options), value=linked["decoder"], label="decoder f")
    encoder_width = page.control(_of["width"], linked["width"], "encoder: tanh units", debounce=True)
    encoder_steps = page.control(_of["steps"], linked["steps"], "encoder: ascent steps per E-step", debounce=True)
    beta = page.control(_of["beta"], linked["beta"], "β, weight of the rate", debounce=True)
    noise = page.control(_of["noise"], linked["noise"], "noise variance, held", debounce=True)
    dataset = page.control(_of["data"], linked["data"], "data")
    seed = page.number(_of["seed"], linked["seed"], "seed")
    _step, _model, _data = (mo.md(f"**The {part}**") for part in ("E-step", "model", "data"))
    _run = [_step, e_step, encoder_width, encoder_steps, beta]
    fields = [*_run, _model, decoder, noise, _data, dataset, seed]  # not by name: see app 2
    return beta, dataset, decoder, e_step, encoder_steps, encoder_width, fields, noise, seed


@app.cell(hide_code=True)
def _(fields):
    mo.sidebar(fields, width="20rem")
    return


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    curve = LiveChart(height=430, link="run")
    curve_view = mo.ui.anywidget(curve)
    stairs, two_parts, densities, trade, loose = (LiveChart(height=220, link="run", quiet=True) for _ in range(5))
    silent = LiveChart(height=300)
    views = [mo.ui.anywidget(chart) for chart in (stairs, two_parts, densities, trade, silent, loose)]
    return curve, curve_view, densities, loose, silent, stairs, trade, two_parts, views


@app.cell(hide_code=True)
def _():
    which_row = mo.ui.radio(
        list(classroom.ROWS), value=classroom.ROWS[0], label="Q beside the posterior of", inline=True
    )
    told = mo.ui.switch(page.without_python, label="tell the digits apart: the fit never saw which is which")
    return told, which_row


@app.cell(hide_code=True)
def _(dataset, views):
    closer_look = page.tabs(dict(zip(classroom.tabs(dataset.value), views[2:], strict=True)))
    return (closer_look,)


@app.cell(hide_code=True)
def _(closer_look, curve, densities, lesson, loose, silent, told, trade, which_row):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.run is not None:
        _trace, _size = lesson.trace, {"width": "container", "height": 280}
        if lesson.two_latents:
            _known = {"labels": lesson.labels, "told": told.value}
            curve.draw(latent_map, _trace, **_known, width="container", height=370)
        else:
            curve.draw(decoder_curve, _trace, names=classroom.NAMES, width="container", height=370)
        for _tab in page.opened(closer_look):
            match _tab:
                case classroom.ONE_ROW if not lesson.two_latents:
                    _shown = lesson.densities(which_row.value)
                    densities.draw(one_row, _trace, **_shown._asdict(), **_size)
                case classroom.REMADE if lesson.two_latents:
                    densities.update(reconstructions(_trace, *lesson.remade(), **_size))
                case classroom.TRADE:
                    _told = {"rates": lesson.rates, "distortions": lesson.distortions}
                    trade.draw(rate_and_distortion, _trace, **_told, **_size)
                case classroom.COLLAPSE:
                    silent.update(collapse(**tables.collapse_curve(lesson)._asdict(), **_size))
                case classroom.LOOSE:
                    loose.draw(charts.gap_rows, _trace, **_size)
    return


if __name__ == "__main__":
    app.run()
