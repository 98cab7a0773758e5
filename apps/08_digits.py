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
def _(agreed, asked, guess, lesson, reveal, revealed):
    mo.stop(lesson.fit is None)
    _last = lesson.trace[-1]
    _numbers = page.numbers(
        [
            (f"{_last.log_likelihood:,.2f}", "log p(x) at the end, nats"),
            (f"{_last.log_prior:,.2f}", "log prior at the end, up to a constant"),
            (f"{classroom.blot(lesson, asked):,.2f}", classroom.blot_words(asked)),
        ],
        lesson.worst_identity_error,
        len(lesson.trace),
    )
    _answer = page.answer(guess, lambda: mo.vstack([mo.md(classroom.reveal(agreed)), revealed]), ready=reveal.value)
    _numbers if _answer is None else mo.vstack([_answer, _numbers])
    return


@app.cell(hide_code=True)
def _(closer_look):
    mo.vstack([closer_look])
    return


@app.cell(hide_code=True)
def _():
    factor_model = mo.ui.dropdown(list(factors.FACTOR_MODELS), value="PPCA", label="model", full_width=True)
    n_factors = mo.ui.slider(1, 15, value=9, label="factors", show_value=True, full_width=True, debounce=True)
    compare = mo.ui.switch(page.without_python, label="compare with a mixture of the same pixels")
    factor_words = mo.md(factors.WORDS)
    factor_fields = page.side_by_side([factor_model], [n_factors], [compare])
    return compare, factor_fields, factor_model, factor_words, n_factors


@app.cell(hide_code=True)
def _(compare, components, factor_fields, factor_model, factor_words, n_factors, views):
    _line = (factor_model.value, n_factors.value, components.value)
    mo.accordion(
        {
            "One cause, or many at once? Loadings instead of prototypes": mo.vstack(
                [
                    factor_words,
                    factor_fields,
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
def _(asked, here, lesson, reveal):
    _ran = lesson.fit is not None
    mo.vstack(
        [
            *([page.every_half_step(lesson.trace), page.code(classroom.script(asked))] if _ran else []),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                classroom.as_link(asked, reveal.value),
                [page.csv(*table) for table in classroom.downloads(asked)] if _ran else [],
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
    # A new setting is a new fit: sliders wait until they are let go. The list is not by name: see app 2.
    _field = page.fields(classroom.CONTROLS, linked)

    components = _field("k", "causes k", debounce=True)
    prior = _field("prior", "prior a: pseudo-images with ink, and as many without", debounce=True)
    init = _field("start", "start")
    seed = page.number(classroom.CONTROLS["seed"], linked["seed"], "seed")
    threshold = _field("threshold", "a pixel is inked from, of 16", debounce=True)
    _model, _start, _data = (mo.md(f"**The {part}**") for part in ("model", "start", "data"))
    fields = [_model, components, prior, _start, init, seed, _data, threshold]
    return components, fields, init, prior, seed, threshold


@app.cell(hide_code=True)
def _(fields):
    mo.sidebar(fields, width="20rem")
    return


@app.cell(hide_code=True)
def _(components, init, live, prior, seed, threshold):
    asked = classroom.DigitsSettings(components.value, prior.value, init.value, seed.value or 0, threshold.value)
    lesson, agreed = classroom.digits_lesson(asked), classroom.agreement(asked)
    if lesson.fit is not None:
        live["stairs"].draw(charts.staircase, lesson.trace, width="container", height=250)
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
    closer_look = page.tabs({name: views[name] for name in LOOKS})
    return closer_look, revealed


@app.cell(hide_code=True)
def _(agreed, asked, causes, closer_look, lesson, live, reveal, revealed):
    # Only the picture of an open tab is drawn (all in an exported page).
    if lesson.fit is not None:
        _labels = classroom.written() if reveal.value else None
        causes.draw(prototypes, lesson.trace, labels=_labels, width="container", height=250)
        for _tab in page.opened(closer_look):
            live[_tab].draw(LOOKS[_tab], lesson.trace, width="container", height=260)
        for _tab in page.opened(revealed) if reveal.value or page.without_python else ():
            if _tab == REVEALED[1]:
                _ends = classroom.many_starts(asked)
                live[_tab].update(starts(*zip(*_ends, strict=True), width="container", height=300))
            else:
                _counts = {"counts": agreed.counts, "matched": agreed.matched, "labels": classroom.DIGITS}
                live[_tab].draw(confusion, lesson.trace, **_counts, width="container", height=330)
    return


@app.cell(hide_code=True)
def _(factor_model, live, n_factors):
    _trace = factors.factor_lesson(factor_model.value, n_factors.value).trace
    _shown = {"pixels": factors.inked_pixels(), "half_step": -1}
    _ = live["factors"].draw(loadings, _trace, **_shown, width="container", height=300)
    return


if __name__ == "__main__":
    app.run()
