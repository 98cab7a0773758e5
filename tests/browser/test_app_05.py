"""The app "How fast, and have we arrived?" as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import aside, changed, choose, fits_a_phone, live, picture, without_python

APP, READY = "05_how_fast.py", r"99\.57% of the information"


def test_the_scrubber_moves_every_chart_without_python(student):
    before = [picture(student, index) for index in range(2)]
    with without_python(student):
        scrubber = live(student, 0).get_by_role("slider", name="along the run")
        scrubber.focus()
        scrubber.press("End")
        for index in range(2):
            changed(student, before[index], index)
        expect(live(student, 0)).to_contain_text("iteration 4000")
        near = picture(student, 0)
        live(student, 0).get_by_role("checkbox").check()
        changed(student, near, 0)


def test_controls_move_the_rate_and_the_stops(student):
    expect(student.get_by_role("cell", name="1,777")).to_be_visible()
    before = picture(student, 0)
    aside(student).get_by_role("slider", name=re.compile("digits")).press("ArrowLeft")
    changed(student, before, 0)
    expect(student.get_by_role("cell", name="1,777")).to_have_count(0)
    before = picture(student, 2)
    choose(student, "example", "Waiting times, some censored")
    expect(student.get_by_text("50.00% of the information")).to_be_visible(timeout=15_000)
    changed(student, before, 2)
    aside(student).get_by_role("slider", name=re.compile("share censored")).press("ArrowRight")
    expect(student.get_by_text("60.00% of the information")).to_be_visible(timeout=15_000)
    choose(student, "example", "Two normals")
    aside(student).get_by_role("slider", name=re.compile("separation")).press("End")
    expect(student.get_by_text("15.85% of the information")).to_be_visible(timeout=15_000)


def test_prediction_tabs_and_exercises(student):
    student.get_by_role("radio", name=re.compile("hundreds")).click()
    expect(student.get_by_text("The gain is first below 0.0001 after iteration 325")).to_be_visible(timeout=15_000)
    for tab in ("The rate from three iterates", "Why a guard?"):
        student.get_by_role("tab", name=tab).click()
        expect(student.get_by_role("tabpanel").locator("svg.marks")).to_be_visible(timeout=15_000)
    student.get_by_role("tab", name="Standard errors").click()
    expect(student.get_by_role("columnheader", name="if z had been seen")).to_be_visible(timeout=15_000)
    student.get_by_role("button", name="Exercises").click()
    answer = student.get_by_role("textbox", name=re.compile("Estimate the rate"))
    answer.fill("7.4146")
    answer.press("Tab")
    expect(student.get_by_text("a rate is below 1")).to_be_visible(timeout=15_000)
    answer.fill("0.135")
    answer.press("Tab")
    expect(student.get_by_text("Right. The ratio of the steps")).to_be_visible(timeout=15_000)
    guard = student.get_by_label("Why does SQUAREM need a guard?")
    guard.select_option(label="It needs more memory than EM.")
    expect(student.get_by_text("Two steps of EM are all")).to_be_visible(timeout=15_000)


def test_a_link_restores_the_lesson_and_it_fits_a_phone(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}?example=Waiting+times%2C+some+censored&share=0.9&digits=6")
    expect(page.get_by_text("90.00% of the information")).to_be_visible(timeout=60_000)
    expect(page.locator(".em-live[data-revision] svg.marks").first).to_be_visible(timeout=30_000)
    fits_a_phone(page)
