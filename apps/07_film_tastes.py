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
    from emcore.classroom import film_world, links
    from emcore.classroom import films as classroom


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # What are your film tastes?

    Each of 600 **simulated** people has a hidden taste $z$ and has rated some of 20 kinds of film. EM finds the
    profiles $p(\text{stars} \mid z)$ through the blanks. Now rate some films yourself, in the sidebar: who are you?
    """)
    return


@app.cell(hide_code=True)
def _(path_view, table_view):
    mo.Html(f"<div class='em-grid'><div>{table_view}</div><div>{path_view}</div></div>")
    return


@app.cell(hide_code=True)
def _(lesson, you):
    mo.vstack(
        [
            *([mo.callout(you.trouble, kind="warn")] if you is not None and you.trouble else []),
            mo.callout(lesson.message, kind=lesson.kind),
        ]
    )
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
def _(forecast_view, lesson, next_film, show_gain, stars, you):
    mo.stop(you is None or you.trouble != "")
    _verdict = classroom.mark_telling(next_film.value, lesson, stars)
    mo.Html(
        f"<div class='em-grid'><div>{forecast_view}</div><div>"
        + mo.vstack(
            [
                mo.md(
                    "On the left, the films that you have not rated: $\\sum_z q(z)\\, p(\\text{stars} \\mid z)$, with "
                    "$q$ your responsibilities. The next question is best where it is expected to lower the entropy of "
                    "$q$ most (Lindley 1956): where the profiles that are still likely disagree."
                ),
                next_film,
                *([mo.callout(_verdict.words, kind=_verdict.kind)] if _verdict.words else []),
                show_gain,
            ]
        ).text
        + "</div></div>"
    )
    return


@app.cell(hide_code=True)
def _():
    guess = mo.ui.radio(
        ["lower than the true mean", "the same, but for chance", "higher than the true mean"],
        label="**Predict first:** people seek out what they like. The mean of the ratings that we see is then …",
    )
    mo.hstack([guess])
    return (guess,)


@app.cell(hide_code=True)
def _(guess, lesson, liking, means, means_view, mistakes):
    mo.stop(guess.value is None or means is None)
    _true, _seen, _model = means.overall
    mo.Html(
        f"<div class='em-grid'><div>{means_view}</div><div>"
        + mo.vstack(
            [
                mo.md(
                    f"You said: {guess.value}. With liking at **{liking.value:g}** the true mean is **{_true:.2f}** "
                    f"stars and the mean of what is seen **{_seen:.2f}**. The profiles say **{_model:.2f}**."
                ),
                mo.md(
                    "To skip a blank is exact when it hides nothing that the seen ratings have not told (Rubin 1976). "
                    "When people choose what they rate it is a modelling claim, and a false one: Marlin, Zemel, Roweis "
                    "and Slaney (2007) found it so for songs. Move “liking” in the sidebar and watch the circles leave "
                    "the diamonds; the profiles repair a part of it, for what is seen tells a taste, and no more."
                ),
                mo.hstack(
                    [
                        mo.stat(
                            f"{mistakes.profiles:.2f}", label="stars off on the blanks, by profiles", bordered=True
                        ),
                        mo.stat(f"{mistakes.film_means:.2f}", label="by each film's mean seen", bordered=True),
                    ],
                    widths="equal",
                    wrap=True,
                ),
            ]
        ).text
        + "</div></div>"
    )
    return


@app.cell(hide_code=True)
def _(lesson):
    mo.stop(lesson.fit is None)
    _last = lesson.trace[-1]
    mo.hstack(
        [
            mo.stat(f"{_last.log_likelihood:,.2f}", label="log p(x) at the end, nats", bordered=True),
            mo.stat(f"{_last.elbo:,.2f}", label="ELBO at the end", bordered=True),
            mo.stat(f"{_last.kl:.3g}", label="KL(Q ‖ posterior) at the end", bordered=True),
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
def _(shares_view, stairs_view):
    mo.accordion(
        {
            "The run: staircase and everyone's responsibilities": mo.Html(
                f"<div class='em-grid'><div>{stairs_view}</div><div>{shares_view}</div></div>"
            )
        }
    )
    return


@app.cell(hide_code=True)
def _():
    e_step_answer = mo.ui.number(step=0.01, label=classroom.E_STEP_EXERCISE.question, full_width=True)
    return (e_step_answer,)


@app.cell(hide_code=True)
def _():
    blank_answer = mo.ui.radio(list(classroom.BLANK_ANSWERS), label=classroom.BLANK_EXERCISE.question)
    return (blank_answer,)


@app.cell(hide_code=True)
def _(blank_answer, e_step_answer):
    _marked = [
        (e_step_answer, classroom.E_STEP_EXERCISE.mark(e_step_answer.value)),
        (blank_answer, classroom.BLANK_EXERCISE.mark(blank_answer.value)),
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
def _(asked, here, lesson, stars):
    _now = links.link(here, classroom.as_link(asked, stars))
    _presets = " · ".join(f"[{title}]({links.link(here, preset)})" for title, preset in classroom.PRESETS.items())
    _downloads = (
        [
            mo.download(lesson.trace.to_frame().write_csv().encode(), "half_steps.csv", label="half-steps (CSV)"),
            mo.download(classroom.ratings_csv(asked).encode(), "ratings.csv", label="simulated ratings (CSV)"),
        ]
        if lesson.fit is not None
        else []
    )
    mo.accordion(
        {
            "For the teacher": mo.vstack(
                [
                    mo.md(f"Start the class from: {_presets}"),
                    mo.md(f"[This link]({_now}) restores every control and rating as it is now."),
                    mo.hstack(_downloads, justify="start"),
                    mo.md(
                        "In fifteen minutes: step through the fit until the genres part; let one student rate aloud "
                        "while the class calls the next bar; ask for the most telling film before showing it; then "
                        "turn up “liking” and ask whose mean is right. People and films are simulated, so "
                        "that every blank is known."
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
def _(ratings):
    stars = tuple(ratings.value)
    return (stars,)


@app.cell(hide_code=True)
def _(linked):
    components = mo.ui.slider(1, 8, value=linked["k"], label="profiles k", show_value=True, full_width=True)
    return (components,)


@app.cell(hide_code=True)
def _(linked):
    prior = mo.ui.slider(
        steps=list(classroom.CONTROLS["prior"].options),
        value=linked["prior"],
        label="prior: pseudo-ratings of each kind",
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
    liking = mo.ui.slider(
        steps=list(classroom.CONTROLS["liking"].options),
        value=linked["liking"],
        label="liking: how strongly people rate what they like",
        show_value=True,
        full_width=True,
    )
    return (liking,)


@app.cell(hide_code=True)
def _(linked):
    share = mo.ui.slider(
        steps=list(classroom.CONTROLS["share"].options),
        value=linked["share"],
        label="ratings seen, in per cent",
        show_value=True,
        full_width=True,
    )
    return (share,)


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
    return (asked,)


@app.cell(hide_code=True)
def _():
    # Made once: later cells change what these charts show, and the pictures on the page stay.
    table = LiveChart(height=470, link="run")
    stairs, shares = (LiveChart(height=340, link="run", quiet=True) for _ in range(2))
    path, forecast, truth = (LiveChart(height=400) for _ in range(3))
    table_view, stairs_view, shares_view, path_view, forecast_view, means_view = (
        mo.ui.anywidget(chart) for chart in (table, stairs, shares, path, forecast, truth)
    )
    return (
        forecast,
        forecast_view,
        means_view,
        path,
        path_view,
        shares,
        shares_view,
        stairs,
        stairs_view,
        table,
        table_view,
        truth,
    )


@app.cell(hide_code=True)
def _(asked):
    lesson = classroom.films_lesson(asked)
    return (lesson,)


@app.cell(hide_code=True)
def _(lesson, stars):
    you = classroom.taste(lesson, stars) if lesson.fit is not None else None
    return (you,)


@app.cell(hide_code=True)
def _(lesson, stairs, shares, table):
    if lesson.fit is not None:
        _means = classroom.profile_means(lesson.trace)
        table.update(
            profiles(
                lesson.trace,
                _means,
                items=film_world.TITLES,
                words=classroom.favourites(_means),
                width="container",
                height=370,
                half_step=-1,
            )
        )
        stairs.update(charts.staircase(lesson.trace, width="container", height=250, half_step=-1))
        shares.update(charts.strip(lesson.trace, width="container", height=250, half_step=-1))
    return


@app.cell(hide_code=True)
def _(path, you):
    if you is not None and not you.trouble:
        path.update(taste_path(you.words, you.probs, width="container", height=370))
    return


@app.cell(hide_code=True)
def _(forecast, lesson, show_gain, stars, you):
    if you is not None and not you.trouble:
        forecast.update(
            forecasts(
                **classroom.forecast_columns(lesson, stars),
                telling=show_gain.value,
                width="container",
                height=400,
            )
        )
    return


@app.cell(hide_code=True)
def _(asked, lesson):
    means, mistakes = (
        (classroom.film_means(asked, lesson), classroom.blank_error(asked, lesson))
        if lesson.fit is not None
        else (None, None)
    )
    return means, mistakes


@app.cell(hide_code=True)
def _(means, truth):
    if means is not None:
        truth.update(
            item_means(film_world.TITLES, means.true, means.observed, means.model, width="container", height=400)
        )
    return


if __name__ == "__main__":
    app.run()
