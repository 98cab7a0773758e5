"""The app on a restricted Q as a student uses it, in a browser without a network."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

APP = Path(__file__).resolve().parents[2] / "apps" / "04_restricted_q.py"


@pytest.fixture(scope="module")
def address(marimo_app):
    return marimo_app(APP).url


@pytest.fixture
def student(page, address):
    page.goto(address)
    expect(page.locator(".em-live[data-revision] svg").nth(2)).to_be_visible(timeout=60_000)
    expect(page.get_by_text("over 60 half-steps")).to_be_visible(timeout=30_000)
    yield page
    assert page.errors == []
    assert page.refused == []


def plot(page, index=0):
    return page.locator(".em-live").nth(index)


def choose(page, label, option):
    page.get_by_role("complementary").get_by_label(label, exact=True).select_option(label=option)


def test_controls_and_scrubber_change_the_pictures(student):
    expect(plot(student)).to_contain_text("bias −0.178, log p(x) −0.0864")
    sent = []
    student.on("request", lambda request: sent.append(request.url))
    before = plot(student, 2).locator("svg.marks").inner_html()
    plot(student).get_by_role("slider", name="half-step").press("ArrowRight")
    expect(plot(student)).to_contain_text("iteration 1, after the M-step")
    expect(plot(student, 2)).to_contain_text("row 0: KL(Q || posterior)")
    assert plot(student, 2).locator("svg.marks").inner_html() != before
    assert not [url for url in sent if "/api/" in url], "stepping asked Python"
    plot(student).locator("svg.marks").evaluate("svg => { svg.mine = true; }")
    student.get_by_role("slider", name="noise variance").press("ArrowRight")
    expect(plot(student)).not_to_contain_text("bias −0.178")
    assert plot(student).locator("svg.marks").evaluate("svg => svg.mine === true"), "the picture was drawn anew"
    student.get_by_role("slider", name="correlation ρ").press("Home")
    expect(student.get_by_text("least KL(Q || p) = 0.000")).to_be_visible(timeout=10_000)
    choose(student, "example", "Two binary causes")
    expect(plot(student)).to_contain_text("from the maximum (0)", timeout=30_000)
    choose(student, "Q may be", "hard: all on one z")
    expect(student.get_by_text("-409.4")).to_be_visible(timeout=15_000)


def test_answers_and_the_task_are_marked(student):
    student.get_by_role("radio", name="It moves, and log p(x) falls.").click()
    expect(student.get_by_text("You said: “It moves, and log p(x) falls.”")).to_be_visible(timeout=10_000)
    student.get_by_role("button", name="Exercises").click()
    expect(student.get_by_text("log p(x) does not fall")).to_be_visible(timeout=10_000)
    student.get_by_label(re.compile("On which side does mean field")).select_option(label="above it")
    expect(student.get_by_text("Not yet. The ELBO is log p(x) less the gap")).to_be_visible(timeout=10_000)
    student.get_by_role("region", name="Exercises").locator("marimo-number input").first.fill("0.511")
    student.keyboard.press("Enter")
    expect(student.get_by_text("Right. −½ log(1 − ρ²)")).to_be_visible(timeout=10_000)
    student.get_by_role("radio", name="the maximum of log p(x)").click()
    expect(student.get_by_text("Done: the ELBO never falls")).to_be_visible(timeout=15_000)


def test_a_link_restores_the_controls_and_fits_a_phone(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}/?start=the+maximum+of+log+p%28x%29&noise=0.02&q=nonsense&rho=9")
    expect(page.get_by_text("this Q leaves an ELBO of -2.702")).to_be_visible(timeout=60_000)
    expect(page.locator(".em-live[data-revision] svg").first).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert plot(page).bounding_box()["width"] <= 400
    assert page.errors == []
