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
    from emcore.classroom import digits_exercises as exercises
    from emcore.classroom import digits_factors as factors
    from emcore.classroom import links
    from emcore.classroom.page import Page

    page = Page(mo)
    LOOKS = {
        "KL on a log scale": charts.kl_curve,
        "Which images make the bound loose?": charts.gap_rows,
        "All responsibilities": charts.strip,
    }
    REVEALED = ("Causes against digits", "Twelve starts")


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # What do ten hidden causes of digits look like?

    1,797 images of 64 pixels, ink or none. One of $k$ hidden causes made each, and pixel $j$ then has ink with
    probability $p_{kj}$, whatever the others do. Nobody tells EM which digit is which.
    """)
    return


@app.cell(hide_code=True)
def _(causes_view, views):
    page.side_by_side([causes_view], [views["stairs"]])
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
def _(guess, linked):
    _told = linked["reveal"]
    reveal = mo.ui.switch(_told, label="reveal the labels", disabled=guess.value is None and not _told)
    _said = "Here are the digits that were written." if guess.value or _told else "Say what you expect first."
    mo.hstack([reveal, mo.md(_said)], justify="start")
    return (reveal,)


@app.cell(hide_code=True)
def _(agreed, guess, reveal, revealed):
    mo.stop(agreed is None)
    page.answer(guess, lambda: mo.vstack([mo.md(classroom.reveal(agreed)), revealed]), ready=reveal.value)
    return


@app.cell(hide_code=True)
def _(asked, lesson):
    mo.stop(lesson.fit is None)
    _last = lesson.trace[-1]
    page.numbers(
        [
            (f"{_last.log_likelihood:,.2f}", "log p(x) at the end, nats"),
            (f"{_last.log_prior:,.2f}", "log prior at the end, up to a constant"),
            (f"{classroom.blot(lesson, asked):,.2f}", classroom.blot_words(asked)),
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
    factor_model = mo.ui.dropdown(list(factors.FACTOR_MODELS), value="PPCA", label="model", full_width=True)
    return (factor_model,)


@app.cell(hide_code=True)
def _():
    n_factors = mo.ui.slider(1, 15, value=9, label="factors", show_value=True, full_width=True, debounce=True)
    return (n_factors,)


@app.cell(hide_code=True)
def _():
    compare = mo.ui.switch(page.without_python, label="compare with a mixture of the same pixels")
    return (compare,)


@app.cell(hide_code=True)
def _(compare, components, factor_model, n_factors, views):
    _line = (factor_model.value, n_factors.value, components.value)
    mo.accordion(
        {
            "One cause, or many at once? Loadings instead of prototypes": mo.vstack(
                [
                    mo.md(factors.WORDS),
                    page.side_by_side([factor_model], [n_factors], [compare]),
                    views["factors"],
                    mo.md(factors.compared(*_line) if compare.value else ""),
                ]
            )
        }
    )
    return


@app.cell(hide_code=True)
def _():
    _choose, _type = mo.ui.dropdown, mo.ui.number
    answers = mo.ui.array(
        [
            _choose(exercises.pairs(), label=exercises.MERGE_QUESTION, full_width=True),
            _choose(exercises.digits(), label=exercises.SPLIT_QUESTION, full_width=True),
            _type(step=0.0001, label=exercises.PRIOR.question, full_width=True),
        ]
    )
    return (answers,)


@app.cell(hide_code=True)
def _(agreed, answers):
    mo.stop(agreed is None)
    page.exercises(zip(answers, exercises.marked(answers.value, agreed.counts[-1], page.mark), strict=True))
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.fit is None)
    page.every_half_step(lesson.trace)
    return


@app.cell(hide_code=True)
def _(asked, here, lesson, reveal):
    _downloads = [page.csv(*table) for table in classroom.downloads(asked)] if lesson.fit is not None else []
    _restores = classroom.as_link(asked, reveal.value)
    page.for_the_teacher(here, classroom.PRESETS, _restores, _downloads, classroom.PLAN)
    return


@app.cell(hide_code=True)
def _():
    query = page.query()
    linked = links.read(query, classroom.CONTROLS)
    here = links.address(query)
    return here, linked


# A new setting is a new fit: sliders wait until they are let go.
@app.cell(hide_code=True)
def _(linked):
    components = page.control(classroom.CONTROLS["k"], linked["k"], "causes k", debounce=True)
    return (components,)


@app.cell(hide_code=True)
def _(linked):
    _words = "prior a: pseudo-images with ink, and as many without"
    prior = page.control(classroom.CONTROLS["prior"], linked["prior"], _words, debounce=True)
    return (prior,)


@app.cell(hide_code=True)
def _(linked):
    init = page.control(classroom.CONTROLS["start"], linked["start"], "start")
    return (init,)


@app.cell(hide_code=True)
def _(linked):
    seed = page.number(classroom.CONTROLS["seed"], linked["seed"], "seed")
    return (seed,)


@app.cell(hide_code=True)
def _(linked):
    _words = "a pixel is inked from, of 16"
    threshold = page.control(classroom.CONTROLS["threshold"], linked["threshold"], _words, debounce=True)
    return (threshold,)


@app.cell(hide_code=True)
def _(components, init, prior, seed, threshold):
    _model, _start, _data = (mo.md(f"**The {part}**") for part in ("model", "start", "data"))
    mo.sidebar([_model, components, prior, _start, init, seed, _data, threshold], width="20rem")
    return


@app.cell(hide_code=True)
def _(components, init, prior, seed, threshold):
    asked = classroom.DigitsSettings(components.value, prior.value, init.value, seed.value or 0, threshold.value)
    lesson, agreed = classroom.digits_lesson(asked), classroom.agreement(asked)
    return agreed, asked, lesson


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the pictures on the page stay.
    causes = LiveChart(height=360, link="run")
    causes_view = mo.ui.anywidget(causes)
    live = {name: LiveChart(height=340, link="run", quiet=True) for name in ("stairs", REVEALED[0], *LOOKS)}
    live |= {REVEALED[1]: LiveChart(height=340), "factors": LiveChart(height=340, link="factors")}
    views = {name: mo.ui.anywidget(chart) for name, chart in live.items()}
    return causes, causes_view, live, views


@app.cell(hide_code=True)
def _(views):
    revealed = page.tabs({name: views[name] for name in REVEALED})
    return (revealed,)


@app.cell(hide_code=True)
def _(views):
    closer_look = page.tabs({name: views[name] for name in LOOKS})
    return (closer_look,)


@app.cell(hide_code=True)
def _(causes, lesson, live, reveal):
    if lesson.fit is not None:
        _labels = classroom.labels() if reveal.value else None
        causes.update(prototypes(lesson.trace, labels=_labels, width="container", height=250))
        live["stairs"].update(charts.staircase(lesson.trace, width="container", height=250))
    return


@app.cell(hide_code=True)
def _(closer_look, lesson, live):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.fit is not None:
        for _tab in page.opened(closer_look):
            live[_tab].update(LOOKS[_tab](lesson.trace, width="container", height=260))
    return


@app.cell(hide_code=True)
def _(agreed, asked, lesson, live, reveal, revealed):
    if agreed is not None and (reveal.value or page.without_python):
        for _tab in page.opened(revealed):
            if _tab == REVEALED[1]:
                _ends = classroom.many_starts(asked)
                live[_tab].update(starts(*zip(*_ends, strict=True), width="container", height=300))
            else:
                _counts = {"labels": classroom.DIGITS, "width": "container", "height": 330}
                live[_tab].update(confusion(lesson.trace, agreed.counts, agreed.matched, **_counts))
    return


@app.cell(hide_code=True)
def _(factor_model, live, n_factors):
    _trace = factors.factor_lesson(factor_model.value, n_factors.value).trace
    _shown = {"pixels": factors.inked_pixels(), "half_step": -1}
    _ = live["factors"].update(loadings(_trace, **_shown, width="container", height=300))
    return


if __name__ == "__main__":
    app.run()
