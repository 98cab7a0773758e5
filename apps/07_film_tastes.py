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
    from emcore.classroom import film_world, links
    from emcore.classroom import films as classroom
    from emcore.classroom.page import Page

    page = Page(mo)


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
def _(lesson, you):
    _yours = [mo.callout(you.trouble, kind="warn")] if you is not None and you.trouble else []
    mo.vstack([*_yours, mo.callout(lesson.message, kind=lesson.kind)])
    return


@app.cell(hide_code=True)
def _(stars):
    next_film = mo.ui.dropdown(
        classroom.still_to_rate(stars),
        label="**Predict first:** which film should we ask you about next, to learn most about your taste?",
        full_width=True,
    )
    return (next_film,)


@app.cell(hide_code=True)
def _(next_film):
    show_gain = mo.ui.switch(label="show what each film would tell", disabled=next_film.value is None)
    return (show_gain,)


@app.cell(hide_code=True)
def _(lesson, next_film, show_gain, stars, views, you):
    mo.stop(you is None or you.trouble != "")
    _said = page.said(exercises.mark_telling(next_film.value, lesson, stars, page.mark))
    page.side_by_side(views[2:3], [mo.vstack([mo.md(exercises.ABOUT_NEXT), next_film, *_said, show_gain])])
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

    page.answer(guess, _tell)
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.fit is None)
    page.numbers(*classroom.numbers(lesson))
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
def _(lesson):
    mo.stop(lesson.fit is None)
    page.every_half_step(lesson.trace)
    return


@app.cell(hide_code=True)
def _(asked, here, lesson, stars):
    _downloads = (
        [
            page.csv(lambda: lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
            page.csv(lambda: classroom.ratings_csv(asked), "ratings.csv", "simulated ratings"),
        ]
        if lesson.fit is not None
        else []
    )
    page.for_the_teacher(here, classroom.PRESETS, classroom.as_link(asked, stars), _downloads, exercises.PLAN)
    return


@app.cell(hide_code=True)
def _():
    query = page.query()
    linked = links.read(query, classroom.CONTROLS)
    here = links.address(query)
    return here, linked


@app.cell(hide_code=True)
def _(linked):
    ratings = mo.ui.array(
        [
            mo.ui.dropdown(
                dict(classroom.ENTRIES),
                value=classroom.entry(linked[f"film{_place}"]),
                label=_title,
                allow_select_none=False,
            )
            for _place, _title in enumerate(classroom.SHOWN_TITLES)
        ]
    )
    return (ratings,)


@app.cell(hide_code=True)
def _(linked):
    # Every value of these is a fit of its own: sliders wait for their release.
    _of = classroom.CONTROLS
    _liking = "liking: how strongly people rate what they like"
    liking = page.control(_of["liking"], linked["liking"], _liking, debounce=True)
    share = page.control(_of["share"], linked["share"], "ratings seen, in per cent", debounce=True)
    components = page.control(_of["k"], linked["k"], "profiles k", debounce=True)
    prior = page.control(_of["prior"], linked["prior"], "prior: pseudo-ratings of each kind", debounce=True)
    init = page.control(_of["start"], linked["start"], "start")
    seed = page.number(_of["seed"], linked["seed"], "seed")
    return components, init, liking, prior, seed, share


@app.cell(hide_code=True)
def _(components, init, liking, prior, ratings, seed, share):
    mo.sidebar(
        [
            mo.md("**Your ratings**"),
            mo.vstack(list(ratings), align="end", gap=0.1),
            mo.md("**The blanks**"),
            liking,
            share,
            mo.md("**The model**"),
            components,
            prior,
            mo.md("**The start**"),
            init,
            seed,
        ],
        width="20rem",
    )
    return


@app.cell(hide_code=True)
def _(components, init, liking, prior, seed, share):
    asked = classroom.FilmSettings(
        n_components=components.value,
        prior=prior.value,
        init=init.value,
        seed=seed.value or 0,
        liking=liking.value,
        share=share.value,
    )
    lesson = classroom.films_lesson(asked)
    return asked, lesson


@app.cell(hide_code=True)
def _(lesson, ratings):
    stars = tuple(ratings.value)
    you = classroom.taste(lesson, stars) if lesson.fit is not None else None
    return stars, you


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the pictures on the page stay.
    table = LiveChart(height=470, link="run")
    path, forecast, truth = (LiveChart(height=400) for _ in range(3))
    views = [mo.ui.anywidget(chart) for chart in (table, path, forecast, truth)]
    shares, stairs, closing, loose = (LiveChart(height=300, link="run", quiet=True) for _ in range(4))
    closer_look = page.tabs(
        {
            "Everyone's responsibilities": mo.ui.anywidget(shares),
            "Staircase": mo.ui.anywidget(stairs),
            "KL on a log scale": mo.ui.anywidget(closing),
            "Whose rows are loose?": mo.ui.anywidget(loose),
        }
    )
    return closer_look, closing, forecast, loose, path, shares, stairs, table, truth, views


@app.cell(hide_code=True)
def _(lesson, table):
    if lesson.fit is not None:
        _means = classroom.profile_means(lesson.trace)
        _words = {"items": film_world.TITLES, "words": classroom.favourites(_means)}
        table.update(profiles(lesson.trace, _means, **_words, width="container", height=350, half_step=-1))
    return


@app.cell(hide_code=True)
def _(closer_look, closing, lesson, loose, shares, stairs):
    # Only the picture of the open tab is drawn (all in an exported page).
    if lesson.fit is not None:
        _size = {"width": "container", "height": 250, "half_step": -1}
        for _tab in page.opened(closer_look):
            match _tab:
                case "Everyone's responsibilities":
                    shares.update(charts.strip(lesson.trace, **_size))
                case "Staircase":
                    stairs.update(charts.staircase(lesson.trace, **_size))
                case "KL on a log scale":
                    closing.update(charts.kl_curve(lesson.trace, **_size))
                case "Whose rows are loose?":
                    loose.update(charts.gap_rows(lesson.trace, **_size))
    return


@app.cell(hide_code=True)
def _(forecast, lesson, path, show_gain, stars, you):
    if you is not None and not you.trouble:
        path.update(taste_path(you.words, you.probs, width="container", height=360))
        _columns = classroom.forecast_columns(lesson, stars)
        forecast.update(forecasts(**_columns, telling=show_gain.value, width="container", height=400))
    return


if __name__ == "__main__":
    app.run()
