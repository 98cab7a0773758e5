# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "6 · How many components, and is it true?"
# description = "BIC, AIC, ICL, held-out likelihood and the bootstrap disagree, each for a reason. Bring your own CSV."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="How many components, and is it true?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore.charts import selection as charts
    from emcore.charts.live import LiveChart
    from emcore.classroom import links
    from emcore.classroom import selection as classroom
    from emcore.classroom import selection_exercises as exercises
    from emcore.classroom import selection_rows as data
    from emcore.uploads import MAX_BYTES, read_table


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # How many components, and is it true?

    More components never fit worse, so the likelihood alone always says “more”. BIC, AIC, ICL and rows held out say
    when to stop. They ask different questions, and give different answers.
    """)
    return


@app.cell(hide_code=True)
def _(pasted, source, upload):
    mo.stop(source.value not in data.OWN)
    mo.vstack([upload if source.value == data.OWN_FILE else pasted])
    return


@app.cell(hide_code=True)
def _(columns, table, weight):
    mo.stop(isinstance(table, str))
    _unusable = [{"column": c.name, "not used, because it is or has": c.trouble} for c in table.columns if c.trouble]
    _parts = [mo.hstack([columns, weight], justify="start", wrap=True), " ".join(table.notes)]
    mo.vstack(_parts + ([mo.ui.table(_unusable, selection=None)] if _unusable else []))
    return


@app.cell(hide_code=True)
def _(views):
    mo.Html(f"<div class='em-grid'><div>{views[0]}</div><div>{views[1]}</div></div>")
    return


@app.cell(hide_code=True)
def _(found, rows):
    _words = found if isinstance(found, str) else " ".join([*rows.notes, classroom.lost(found)]).strip()
    mo.stop(not _words)
    mo.callout(_words, kind="warn" if isinstance(found, str) else "info")
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        list(exercises.CURVES),
        label="**Predict first:** which of these can never turn round as k grows, if every fit is the best there is?",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(found, guess):
    mo.stop(guess.value is None or isinstance(found, str))
    mo.md(f"You said: {guess.value}. {exercises.after_the_guess(found)}")
    return


@app.cell(hide_code=True)
def _(views):
    mo.Html(f"<div class='em-grid'><div>{views[2]}</div><div>{views[3]}</div></div>")
    return


@app.cell(hide_code=True)
def _(charts_of_folds, copies, dealt, found, rows, settings, split):
    _words = ""
    if isinstance(found, str) or not dealt.value:
        charts_of_folds.update(charts.nothing("no rows are held out now", width="container", height=270))
    else:
        _each = mo.status.progress_bar(
            list(found), title="Holding rows out", subtitle=f"{classroom.FOLDS} fits for every k", remove_on_exit=True
        )
        _scores = [classroom.held_out(rows, settings, row.k, copies.value, split.value or 0) for row in _each]
        charts_of_folds.update(charts.held_out(found, _scores, found[0].fit.n_rows, width="container", height=270))
        _words = classroom.lost_folds(found, _scores)
    mo.callout(_words) if _words else None
    return


@app.cell(hide_code=True)
def _(found):
    mo.stop(isinstance(found, str))
    mo.accordion({"The numbers": mo.ui.table(classroom.numbers(found), selection=None)})
    return


@app.cell(hide_code=True)
def _():
    samples = mo.ui.dropdown({"9": 9, "19": 19, "39": 39, "99": 99}, value="19", label="samples")
    return (samples,)


@app.cell(hide_code=True)
def _(looked_at):
    test = mo.ui.run_button(label=f"Test k = {looked_at.value} against k = {looked_at.value + 1}")
    return (test,)


@app.cell(hide_code=True)
def _(samples, test):
    mo.vstack(
        [
            mo.md(
                "### Is one more component real?\n\n"
                "Twice the gain in log-likelihood has no $\\chi^2$ distribution here: the smaller model is on the edge "
                "of the larger one. So simulate it: draw samples from the fit with $k$ components, and fit $k$ and "
                "$k+1$ to each (McLachlan 1987). The rows are taken once each, whatever the copies; *k* is that of "
                "“look at k”."
            ),
            mo.hstack([samples, test], justify="start"),
        ]
    )
    return


@app.cell(hide_code=True)
def _(looked_at, rows, samples, settings, test, test_chart, test_view):
    mo.stop(not test.value or isinstance(rows, str))
    with mo.status.spinner(
        title=f"Simulating {samples.value} samples of {len(rows.x)} rows with {looked_at.value} components",
        subtitle=f"and fitting {looked_at.value} and {looked_at.value + 1} components to each …",
        remove_on_exit=True,
    ):
        _found = classroom.bootstrap(rows, settings, looked_at.value, samples.value)
    _shown = [mo.callout(classroom.verdict(_found, looked_at.value))]
    if not isinstance(_found, str):
        test_chart.update(charts.bootstrap(_found.statistic, _found.simulated, width="container", height=180))
        _shown.append(test_view)
    mo.vstack(_shown)
    return


@app.cell(hide_code=True)
def _():
    readings = mo.ui.dictionary(
        {name: mo.ui.number(step=1, label=f"Which k does {name} choose now?") for name in exercises.READ}
    )
    return (readings,)


@app.cell(hide_code=True)
def _():
    answers = mo.ui.array([mo.ui.number(step=0.001, label=e.question, full_width=True) for e in exercises.fixed()])
    return (answers,)


@app.cell(hide_code=True)
def _():
    why = mo.ui.radio(list(exercises.WHY_ICL), label=exercises.ICL_EXERCISE.question)
    return (why,)


@app.cell(hide_code=True)
def _(answers, found, readings, why):
    _marked = [(readings[name], e.mark(readings.value[name])) for name, e in exercises.reading(found).items()]
    _marked += [
        (field, e.mark(given)) for e, field, given in zip(exercises.fixed(), answers, answers.value, strict=True)
    ]
    _marked += [(why, exercises.ICL_EXERCISE.mark(why.value))]
    mo.accordion(
        {
            "Exercises": mo.vstack(
                [
                    mo.vstack([field, mo.callout(verdict.words, kind=verdict.kind)] if verdict.words else [field])
                    for field, verdict in _marked
                ],
                gap=1,
            )
        }
    )
    return


@app.cell(hide_code=True)
def _(found, here, link_now):
    _presets = " · ".join(f"[{title}]({links.link(here, preset)})" for title, preset in classroom.PRESETS.items())
    _parts = [
        mo.md(f"Start the class from: {_presets}"),
        mo.md(f"[This link]({link_now}) restores every control as it is now (own data must be given again)."),
        mo.md(
            "In fifteen minutes: predict which curve cannot turn; read four answers off the charts for Iris; copy "
            "every row and watch BIC and rows held out be fooled while nothing was learned; Old Faithful with two "
            "copies: BIC leaves two densities, ICL stays with two clusters; penguins: three; then their own numbers."
        ),
    ]
    if not isinstance(found, str):
        _parts.append(mo.download(found.to_frame().write_csv().encode(), "criteria.csv", label="criteria (CSV)"))
    mo.accordion({"For the teacher": mo.vstack(_parts)})
    return


@app.cell(hide_code=True)
def _():
    query = mo.query_params()
    linked = links.read(query, classroom.CONTROLS)
    here = {"file": query["file"]} if "file" in query else {}
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    source = mo.ui.dropdown(
        list(classroom.CONTROLS["data"].options), value=linked["data"], label="data", full_width=True
    )
    return (source,)


@app.cell(hide_code=True)
def _():
    upload = mo.ui.file(
        filetypes=[".csv", ".tsv", ".txt"],
        max_size=MAX_BYTES,
        kind="area",
        label="A CSV file with a line of names; it stays in this session and is never run.",
    )
    return (upload,)


@app.cell(hide_code=True)
def _():
    pasted = mo.ui.text_area(
        placeholder="length,width\n5.1,3.5\n4.9,3.0",
        label="Paste a table: one row per line, cells separated by commas, semicolons or tabs.",
        max_length=200_000,
        rows=6,
        full_width=True,
    )
    return (pasted,)


@app.cell(hide_code=True)
def _(pasted, source, upload):
    # A sentence as long as there is nothing to read.
    table = "A data set of the project is shown."
    if source.value == data.OWN_FILE:
        table = read_table(upload.contents()) if upload.value else "Choose a CSV file above."
    elif source.value == data.PASTED:
        table = read_table(pasted.value.encode()) if pasted.value.strip() else "Paste some numbers above."
    return (table,)


@app.cell(hide_code=True)
def _(table):
    _choices = data.column_choices(table)
    columns = mo.ui.multiselect(
        _choices, value=list(_choices)[:2], label="columns to fit", max_selections=data.MOST_COLUMNS
    )
    return (columns,)


@app.cell(hide_code=True)
def _(table):
    _choices = data.weight_choices(table)
    weight = mo.ui.dropdown(_choices, value=next(iter(_choices)), label="weights")
    return (weight,)


@app.cell(hide_code=True)
def _(columns, source, table, weight):
    if source.value not in data.OWN:
        rows = data.rows_of(source.value)
    elif isinstance(table, str):
        rows = table
    else:
        rows = data.own_rows(table, tuple(columns.value), weight.value)
    return (rows,)


@app.cell(hide_code=True)
def _(linked, source):
    _models = data.models_for(source.value)
    model = mo.ui.dropdown(
        list(_models),
        value=linked["model"] if linked["model"] in _models else _models[0],
        label="components",
        full_width=True,
    )
    return (model,)


@app.cell(hide_code=True)
def _(linked):
    largest = mo.ui.slider(2, 8, value=linked["largest"], label="k up to", show_value=True, full_width=True)
    return (largest,)


@app.cell(hide_code=True)
def _(linked):
    prior = mo.ui.slider(
        steps=list(classroom.CONTROLS["prior"].options),
        value=linked["prior"],
        label="prior strength",
        show_value=True,
        full_width=True,
    )
    return (prior,)


@app.cell(hide_code=True)
def _(linked):
    copies = mo.ui.slider(1, 10, value=linked["copies"], label="copies of every row", show_value=True, full_width=True)
    return (copies,)


@app.cell(hide_code=True)
def _():
    dealt = mo.ui.switch(value=True, label="hold rows out (slower)")
    return (dealt,)


@app.cell(hide_code=True)
def _(linked):
    split = mo.ui.number(0, 9999, value=linked["split"], label="split seed", full_width=True)
    return (split,)


@app.cell(hide_code=True)
def _(largest, linked):
    looked_at = mo.ui.slider(
        1, largest.value, value=min(linked["k"], largest.value), label="look at k", show_value=True, full_width=True
    )
    return (looked_at,)


@app.cell(hide_code=True)
def _(copies, dealt, largest, looked_at, model, prior, source, split):
    mo.sidebar(
        [
            mo.md("**The data**"),
            source,
            copies,
            mo.md("**The models**"),
            model,
            largest,
            prior,
            looked_at,
            mo.md("**Rows held out**"),
            dealt,
            split,
        ],
        width="20rem",
    )
    return


@app.cell(hide_code=True)
def _(copies, here, largest, looked_at, model, prior, source, split):
    settings = classroom.SelectionSettings(model.value, largest.value, prior.value)
    link_now = links.link(
        here,
        {
            "data": source.value,
            "model": model.value,
            "largest": largest.value,
            "prior": prior.value,
            "copies": copies.value,
            "split": split.value or 0,
            "k": looked_at.value,
        },
    )
    return link_now, settings


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    curves, distances, charts_of_folds, shapes, test_chart = (LiveChart(height=330) for _ in range(5))
    views = [mo.ui.anywidget(chart) for chart in (curves, distances, charts_of_folds, shapes)]
    test_view = mo.ui.anywidget(test_chart)
    return charts_of_folds, curves, distances, shapes, test_chart, test_view, views


@app.cell(hide_code=True)
def _(rows, settings):
    if isinstance(rows, str):
        once = rows
    else:
        with mo.status.spinner(title=f"Fitting 1 to {settings.largest} components …", remove_on_exit=True):
            once = classroom.fitted(rows, settings)
    return (once,)


@app.cell(hide_code=True)
def _(copies, curves, distances, once):
    found = once if isinstance(once, str) else classroom.with_copies(once, copies.value)
    _candidates = () if isinstance(found, str) else found
    curves.update(charts.criteria(_candidates, width="container", height=270))
    _ = distances.update(charts.behind(_candidates, width="container", height=270))
    return (found,)


@app.cell(hide_code=True)
def _(looked_at, once, rows, shapes):
    if isinstance(once, str) or looked_at.value > len(once):
        shapes.update(charts.nothing("no components to show", width="container", height=270))
    else:
        shapes.update(charts.components(once[looked_at.value - 1], rows.names, width="container", height=270))
    return


if __name__ == "__main__":
    app.run()
