# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "numpy", "scipy", "altair", "polars", "anywidget", "vl-convert-python"]
#
# [tool.marimo.opengraph]
# title = "7 · What are your film tastes?"
# description = "A mixture over taste profiles from ratings with blanks: each rating of yours is an E-step on you."
# ///

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="What are your film tastes?", css_file="classroom.css")

with app.setup:
    import marimo as mo

    from emcore import charts
    from emcore.charts.live import LiveChart
    from emcore.charts.profiles import forecasts, item_means, profiles, taste_path
    from emcore.classroom import film_exercises as exercises
    from emcore.classroom import film_script, film_world, links
    from emcore.classroom import films as classroom
    from emcore.classroom.page import Page

    page = Page(mo)
    LOOKS = {
        "Everyone's responsibilities": charts.strip,
        "Staircase": charts.staircase,
        "KL on a log scale": charts.kl_curve,
        "Whose rows are loose?": charts.gap_rows,
    }


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # What are your film tastes?

    Each of 600 **simulated** people has a hidden taste $z$ and has rated some of 20 kinds of film. EM finds the
    profiles $p(\text{stars} \mid z)$ through the blanks. Now rate some films yourself, in the sidebar: who are you?
    """)
    return


@app.cell(hide_code=True)
def _(views):
    page.side_by_side(views[:1], views[1:2])
    return


@app.cell(hide_code=True)
def _(forecast, lesson, next_film, path, show_gain, stars, views):
    you = classroom.taste(lesson, stars) if lesson.fit is not None else None
    _parts = [mo.callout(lesson.message, kind=lesson.kind)]
    if you is not None and you.trouble:
        _parts = [mo.callout(you.trouble, kind="warn"), *_parts]
    elif you is not None:
        path.update(taste_path(you.words, you.probs, width="container", height=360))
        _columns = classroom.forecast_columns(lesson, stars)
        forecast.update(forecasts(**_columns, telling=show_gain.value, width="container", height=400))
        _said = page.said(exercises.mark_telling(next_film.value, lesson, stars, page.mark))
        _asked = mo.vstack([mo.md(exercises.ABOUT_NEXT), next_film, *_said, show_gain])
        _parts.append(page.side_by_side(views[2:3], [_asked]))
    mo.vstack(_parts)
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        list(exercises.GUESSES),
        label="**Predict first:** people seek out what they like. The mean of the ratings that we see is then …",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(asked, guess, lesson, truth, views):
    mo.stop(lesson.fit is None)

    def _tell():
        means, off = classroom.film_means(asked, lesson), classroom.blank_error(asked, lesson)
        truth.update(
            item_means(film_world.TITLES, means.true, means.observed, means.model, width="container", height=400)
        )
        stats = [
            mo.stat(f"{off.profiles:.2f}", label="stars off on the blanks, by profiles", bordered=True),
            mo.stat(f"{off.film_means:.2f}", label="by each film's mean seen", bordered=True),
        ]
        found = [exercises.whose_mean(asked.liking, means.overall), exercises.ABOUT_BLANKS]
        words = [*map(mo.md, found), mo.hstack(stats, widths="equal", wrap=True)]
        return page.side_by_side(views[3:4], [mo.vstack(words)])

    _answer, _numbers = page.answer(guess, _tell), page.numbers(*classroom.numbers(lesson))
    _numbers if _answer is None else mo.vstack([_answer, _numbers])
    return


@app.cell(hide_code=True)
def _(closer_look):
    mo.vstack([closer_look])
    return


@app.cell(hide_code=True)
def _():
    e_step_answer = mo.ui.number(step=0.01, label=exercises.E_STEP_EXERCISE.question, full_width=True)
    blank_answer = mo.ui.radio(list(exercises.BLANK_ANSWERS), label=exercises.BLANK_EXERCISE.question)
    return blank_answer, e_step_answer


@app.cell(hide_code=True)
def _(blank_answer, e_step_answer):
    page.exercises(
        [
            (e_step_answer, page.mark(exercises.E_STEP_EXERCISE, e_step_answer.value)),
            (blank_answer, page.mark(exercises.BLANK_EXERCISE, blank_answer.value)),
        ]
    )
    return


@app.cell(hide_code=True)
def _(asked, here, lesson, stars):
    _ran = lesson.fit is not None
    mo.vstack(
        [
            *([page.every_half_step(lesson.trace), page.code(film_script.script(asked, stars))] if _ran else []),
            page.for_the_teacher(
                here,
                classroom.PRESETS,
                classroom.as_link(asked, stars),
                [
                    page.csv(lambda: lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
                    page.csv(lambda: classroom.ratings_csv(asked), "ratings.csv", "simulated ratings"),
                ]
                if _ran
                else [],
                exercises.PLAN,
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(next_film):
    show_gain = mo.ui.switch(label="show what each film would tell", disabled=next_film.value is None)
    return (show_gain,)


@app.cell(hide_code=True)
def _():
    query = page.query()
    linked = links.read(query, classroom.CONTROLS)
    here = links.address(query)
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    # Every value of these but the ratings is a fit of its own: sliders wait for their release. The list is not by
    # name: see app 2.
    _field = page.fields(classroom.CONTROLS, linked)

    def _rating(place, title):
        first = classroom.entry(linked[f"film{place}"])
        return mo.ui.dropdown(dict(classroom.ENTRIES), value=first, label=title, allow_select_none=False)

    ratings = mo.ui.array([_rating(*_film) for _film in enumerate(classroom.SHOWN_TITLES)])
    liking = _field("liking", "liking: how strongly people rate what they like", debounce=True)
    share = _field("share", "ratings seen, in per cent", debounce=True)
    components = _field("k", "profiles k", debounce=True)
    prior = _field("prior", "prior: pseudo-ratings of each kind", debounce=True)
    init = _field("start", "start")
    seed = _field("seed", "seed", page.number)
    fields = [
        mo.md("**Your ratings**"),
        mo.vstack(list(ratings), align="end", gap=0.1),
        mo.md("**The blanks**"),
        *(liking, share),
        mo.md("**The model**"),
        *(components, prior),
        mo.md("**The start**"),
        *(init, seed),
    ]
    return components, fields, init, liking, prior, ratings, seed, share


@app.cell(hide_code=True)
def _(fields):
    mo.sidebar(fields, width="20rem")
    return


@app.cell(hide_code=True)
def _(ratings):
    stars = tuple(ratings.value)
    next_film = mo.ui.dropdown(
        classroom.still_to_rate(stars),
        label="**Predict first:** which film should we ask you about next, to learn most about your taste?",
        full_width=True,
    )
    return next_film, stars


@app.cell(hide_code=True)
def _(components, init, liking, prior, seed, share, table):
    asked = classroom.FilmSettings(
        n_components=components.value,
        prior=prior.value,
        init=init.value,
        seed=seed.value or 0,
        liking=liking.value,
        share=share.value,
    )
    lesson = classroom.films_lesson(asked)
    if lesson.fit is not None:
        table.draw(
            profiles, lesson.trace, **classroom.profile_table(asked), width="container", height=350, half_step=-1
        )
    return asked, lesson


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the pictures on the page stay.
    table = LiveChart(height=470, link="run")
    path, forecast, truth = (LiveChart(height=400) for _ in range(3))
    views = [mo.ui.anywidget(chart) for chart in (table, path, forecast, truth)]
    closer = {name: LiveChart(height=300, link="run", quiet=True) for name in LOOKS}
    closer_look = page.tabs({name: mo.ui.anywidget(chart) for name, chart in closer.items()})
    return closer, closer_look, forecast, path, table, truth, views


@app.cell(hide_code=True)
def _(closer, closer_look, lesson):
    # Only the picture of the open tab is drawn (all in an exported page).
    for _tab in page.opened(closer_look) if lesson.fit is not None else ():
        closer[_tab].draw(LOOKS[_tab], lesson.trace, width="container", height=250, half_step=-1)
    return


if __name__ == "__main__":
    app.run()
