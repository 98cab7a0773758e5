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

    from emcore.charts import candidate
    from emcore.charts import selection as charts
    from emcore.charts.live import LiveChart
    from emcore.classroom import links
    from emcore.classroom import selection as classroom
    from emcore.classroom import selection_exercises as exercises
    from emcore.classroom import selection_rows as data
    from emcore.classroom import selection_script as code
    from emcore.classroom import selection_words as words
    from emcore.classroom.page import Page
    from emcore.uploads import MAX_BYTES

    page = Page(mo)


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
    _unusable = data.unusable(table)
    _parts = [mo.hstack([columns, weight], justify="start", wrap=True), " ".join(table.notes)]
    mo.vstack(_parts + ([mo.ui.table(_unusable, selection=None)] if _unusable else []))
    return


@app.cell(hide_code=True)
def _(views):
    page.side_by_side(views[:1], views[1:2])
    return


@app.cell(hide_code=True)
def _(found, rows):
    _words = found if isinstance(found, str) else " ".join([*rows.notes, words.lost(found)]).strip()
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
    mo.stop(isinstance(found, str))
    page.answer(guess, lambda: exercises.after_the_guess(found))
    return


@app.cell(hide_code=True)
def _(views):
    page.side_by_side(views[2:3], views[3:4])
    return


@app.cell(hide_code=True)
def _(closer, closer_look, found, looked_at, rows, settings, shapes):
    # Before the rows are held out below, which takes longer. Only the picture of the open tab is drawn (all in an
    # exported page); all but the first need the run.
    _end = None if isinstance(found, str) else classroom.arrived(rows, settings, looked_at.value)
    _open = page.opened(closer_look)
    _steps = _end is not None and _open != (candidate.QUESTIONS[0],)
    run = classroom.run_of(rows, settings, looked_at.value) if _steps else None
    if _end is None:
        shapes.update(candidate.components(None, (), width="container", height=270))
        for _tab in _open:
            closer[_tab].update(candidate.closer_look(None, _tab, (), width="container"))
    else:
        _names = {"names": rows.names, "width": "container"}
        shapes.draw(candidate.components, _end, **_names, height=270)
        for _tab in _open:
            closer[_tab].draw(candidate.closer_look, run or _end, question=_tab, **_names)
    return (run,)


@app.cell(hide_code=True)
def _(copies, dealt, folds, found, rows, settings, split):
    _scores, _words, _size = None, "", {"width": "container", "height": 270}
    if dealt.value and not isinstance(found, str):
        _each = mo.status.progress_bar(
            list(found), title="Holding rows out", subtitle=f"{classroom.FOLDS} fits for every k", remove_on_exit=True
        )
        _scores = [classroom.held_out(rows, settings, row.k, copies.value, split.value or 0) for row in _each]
        _words = words.lost_folds(found, _scores)
    folds.update(
        charts.held_out(found, _scores, rows.n * copies.value, **_size)
        if _scores
        else candidate.nothing("no rows are held out now", **_size)
    )
    mo.callout(_words) if _words else None
    return


@app.cell(hide_code=True)
def _(closer_look, looked_at):
    mo.vstack([mo.md(f"**A closer look at k = {looked_at.value}**"), closer_look])
    return


@app.cell(hide_code=True)
def _(looked_at, run, samples, test):
    _numbers = [] if run is None else [page.numbers(*words.run_numbers(run))]
    _what = mo.md(f"**Is k = {looked_at.value} enough, or is {looked_at.value + 1} real?**")
    mo.vstack([*_numbers, _what, mo.md(exercises.IS_IT_REAL), mo.hstack([samples, test], justify="start")])
    return


@app.cell(hide_code=True)
def _(looked_at, rows, samples, settings, test, test_chart, test_view):
    mo.stop(not (test.value or page.without_python) or isinstance(rows, str))
    _k = looked_at.value
    with mo.status.spinner(*words.simulating(rows, _k, samples.value), remove_on_exit=True):
        _found = classroom.bootstrap(rows, settings, _k, samples.value)
    _shown = [mo.callout(words.verdict(_found, _k))]
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
    answers = page.answer_fields(exercises.fixed())
    why = mo.ui.radio(list(exercises.WHY_ICL), label=exercises.ICL_EXERCISE.question)
    return answers, readings, why


@app.cell(hide_code=True)
def _(answers, found, readings, why):
    _read = [(readings[name], page.mark(e, readings.value[name])) for name, e in exercises.reading(found).items()]
    _fixed = page.marked(exercises.fixed(), answers)
    page.exercises([*_read, *_fixed, (why, page.mark(exercises.ICL_EXERCISE, why.value))])
    return


@app.cell(hide_code=True)
def _(columns, copies, dealt, found, here, looked_at, rows, samples, settings, source, split, table, test, weight):
    _k, _split = looked_at.value, split.value or 0
    _restores = {"data": source.value, "copies": copies.value, "split": _split, "k": _k, "hold": int(dealt.value)}
    _restores = classroom.as_link(settings, **_restores, samples=samples.value)
    _tables = {
        "criteria": lambda: found.to_frame().write_csv(),
        "half-steps": lambda: classroom.run_of(rows, settings, _k).to_frame().write_csv(),
        "rows": lambda: data.rows_csv(rows),
    }
    _parts, _downloads = [], []
    if not isinstance(found, str):
        _read = code.data(source.value, table, columns.value, weight.value)
        _also = {
            "split": _split if dealt.value else None,
            "samples": samples.value if test.value or page.without_python else None,
        }
        _parts = [
            page.folded("The criteria in numbers", lambda: page.table(classroom.numbers(found))),
            page.code(code.script(rows, settings, _read, k=_k, copies=copies.value, **_also)),
        ]
        _downloads = [page.csv(_tables[name], f"{name}.csv", name) for name in _tables]
    mo.vstack([*_parts, page.for_the_teacher(here, classroom.PRESETS, _restores, _downloads, exercises.PLAN)])
    return


@app.cell(hide_code=True)
def _():
    query = page.query()
    linked = links.read(query, classroom.CONTROLS)
    here = links.address(query)
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    _of = classroom.CONTROLS
    source = page.control(_of["data"], linked["data"], "data")
    copies = page.control(_of["copies"], linked["copies"], "copies of every row", debounce=True)
    largest = page.control(_of["largest"], linked["largest"], "k up to", debounce=True)
    prior = page.control(_of["prior"], linked["prior"], "prior strength", debounce=True)
    dealt = page.control(_of["hold"], linked["hold"] or page.without_python, "hold rows out (slower)")
    split = page.number(_of["split"], linked["split"], "split seed")
    samples = mo.ui.dropdown({str(n): n for n in classroom.SAMPLES}, value=str(linked["samples"]), label="samples")
    test = mo.ui.run_button(label="Run the test")
    upload = mo.ui.file(filetypes=[".csv", ".tsv", ".txt"], max_size=MAX_BYTES, kind="area", label=data.ABOUT_FILES)
    pasted = mo.ui.text_area(
        placeholder=data.EXAMPLE, label=data.ABOUT_PASTING, max_length=200_000, rows=6, full_width=True
    )
    # The lists not by name, so that the sidebar does not run again when one moves: see app 2.
    _data, _models, _held = (mo.md(f"**{title}**") for title in ("The data", "The models", "Rows held out"))
    fields = [_data, source, copies, _models], [largest, prior], [_held, dealt, split]
    return copies, dealt, fields, largest, pasted, prior, samples, source, split, test, upload


@app.cell(hide_code=True)
def _(pasted, source, upload):
    table = data.table_of(source.value, upload.contents() if upload.value else None, pasted.value)
    _fit, _weigh = data.column_choices(table), data.weight_choices(table)
    columns = mo.ui.multiselect(_fit, value=list(_fit)[:2], label="columns to fit", max_selections=data.MOST_COLUMNS)
    weight = mo.ui.dropdown(_weigh, value=next(iter(_weigh)), label="weights")
    return columns, table, weight


@app.cell(hide_code=True)
def _(columns, source, table, weight):
    rows = data.rows_to_fit(source.value, table, columns.value, weight.value)
    return (rows,)


@app.cell(hide_code=True)
def _(linked, source):
    _models = links.Choice(data.models_for(source.value))
    model = page.control(_models, _models.read(linked["model"]), "components")
    of_model = [model]
    return model, of_model


@app.cell(hide_code=True)
def _(largest, linked):
    looked_at = page.control(links.Number(2, 1, largest.value), min(linked["k"], largest.value), "look at k")
    of_k = [looked_at]
    return looked_at, of_k


@app.cell(hide_code=True)
def _(fields, of_k, of_model):
    mo.sidebar([*fields[0], *of_model, *fields[1], *of_k, *fields[2]], width="20rem")
    return


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the picture on the page stays.
    curves, distances, folds, shapes, test_chart = (LiveChart(height=280, quiet=True) for _ in range(5))
    closer = {name: LiveChart(height=330, link="run") for name in candidate.QUESTIONS}
    closer[candidate.QUESTIONS[0]].quiet = True  # where EM ended, and no steps
    views = [mo.ui.anywidget(chart) for chart in (curves, distances, folds, shapes)]
    closer_look = page.tabs({name: mo.ui.anywidget(chart) for name, chart in closer.items()})
    test_view = mo.ui.anywidget(test_chart)
    return closer, closer_look, curves, distances, folds, shapes, test_chart, test_view, views


@app.cell(hide_code=True)
def _(copies, curves, distances, largest, model, prior, rows):
    settings = classroom.SelectionSettings(model.value, largest.value, prior.value)
    with mo.status.spinner(title=f"Fitting 1 to {settings.largest} components …", remove_on_exit=True):
        found = classroom.with_copies(rows, settings, copies.value)
    _candidates = () if isinstance(found, str) else found
    curves.update(charts.criteria(_candidates, width="container", height=270))
    _ = distances.update(charts.behind(_candidates, width="container", height=270))
    return found, settings


if __name__ == "__main__":
    app.run()
