"""The app on hidden Markov models as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import changed, live, picture, without_python

APP, READY = "10_hidden_in_time.py", "over 60 half-steps"
CHARTS = 4


def test_every_control_changes_the_pictures(student):
    side = student.get_by_role("complementary")
    student.get_by_role("slider", name=re.compile("states k")).press("ArrowRight")
    expect(live(student, 1)).to_contain_text("2 smoothed", timeout=15_000)
    expect(live(student, 3)).to_contain_text("0.")
    actions = (
        lambda: student.get_by_role("switch", name=re.compile("equilibrium")).click(),
        lambda: student.get_by_role("slider", name=re.compile("pseudo-moves")).press("End"),
        lambda: side.get_by_label("start", exact=True).select_option(label="random-responsibilities"),
        lambda: (side.locator("marimo-number input").fill("7"), student.keyboard.press("Enter")),
        lambda: student.get_by_role("slider", name=re.compile("first steps")).press("PageDown"),
    )
    for action in actions:
        before = picture(student, 3)
        action()
        changed(student, before, 3)
    for data, words in (("long or short", "long"), ("waiting time", "waiting"), ("three known states", "count")):
        name = side.get_by_label("data", exact=True).locator("option").filter(has_text=data).text_content()
        side.get_by_label("data", exact=True).select_option(label=name)
        expect(live(student, 0)).to_contain_text(words, timeout=15_000)


def test_one_scrubber_moves_every_chart_without_python(student):
    with without_python(student):
        before = [picture(student, index) for index in range(5)]
        scrubber = live(student, 0).get_by_role("slider", name="half-step")
        scrubber.focus()
        scrubber.press("ArrowRight")
        for index in range(5):
            expect(live(student, index)).to_contain_text("iteration 1, after the M-step: θ moved, q held")
            changed(student, before[index], index)
        held = live(student, 1).locator("svg.marks").locator(".mark-rect").first.inner_html()
        scrubber.press("ArrowLeft")
        expect(live(student, 1)).to_contain_text("iteration 1, after the E-step")
        assert live(student, 1).locator("svg.marks").locator(".mark-rect").first.inner_html() == held, "q is held by M"
        scrubber.press("End")
        expect(live(student, 3)).to_contain_text("iteration 30, after the M-step")


def test_exercises_are_marked_and_slips_are_named(student):
    student.get_by_text("Exercises", exact=True).click()
    paths, joint = (student.get_by_role("textbox", name=re.compile(words)) for words in ("how many paths", "By hand"))
    for field, given, words in (
        (paths, "10", "counts the cells of the lattice"),
        (paths, "32", "Right. Two choices at each of five steps"),
        (joint, "0.13824", "You forgot the start probability"),
        (joint, "0.576", "Those are the emissions only"),
        (joint, "0.0553", "Right. 0.4·0.8"),
    ):
        field.fill(given)
        student.keyboard.press("Enter")
        expect(student.get_by_text(words).last).to_be_visible(timeout=15_000)
    student.get_by_role("radio", name=re.compile("moves have a direction")).click()
    expect(student.get_by_text("becomes 1 → 0, in its new place").last).to_be_visible(timeout=15_000)
    student.get_by_role("radio", name=re.compile("The names only")).click()
    expect(student.get_by_text("k states have k! equal optima").last).to_be_visible(timeout=15_000)


def test_a_prediction_is_answered_all_paths_are_added_up_and_tabs_draw(student):
    student.get_by_role("radio", name=re.compile("The mixture keeps")).click()
    expect(student.get_by_text("-360.37").first).to_be_visible(timeout=30_000)
    student.get_by_text("Add up every path").click()
    expect(student.get_by_text("32 paths through 5 steps. The largest difference is").last).to_be_visible(
        timeout=15_000
    )
    expect(student.get_by_text("entropy of p(z | x)").last).to_be_visible()
    expect(student.get_by_text("1 1 1 1 1").last).to_be_visible()
    for name in ("KL on a log scale", "The bound in numbers", "Path of the states' parameters"):
        student.get_by_role("tab", name=name).click()
        expect(student.get_by_role("tabpanel").locator("svg.marks")).to_be_visible(timeout=15_000)
    expect(student.get_by_text("The path of rates")).to_be_visible(timeout=15_000)


def test_a_link_restores_and_a_collapse_is_told_in_words_on_a_phone(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}/?data=Old+Faithful%3A+waiting+time&k=3&length=5&seed=%3Cb%3E")
    expect(page.get_by_text(re.compile("DEGENERATE.*Try fewer"))).to_be_visible(timeout=60_000)
    expect(page.locator(".em-live[data-revision] svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.errors == []
