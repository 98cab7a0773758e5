"""The Gaussian-mixture app as a student uses it, in a browser without a network."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from emcore.classroom import mixture
from tests.browser.lesson import (
    changed,
    changes,
    choose,
    drawn_in_place,
    fits_a_phone,
    live,
    opened,
    picture,
    reads,
    saved,
    scrubber,
    slider,
    without_python,
)

APP, READY = "02_gaussian_mixture.py", "over 60 half-steps"


def test_more_components_change_the_picture_in_place(student):
    expect(student.get_by_role("slider", name="initial mean 2")).to_be_visible()
    with drawn_in_place(student), changes(student, 0):
        slider(student, "components").press("ArrowRight")
        expect(student.get_by_role("slider", name="initial mean 3")).to_be_visible(timeout=15_000)


def test_the_scrubber_steps_every_chart_without_python(student):
    with without_python(student):
        with changes(student, 0, 1, 2):
            scrubber(student).focus()
            scrubber(student).press("ArrowRight")
            expect(live(student)).to_contain_text("iteration 1, after the M-step")
        scrubber(student).press("End")
        expect(live(student)).to_contain_text("after the M-step")


def test_play_steps_by_itself(student):
    live(student).get_by_role("button", name="Play").click()
    expect(live(student)).to_contain_text("iteration 2", timeout=10_000)
    live(student).get_by_role("button", name="Pause").click()


def test_a_mean_moves_by_mouse_and_by_keyboard_and_is_put_back(student):
    before = picture(student)
    handle = student.get_by_role("slider", name="initial mean 0")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    student.mouse.move(x, y)
    student.mouse.down()
    student.mouse.move(x - 120, y + 90, steps=6)
    student.mouse.up()
    reads(student, "you moved a mean")
    changed(student, before)
    student.get_by_role("button", name="put the means back").click()
    expect(student.get_by_text("you moved a mean")).to_have_count(0, timeout=15_000)
    handle.focus()
    handle.press("Shift+ArrowLeft")
    reads(student, "you moved a mean")


@pytest.mark.parametrize("choice", ["tied", "diag", "spherical"])
def test_every_covariance_draws(student, choice):
    with changes(student, 0):
        choose(student, "covariance", choice)


@pytest.mark.parametrize("data", ["Iris", "Penguins", "Three groups (made by hand)"])
def test_every_data_set_draws(student, data):
    with changes(student, 0):
        choose(student, "data", data)


def test_hard_em_reopens_the_gap_and_says_how_it_ended(student):
    with changes(student, 0):
        student.get_by_role("switch").click()
    reads(student, re.compile("CONVERGED|MAX_ITER|DEGENERATE"))


def test_a_collapse_is_a_callout_and_the_app_lives_on(student):
    """Eight full components on 60 points collapse from many starts: the app says so, and what to try."""
    choose(student, "data", "Three groups (made by hand)")
    slider(student, "components").press("End")
    choose(student, "iterations at most", "300")
    reads(student, re.compile("DEGENERATE.*Try fewer components"), 20)
    slider(student, "components").press("Home")
    reads(student, "CONVERGED", 20)


def test_predict_then_reveal(student):
    expect(student.get_by_text("Neal & Hinton")).to_have_count(0)
    student.get_by_role("radio", name=re.compile("opens at each M-step")).click()
    reads(student, "Neal & Hinton")


def test_an_exercise_answered_wrongly_and_rightly(student):
    student.get_by_text("Exercises", exact=True).click()
    field = student.get_by_role("region", name="Exercises").locator("input").first
    field.fill("1.5")
    field.press("Enter")
    reads(student, "counted the half-claimed point as a whole one")
    field.fill("1.333")
    field.press("Enter")
    reads(student, "Right. A point counts by its responsibility")


def test_the_run_is_taken_home_as_tables_and_as_code(student):
    """What is downloaded is what is on screen; the code that stands open follows the controls."""
    settings = mixture.MixtureSettings("old_faithful", ("eruptions", "waiting"), 3, init="random-rows", seed=1)
    student.get_by_role("button", name="For the teacher").click()
    trace = mixture.mixture_lesson(settings).trace
    assert saved(student, "half-steps (CSV)") == trace.to_frame().write_csv()
    rows = saved(student, "rows and responsibilities (CSV)").splitlines()
    assert rows[0] == "eruptions,waiting,responsibility_0,responsibility_1,responsibility_2"
    assert [float(cell) for cell in rows[1].split(",")[2:]] == pytest.approx(trace[-1].q.probs[0], rel=1e-15)

    student.get_by_role("button", name="The code that does this").click()
    reads(student, "n_components=3")
    slider(student, "components").press("ArrowRight")
    reads(student, "n_components=4")
    assert saved(student, "as a file (fit.py)") == mixture.script(replace(settings, n_components=4))


def test_a_link_restores_the_controls_and_nonsense_is_clamped(page, address):
    page.goto(f"{address}/?k=99&covariance=tied&prior=<b>&means=2,80;4,50;3,60;1,1;2,2;3,3;4,4;2,70&start=random-rows")
    expect(page.locator(".em-live[data-revision] svg").first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("slider", name="initial mean 7")).to_be_visible()
    expect(page.get_by_text("you moved a mean")).to_be_visible()
    page.get_by_text("For the teacher", exact=True).click()
    restored = page.get_by_role("link", name="This link").get_attribute("href")
    assert "k=8" in restored
    assert "covariance=tied" in restored
    assert "means=2%2C80" in restored
    assert page.errors == []


def test_every_tab_draws(student):
    for name in ("All responsibilities", "KL on a log scale", "Path of the means", "Density"):
        student.get_by_role("tab", name=name).click()
        expect(student.get_by_role("tabpanel", name=name).locator("svg.marks")).to_be_visible(timeout=15_000)


def test_it_fits_a_phone(new_page, address):
    fits_a_phone(opened(new_page(400, 800), address, "", charts=1))
