"""The digits app as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import live, without_python

APP, READY = "08_digits.py", "over 60 half-steps"
CHARTS = 2


def reveal(page):
    page.get_by_role("radio", name=re.compile("some share one")).click()
    switch = page.get_by_role("switch", name="reveal the labels")
    expect(switch).to_be_enabled(timeout=15_000)
    switch.click()
    expect(page.get_by_text("Who claims which label")).to_be_visible(timeout=30_000)


def test_every_control_changes_the_prototypes(student):
    side = student.get_by_role("complementary")
    student.get_by_role("slider", name=re.compile("causes k")).press("ArrowLeft")
    expect(live(student)).to_contain_text("8: ", timeout=15_000)
    expect(live(student)).not_to_contain_text("9: ")
    actions = (
        lambda: student.get_by_role("slider", name=re.compile("prior a")).press("ArrowRight"),
        lambda: side.get_by_label("start", exact=True).select_option(label="k-means++"),
        lambda: student.get_by_role("slider", name=re.compile("inked from")).press("ArrowRight"),
        lambda: (side.locator("marimo-number input").fill("3"), student.keyboard.press("Enter")),
    )
    for action in actions:
        before = live(student).locator("svg.marks").text_content()
        action()
        expect(live(student).locator("svg.marks")).not_to_have_text(before, timeout=15_000)


def test_stepping_moves_prototypes_and_stairs_without_python(student):
    with without_python(student):
        scrubber = live(student).get_by_role("slider", name="half-step")
        before = live(student).locator("svg.marks").inner_html()
        scrubber.press("End")
        for chart in (live(student), student.locator(".em-live").nth(1)):
            expect(chart).to_contain_text("iteration 30, after the M-step")
        assert live(student).locator("svg.marks").inner_html() != before


def test_the_labels_come_after_the_prediction(student):
    expect(student.get_by_role("switch", name="reveal the labels")).to_be_disabled()
    expect(student.get_by_text("mostly")).to_have_count(0)
    reveal(student)
    live(student).get_by_role("slider", name="half-step").press("End")
    expect(live(student)).to_contain_text("mostly 0")
    student.get_by_role("tab", name="Twelve starts").click()
    expect(student.get_by_text("agrees best with the labels")).to_be_visible(timeout=30_000)


def test_every_tab_draws_its_picture_and_the_table_is_made_when_opened(student):
    for name, words in (
        ("Which images", "Which rows make the bound loose?"),
        ("All responsibilities", "q(z = k) for every row of x"),
        ("KL on a log scale", "The gap on a log scale"),
    ):
        student.get_by_role("tab", name=re.compile(name)).click()
        expect(student.get_by_text(words).last).to_be_visible(timeout=15_000)
    student.get_by_role("button", name="Every half-step in numbers").click()
    expect(student.get_by_text("expected_log_joint").last).to_be_attached(timeout=15_000)


def test_exercises_are_marked(student):
    student.get_by_role("button", name="Exercises").click()
    merge = student.get_by_label(re.compile("Which two digits share"))
    merge.select_option(label="0 and 1")
    expect(student.get_by_text("Blurred prototypes are the suspects")).to_be_visible(timeout=15_000)
    merge.select_option(label="3 and 9")
    expect(student.get_by_text(re.compile("Right. One prototype holds at least"))).to_be_visible(timeout=15_000)
    student.get_by_label(re.compile("Find a digit that is split")).select_option(label="3")
    expect(student.get_by_text("two styles of writing one digit")).to_be_visible(timeout=15_000)
    student.get_by_role("textbox", name=re.compile("A prototype holds")).fill("0.05")
    student.keyboard.press("Enter")
    expect(student.get_by_text("unlikely, not impossible")).to_be_visible(timeout=15_000)


def test_factors_are_drawn_and_compared(student):
    student.get_by_role("button", name=re.compile("One cause, or many")).click()
    expect(student.get_by_text("factor 8", exact=True)).to_be_visible(timeout=15_000)
    student.get_by_label("model", exact=True).select_option(label="factor analysis")
    student.get_by_role("slider", name="factors").press("ArrowLeft")
    expect(student.get_by_text("factor 8", exact=True)).to_have_count(0, timeout=15_000)
    student.get_by_role("switch", name=re.compile("compare")).click()
    expect(student.get_by_text("10 round Gaussian clusters").last).to_be_visible(timeout=20_000)


def test_a_crushing_prior_is_a_callout_and_the_app_lives_on(student):
    slider = student.get_by_role("slider", name=re.compile("prior a"))
    slider.press("End")
    expect(student.get_by_text(re.compile("DEGENERATE"))).to_be_visible(timeout=20_000)
    slider.press("Home")
    expect(student.get_by_text("log 0 = −∞ in truth")).to_be_visible(timeout=20_000)


def test_it_fits_a_phone_and_a_link_restores_the_settings(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}/?k=3&prior=0&seed=oops")
    expect(live(page)).to_contain_text("2: ", timeout=60_000)
    expect(live(page)).not_to_contain_text("3: ")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.errors == []
