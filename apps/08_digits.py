# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "8 · What do ten hidden causes of digits look like?"
# description = "A Bernoulli mixture on handwritten digits, by half-steps: styles appear, not classes."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="What do ten hidden causes of digits look like?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore import charts
    from emcore.charts.confusion import confusion, starts
    from emcore.charts.images import loadings, prototypes
    from emcore.charts.live import LiveChart
    from emcore.classroom import digits as classroom
    from emcore.classroom import links


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # What do ten hidden causes of digits look like?

    1,797 images of 64 pixels, ink or none. One of $k$ hidden causes made each, and pixel $j$ then has ink with
    probability $p_{kj}$, whatever the others do. Nobody tells EM which digit is which.
    """)
    return


@app.cell(hide_code=True)
def _(causes_view, stairs_view):
    mo.Html(f"<div class='em-grid'><div>{causes_view}</div><div>{stairs_view}</div></div>")
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.callout(lesson.message, kind=lesson.kind)
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        [
            "One cause for each digit.",
            "Most digits have a cause, but some share one and some have two.",
            "The causes have nothing to do with digits.",
        ],
        label="**Predict first:** ten causes, ten digits. How will the causes and the digits go together?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess):
    reveal = mo.ui.switch(label="reveal the labels", disabled=guess.value is None)
    mo.hstack(
        [reveal, mo.md("Here are the digits that were written." if guess.value else "Say what you expect first.")],
        justify="start",
    )
    return (reveal,)


@app.cell(hide_code=True)
def _(agreed, confusion_view, guess, reveal, starts_view):
    mo.stop(agreed is None or not reveal.value)
    mo.vstack(
        [
            mo.md(
                f"You said: “{guess.value}” In this run, paired one to one, causes and digits agree on "
                f"**{agreed.accuracy[-1]:.1%}** of the images (framed cells). Named each by its commonest digit, the "
                f"causes are right on **{agreed.purity[-1]:.1%}**. They are styles that repeat, not classes: what a "
                "cluster means is decided afterwards, by us (Hennig 2015)."
            ),
            mo.Html(f"<div class='em-grid'><div>{confusion_view}</div><div>{starts_view}</div></div>"),
            mo.md(
                "On the right, this model from twelve starts. The likelihood rewards a good description of the "
                "pixels, and two styles of one digit may be worth more to it than telling 3 from 9."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(asked, lesson):
    mo.stop(lesson.fit is None)
    _last = lesson.trace[-1]
    mo.hstack(
        [
            mo.stat(f"{_last.log_likelihood:,.2f}", label="log p(x) at the end, nats", bordered=True),
            mo.stat(f"{_last.log_prior:,.2f}", label="log prior at the end, up to a constant", bordered=True),
            mo.stat(
                f"{classroom.blot(lesson, asked):,.2f}",
                label="cost of one blot in the corner, nats",
                caption="ink where no image has any"
                if asked.prior
                else "log 0 = −∞ in truth: the code stops at probability 1e-12",
                bordered=True,
            ),
            mo.stat(
                f"{lesson.worst_identity_error:.1e}",
                label="largest |log p(x) − ELBO − KL|",
                caption=f"over {len(lesson.trace)} half-steps",
                bordered=True,
            ),
        ],
        wrap=True,
        widths="equal",
    )
    return


@app.cell(hide_code=True)
def _():
    factor_model = mo.ui.dropdown(list(classroom.FACTOR_MODELS), value="PPCA", label="model", full_width=True)
    return (factor_model,)


@app.cell(hide_code=True)
def _():
    n_factors = mo.ui.slider(1, 15, value=9, label="factors", show_value=True, full_width=True)
    return (n_factors,)


@app.cell(hide_code=True)
def _(components, compare, factor_model, factors_view, n_factors):
    _words = mo.md(
        "A mixture says that each image has **one** cause. Factor analysis and PPCA say that all causes act at once, "
        "each as strongly as its own $z_j$: the loadings below are added, with any sign, to the mean image (Tipping & "
        "Bishop 1999). The factors' posterior is Gaussian and exact, and the half-steps are the same. Their images are "
        "not parts or styles: any rotation of the factors fits as well."
    )
    _lines = (
        [
            classroom.factor_row(factor_model.value, n_factors.value)._asdict(),
            classroom.round_mixture(components.value)._asdict(),
        ]
        if compare.value
        else []
    )
    _note = mo.md(
        "Both on the grey levels of the 61 pixels that vary. The Bernoulli mixture above cannot join in: it gives "
        "probabilities of black and white, these give densities of grey, and the two have different units."
    )
    mo.accordion(
        {
            "One cause, or many at once? Loadings instead of prototypes": mo.vstack(
                [
                    _words,
                    mo.hstack([factor_model, n_factors, compare], widths=[1, 1, 1], wrap=True),
                    factors_view,
                    *([mo.ui.table(_lines, selection=None), _note] if _lines else []),
                ]
            )
        }
    )
    return


@app.cell(hide_code=True)
def _():
    compare = mo.ui.switch(label="compare with a mixture of the same pixels")
    return (compare,)


@app.cell(hide_code=True)
def _(agreed):
    mo.stop(agreed is None)
    _exercise = classroom.merge_exercise(agreed.counts[-1])
    merge_answer = mo.ui.dropdown(classroom.pairs(), label=_exercise.question, full_width=True)
    return (merge_answer,)


@app.cell(hide_code=True)
def _():
    split_answer = mo.ui.dropdown(
        [str(digit) for digit in classroom.DIGITS],
        label="Find a digit that is split: two prototypes hold a fifth of its images each, or more.",
        full_width=True,
    )
    return (split_answer,)


@app.cell(hide_code=True)
def _():
    prior_answer = mo.ui.number(step=0.0001, label=classroom.PRIOR_EXERCISE.question, full_width=True)
    return (prior_answer,)


@app.cell(hide_code=True)
def _(agreed, merge_answer, prior_answer, split_answer):
    _final = agreed.counts[-1]
    _marked = [
        (merge_answer, classroom.merge_exercise(_final).mark(merge_answer.value)),
        (split_answer, classroom.mark_split(split_answer.value, _final)),
        (prior_answer, classroom.PRIOR_EXERCISE.mark(prior_answer.value)),
    ]
    _parts = [
        mo.vstack([_field, mo.callout(_verdict.words, kind=_verdict.kind)] if _verdict.words else [_field])
        for _field, _verdict in _marked
    ]
    mo.accordion({"Exercises": mo.vstack(_parts, gap=1)})
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.fit is None)
    mo.accordion({"Every half-step in numbers": mo.ui.table(lesson.trace.to_frame(), selection=None, page_size=12)})
    return


@app.cell(hide_code=True)
def _(asked, here, lesson):
    _now = links.link(here, classroom.as_link(asked))
    _presets = " · ".join(f"[{title}]({links.link(here, preset)})" for title, preset in classroom.PRESETS.items())
    _downloads = (
        [mo.download(lesson.trace.to_frame().write_csv().encode(), "half_steps.csv", label="half-steps (CSV)")]
        if lesson.fit is not None
        else []
    )
    mo.accordion(
        {
            "For the teacher": mo.vstack(
                [
                    mo.md(f"Start the class from: {_presets}"),
                    mo.md(f"[This link]({_now}) restores every control as it is now."),
                    mo.hstack(_downloads, justify="start"),
                    mo.md(
                        "In fifteen minutes: predict; press Play and watch ten blurs part into styles; name the "
                        "prototypes together, and look for the blurred one; reveal; ask which start of the twelve you "
                        "would publish. Then set the prior to 0 and read the cost of one blot. Data: Alpaydin & Kaynak "
                        "(1998), optical recognition of handwritten digits, CC BY 4.0."
                    ),
                ]
            )
        }
    )
    return


@app.cell(hide_code=True)
def _():
    query = mo.query_params()
    linked = links.read(query, classroom.CONTROLS)
    here = {"file": query["file"]} if "file" in query else {}
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    components = mo.ui.slider(2, 20, value=linked["k"], label="causes k", show_value=True, full_width=True)
    return (components,)


@app.cell(hide_code=True)
def _(linked):
    prior = mo.ui.slider(
        steps=list(classroom.CONTROLS["prior"].options),
        value=linked["prior"],
        label="prior a: pseudo-images with ink, and as many without",
        show_value=True,
        full_width=True,
    )
    return (prior,)


@app.cell(hide_code=True)
def _(linked):
    init = mo.ui.dropdown(
        list(classroom.CONTROLS["start"].options), value=linked["start"], label="start", full_width=True
    )
    return (init,)


@app.cell(hide_code=True)
def _(linked):
    seed = mo.ui.number(0, 9999, value=linked["seed"], label="seed", full_width=True)
    return (seed,)


@app.cell(hide_code=True)
def _(linked):
    threshold = mo.ui.slider(
        1, 16, value=linked["threshold"], label="a pixel is inked from, of 16", show_value=True, full_width=True
    )
    return (threshold,)


@app.cell(hide_code=True)
def _(components, init, prior, seed, threshold):
    mo.sidebar(
        [
            mo.md("**The model**"),
            components,
            prior,
            mo.md("**The start**"),
            init,
            seed,
            mo.md("**The data**"),
            threshold,
        ],
        width="20rem",
    )
    return


@app.cell(hide_code=True)
def _(components, init, prior, seed, threshold):
    asked = classroom.DigitsSettings(
        n_components=components.value,
        prior=prior.value,
        init=init.value,
        seed=seed.value or 0,
        threshold=threshold.value,
    )
    return (asked,)


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the pictures on the page stay.
    causes = LiveChart(height=360, link="run")
    stairs, who = (LiveChart(height=360, link="run", quiet=True) for _ in range(2))
    many = LiveChart(height=340)
    factors = LiveChart(height=340, link="factors")
    causes_view, stairs_view, confusion_view, starts_view, factors_view = (
        mo.ui.anywidget(chart) for chart in (causes, stairs, who, many, factors)
    )
    return causes, causes_view, confusion_view, factors, factors_view, many, stairs, stairs_view, starts_view, who


@app.cell(hide_code=True)
def _(asked):
    lesson = classroom.digits_lesson(asked)
    return (lesson,)


@app.cell(hide_code=True)
def _(lesson):
    agreed = classroom.agreement(lesson) if lesson.fit is not None else None
    return (agreed,)


@app.cell(hide_code=True)
def _(causes, lesson, reveal, stairs):
    if lesson.fit is not None:
        _labels = classroom.labels() if reveal.value else None
        causes.update(prototypes(lesson.trace, labels=_labels, width="container", height=280))
        stairs.update(charts.staircase(lesson.trace, width="container", height=250))
    return


@app.cell(hide_code=True)
def _(agreed, asked, lesson, many, reveal, who):
    if agreed is not None and reveal.value:
        who.update(
            confusion(
                lesson.trace, agreed.counts, agreed.matched, labels=classroom.DIGITS, width="container", height=330
            )
        )
        _found = classroom.many_starts(asked)
        if _found:
            many.update(starts(*zip(*_found, strict=True), width="container", height=300))
    return


@app.cell(hide_code=True)
def _(factor_model, factors, n_factors):
    _ = factors.update(
        loadings(
            classroom.factor_lesson(factor_model.value, n_factors.value).trace,
            pixels=classroom.inked_pixels(),
            width="container",
            height=300,
            half_step=-1,
        )
    )
    return


if __name__ == "__main__":
    app.run()
