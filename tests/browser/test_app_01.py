"""The app on the bound as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import changed, choose, live, picture, without_python

APP, READY = "01_the_bound.py", "over 16 half-steps"


def test_the_scrubber_steps_every_picture_without_python(student):
    before = [picture(student, index) for index in range(3)]
    with without_python(student):
        expect(live(student)).to_contain_text("at θ = 0.2 the bound touches log p(x)")
        scrubber = live(student).get_by_role("slider", name="half-step")
        scrubber.press("ArrowRight")
        expect(live(student)).to_contain_text("ELBO +24, gap +6.79: log p(x) +30.8")
        for index in range(3):
            changed(student, before[index], index)
        expect(live(student, 1)).to_contain_text("−53.624 + 38.080 = −15.544")
        scrubber.press("ArrowRight")
        expect(live(student)).to_contain_text("gap 6.79 closes")


def test_every_control_changes_the_picture_in_place(student):
    live(student).locator("svg.marks").evaluate("svg => { svg.mine = true; }")
    before = picture(student)
    student.get_by_role("slider", name="start θ").press("ArrowRight")
    expect(live(student)).to_contain_text("at θ = 0.21 the bound touches")
    changed(student, before)
    student.get_by_role("slider", name="away from the posterior").press("End")
    expect(live(student)).to_contain_text(re.compile(r"at θ = 0\.21 the gap is [\d.]+ nats"))
    expect(student.get_by_text("nothing was promised")).to_be_visible()
    before = picture(student)
    choose(student, "towards", "all on the least likely z")
    changed(student, before)
    assert live(student).locator("svg.marks").evaluate("svg => svg.mine === true"), "the picture was drawn anew"


def test_one_row_of_the_coins_owns_the_gap_and_answers_are_marked(student):
    choose(student, "example", "Two coins: five times ten tosses")
    expect(live(student)).to_contain_text("chance of heads of coin 0", timeout=15_000)
    choose(student, "Q of which row", "row 1: 9 heads")
    student.get_by_role("slider", name="away from the posterior").press("End")
    expect(live(student)).to_contain_text("the gap is", timeout=15_000)
    expect(live(student, 2)).to_contain_text("9 heads")
    answer_rightly_and_wrongly(student)


def answer_rightly_and_wrongly(student):
    student.get_by_role("radio", name="By more.").click()
    expect(student.get_by_text("You said: “By more.”")).to_be_visible(timeout=10_000)
    student.get_by_role("button", name="Exercises").click()
    fields = student.get_by_role("region", name="Exercises").locator("marimo-number input")
    fields.first.fill("0.627")
    fields.first.press("Enter")
    expect(student.get_by_text("EM comes there only in the limit")).to_be_visible(timeout=10_000)
    student.get_by_role("region", name="Exercises").locator("marimo-number input").first.fill("0.4")
    student.keyboard.press("Enter")
    expect(student.get_by_text("Right. It touches where Q is the posterior")).to_be_visible(timeout=10_000)
    student.get_by_label(re.compile("can fall at an E-step")).select_option(label="E log p(x, z)")
    expect(student.get_by_text("Right. The E-step trades it for entropy")).to_be_visible(timeout=10_000)


def test_a_link_restores_the_controls_and_fits_a_phone(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}/?example=Two+coins%3A+five+times+ten+tosses&theta=0.5&amount=nonsense&row=99")
    expect(page.get_by_text("EM has come to a saddle")).to_be_visible(timeout=60_000)
    expect(page.locator(".em-live[data-revision] svg").first).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert live(page).bounding_box()["width"] <= 400
    assert page.errors == []
