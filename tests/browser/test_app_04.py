"""The app on a restricted Q as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import (
    changes,
    choose,
    drawn_in_place,
    fits_a_phone,
    live,
    opened,
    reads,
    scrubber,
    slider,
    without_python,
)

APP, READY = "04_restricted_q.py", "over 60 half-steps"


def test_controls_and_scrubber_change_the_pictures(student):
    expect(live(student)).to_contain_text("bias −0.178, log p(x) −0.0864")
    with without_python(student), changes(student, 2):
        scrubber(student).press("ArrowRight")
        expect(live(student)).to_contain_text("iteration 1, after the M-step")
        expect(live(student, 2)).to_contain_text("row 0: KL(Q || posterior)")
    with drawn_in_place(student):
        slider(student, "noise variance").press("ArrowRight")
        expect(live(student)).not_to_contain_text("bias −0.178")
    slider(student, "ρ (KL").press("Home")
    reads(student, "least KL(Q || p) = 0.000")
    choose(student, "example", "Two binary causes")
    expect(live(student)).to_contain_text("from the maximum (0)", timeout=30_000)
    choose(student, "Q may be", "hard: all on one z")
    reads(student, "-409.4")


def test_a_chain_is_too_much_for_independent_steps(student):
    student.get_by_role("tab", name="A hidden chain").click()
    reads(student, "correlation 0.53; Q has none")
    expect(live(student, 3)).to_contain_text("sweep 12, step 7")
    with without_python(student), changes(student, 3, 4):
        scrubber(student, 3, "update").press("Home")
        expect(live(student, 3)).to_contain_text("at first, each step by its own x")
    with drawn_in_place(student, 3), changes(student, 3, 4, 5):
        slider(student, "z stays with").press("End")
        reads(student, "All of Q is on one state")


def test_answers_and_the_task_are_marked(student):
    student.get_by_role("radio", name="It moves, and log p(x) falls.").click()
    reads(student, "You said: “It moves, and log p(x) falls.”")
    student.get_by_role("button", name="Exercises").click()
    reads(student, "log p(x) does not fall")
    student.get_by_label(re.compile("On which side does mean field")).select_option(label="above it")
    reads(student, "Not yet. The ELBO is log p(x) less the gap")
    student.get_by_role("region", name="Exercises").locator("marimo-number input").first.fill("0.511")
    student.keyboard.press("Enter")
    reads(student, "Right. −½ log(1 − ρ²)")
    student.get_by_role("radio", name="the maximum of log p(x)").click()
    reads(student, "Done: the ELBO never falls")


def test_a_link_restores_the_controls_and_fits_a_phone(new_page, address):
    settings = "?start=the+maximum+of+log+p%28x%29&noise=0.02&q=nonsense&rho=9&stay=0.7"
    page = opened(new_page(400, 800), f"{address}/{settings}", "this Q leaves an ELBO of -2.702", charts=1)
    fits_a_phone(page)
