"""The film app as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import live, without_python

APP, READY = "07_film_tastes.py", "over 60 half-steps"


def rate(page, film, stars):
    page.get_by_role("complementary").get_by_label(film, exact=True).select_option(label=stars)


def test_each_rating_adds_a_step_and_moves_the_predictions(student):
    path, forecast = live(student, 1), live(student, 2)
    expect(path).to_contain_text("Summer wedding: 2")
    expect(forecast).to_contain_text("Haunted house")
    before = forecast.locator("svg.marks").inner_html()
    rate(student, "Haunted house", "1 star")
    expect(path).to_contain_text("Haunted house: 1", timeout=15_000)
    expect(forecast).not_to_contain_text("Haunted house", timeout=15_000)
    assert forecast.locator("svg.marks").inner_html() != before
    rate(student, "Haunted house", "not seen")
    expect(path).not_to_contain_text("Haunted house", timeout=15_000)


def test_every_control_changes_the_profiles(student):
    side = student.get_by_role("complementary")
    student.get_by_role("slider", name=re.compile("profiles k")).press("ArrowLeft")
    expect(live(student, 0)).not_to_contain_text("z = 4", timeout=15_000)
    for action in (
        lambda: student.get_by_role("slider", name=re.compile("pseudo-ratings")).press("End"),
        lambda: student.get_by_role("slider", name=re.compile("in per cent")).press("ArrowRight"),
        lambda: student.get_by_role("slider", name=re.compile("liking")).press("ArrowRight"),
        lambda: side.get_by_label("start", exact=True).select_option(label="k-means++"),
        lambda: (side.locator("marimo-number input").fill("3"), student.keyboard.press("Enter")),
    ):
        before = live(student, 0).locator("svg.marks").text_content()
        action()
        expect(live(student, 0).locator("svg.marks")).not_to_have_text(before, timeout=15_000)


def test_stepping_asks_no_python(student):
    with without_python(student):
        live(student, 0).get_by_role("slider", name="half-step").press("Home")
        expect(live(student, 0)).to_contain_text("iteration 1, after the E-step")


def test_the_run_is_there_to_look_at(student):
    for tab, words in (("Staircase", "log-likelihood"), ("KL on a log scale", "KL"), ("Whose rows are loose?", "gap")):
        student.get_by_role("tab", name=tab).click()
        shown = student.get_by_role("tabpanel").locator(f".em-live [aria-label*='{words}']").first
        expect(shown).to_be_attached(timeout=15_000)


def test_the_most_telling_film_is_guessed_before_it_is_shown(student):
    expect(student.get_by_role("switch", name=re.compile("what each film"))).to_be_disabled()
    question = student.get_by_label(re.compile("which film should we ask"))
    question.select_option(label="Fishing village")
    expect(student.get_by_text("Not yet. Among the profiles")).to_be_visible(timeout=15_000)
    student.get_by_role("switch", name=re.compile("what each film")).click()
    expect(live(student, 2)).to_contain_text("★ most", timeout=15_000)
    said = live(student, 2).locator("[aria-label*='can be asked: ']").first.get_attribute("aria-label")
    question.select_option(label=re.search("can be asked: ([^,]+),", said)[1])
    expect(student.get_by_text("Right. Rating it is expected to take")).to_be_visible(timeout=15_000)


def test_liking_parts_what_is_seen_from_the_truth(student):
    expect(student.get_by_text("Mean stars: truth")).to_have_count(0)
    student.get_by_role("radio", name="higher than the true mean").click()
    expect(student.get_by_text("Mean stars: truth")).to_be_visible(timeout=15_000)
    expect(student.get_by_text("With liking at 0 the true mean is 2.82")).to_be_visible()
    student.get_by_role("slider", name=re.compile("liking")).press("End")
    expect(student.get_by_text("With liking at 2 the true mean is 2.82")).to_be_visible(timeout=15_000)


def test_exercises_are_marked(student):
    student.get_by_role("button", name="Exercises").click()
    answer = student.get_by_role("textbox", name=re.compile("Two profiles are equally common"))
    answer.fill("0.3")
    student.keyboard.press("Enter")
    expect(student.get_by_text("That is the joint")).to_be_visible(timeout=15_000)
    answer.fill("0.75")
    student.keyboard.press("Enter")
    expect(student.get_by_text("an E-step on one row")).to_be_visible(timeout=15_000)
    student.get_by_role("radio", name="a rating of 0 stars").click()
    expect(student.get_by_text("count as hated")).to_be_visible(timeout=15_000)


def test_an_impossible_rating_is_a_callout_on_a_phone_too(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}/?prior=0&liking=2&share=10&film0=1&seed=oops")
    expect(page.get_by_text("its probability is exactly 0")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.errors == []
