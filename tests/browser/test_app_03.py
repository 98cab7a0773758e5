"""The app "Where does EM end up?" as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import aside, changed, choose, fits_a_phone, live, picture, without_python

APP, READY = "03_where_does_em_end_up.py", "60 starts ended at"


def test_equal_coins_are_predicted_and_seen_on_the_saddle(student):
    student.get_by_role("radio", name=re.compile("no summit")).click()
    expect(student.get_by_text("EM takes both coins to 0.66")).to_be_visible(timeout=15_000)
    before = picture(student, 0)
    choose(student, "start", "equal")
    expect(student.get_by_text(re.compile("EM came to \\(0.660, 0.660\\).*a saddle"))).to_be_visible(timeout=15_000)
    changed(student, before, 0)
    handle = student.get_by_role("slider", name=re.compile("^start"))
    handle.focus()
    handle.press("ArrowUp")
    expect(student.get_by_text(re.compile("EM came to \\(0.520, 0.797\\).*local maximum"))).to_be_visible(
        timeout=15_000
    )
    aside(student).get_by_role("button", name="put the start back").click()
    expect(student.get_by_text(re.compile("a saddle: the objective"))).to_be_visible(timeout=15_000)


def test_the_map_scrubs_without_python_and_shows_every_start(student):
    before = picture(student, 0)
    with without_python(student):
        scrubber = live(student, 0).get_by_role("slider", name="iteration")
        scrubber.focus()
        scrubber.press("Home")
        changed(student, before, 0)
        expect(live(student, 0)).to_contain_text("iteration 0")
    before = picture(student, 0)
    aside(student).get_by_role("switch").click()
    changed(student, before, 0)
    before = picture(student, 0)
    choose(student, "map", "Death notices: two Poisson rates")
    changed(student, before, 0)
    slider = aside(student).get_by_role("slider", name=re.compile("share"))
    slider.press("ArrowLeft")
    expect(student.get_by_text("local maximum")).to_be_visible(timeout=15_000)


def test_many_starts_are_run_when_asked(student):
    before = picture(student, 1)
    choose(student, "prior strength", "0.001")
    expect(student.get_by_text("4 of the starts in a collapse")).to_be_visible()
    aside(student).get_by_role("button", name="run the starts").click()
    expect(student.get_by_text(re.compile("is it a spike"))).to_be_visible(timeout=20_000)
    changed(student, before, 1)


def test_each_tab_has_its_picture_and_its_control(student):
    tried = (
        ("A saddle and a nudge", "nudge", ["ArrowRight"], "From 0.001 it takes"),
        ("A spike", "sd at the start", ["ArrowRight"] * 2, "Along the curve.*CONVERGED"),
        ("Annealing", "first β", ["ArrowLeft"] * 3, "4 of 4 annealed runs"),
    )
    for tab, control, keys, words in tried:
        student.get_by_role("tab", name=tab).click()
        expect(student.get_by_role("tabpanel").locator("svg.marks")).to_be_visible(timeout=15_000)
        slider = aside(student).get_by_role("slider", name=re.compile(control))
        for key in keys:
            slider.press(key)
        expect(student.get_by_text(re.compile(words))).to_be_visible(timeout=20_000)
    student.get_by_role("tab", name="Two names, one fit").click()
    expect(student.get_by_text("The 2 orders of the components")).to_be_visible(timeout=15_000)
    aside(student).get_by_role("radio", name="3").click()
    expect(student.get_by_text("The 6 orders of the components")).to_be_visible(timeout=15_000)


def test_exercises_mark_right_and_wrong(student):
    student.get_by_role("button", name="Exercises").click()
    answer = student.get_by_role("textbox", name=re.compile("To which chance of heads"))
    answer.fill("0.5")
    answer.press("Tab")
    expect(student.get_by_text("That is the start")).to_be_visible(timeout=15_000)
    answer.fill("0.66")
    answer.press("Tab")
    expect(student.get_by_text("Right. Equal coins")).to_be_visible(timeout=15_000)
    fits = student.get_by_label(re.compile("Which do you publish"))
    fits.select_option(label="-148.62")
    expect(student.get_by_text("it is broken")).to_be_visible(timeout=15_000)
    fits.select_option(label="-180.19")
    expect(student.get_by_text("Right. The highest sound summit")).to_be_visible(timeout=15_000)


def test_a_link_restores_the_lesson_and_it_fits_a_phone(new_page, address):
    page = new_page(400, 800)
    page.goto(
        f"{address}?map=Murray%27s+normal%3A+%CF%81+and+%CF%83%C2%B2&start=equal&data=Galaxies%2C+k+%3D+3&starts=20"
    )
    expect(page.get_by_text(re.compile("EM came to .*, 2.500\\).*a saddle"))).to_be_visible(timeout=60_000)
    expect(page.get_by_text("20 starts ended at")).to_be_visible(timeout=30_000)
    fits_a_phone(page)
