"""The app from EM to the VAE as a student uses it, in a browser without a network."""

import re

from playwright.sync_api import expect

from tests.browser.lesson import live, without_python

APP, READY = "09_from_em_to_vae.py", "over 49 half-steps"


def test_controls_and_scrubber_change_the_pictures(student):
    expect(live(student, 2)).to_contain_text("sharing (light) 3.22")
    with without_python(student):
        before = [live(student, index).locator("svg.marks").inner_html() for index in range(3)]
        live(student).get_by_role("slider", name="half-step").press("ArrowRight")
        expect(live(student)).to_contain_text("iteration 1, after the M-step")
        expect(live(student, 2)).to_contain_text("iteration 1, after the M-step")
        assert all(live(student, i).locator("svg.marks").inner_html() != old for i, old in enumerate(before))
    live(student).locator("svg.marks").evaluate("svg => { svg.mine = true; }")
    student.get_by_role("slider", name="encoder: tanh units").press("Home")
    expect(live(student, 2)).not_to_contain_text("sharing (light) 3.22", timeout=20_000)
    expect(student.get_by_text(re.compile(r"for the family and 11\d for sharing one encoder"))).to_be_visible()
    assert live(student).locator("svg.marks").evaluate("svg => svg.mine === true"), "the picture was drawn anew"
    student.get_by_role("radio", name="EM: the posterior itself").click()
    expect(student.get_by_text("a gap of under 1e-6 nats. Q tells")).to_be_visible(timeout=20_000)
    student.get_by_role("radio", name="a line").click()
    expect(student.get_by_text("log p(x) = -674.86, ELBO = -674.86")).to_be_visible(timeout=20_000)
    student.get_by_role("slider", name="noise variance, held").press("End")
    expect(student.get_by_text("Posterior collapse: Q says the same of every row")).to_be_visible(timeout=20_000)


def test_every_tab_draws_and_the_row_can_be_chosen(student):
    panel = student.get_by_role("tabpanel")
    expect(panel).to_contain_text("row 119: KL(Q || posterior)", timeout=15_000)
    student.get_by_role("radio", name="a row with a typical gap").click()
    expect(panel).not_to_contain_text("row 119", timeout=15_000)
    for name, words in (
        ("Rate and distortion", "distortion + rate"),
        ("Collapse as noise grows", "a line collapses at 1.48"),
        ("Which rows make the bound loose?", "row 119"),
    ):
        student.get_by_role("tab", name=name).click()
        expect(panel).to_contain_text(words, timeout=15_000)


def test_written_digits_have_a_map_and_their_names_come_last(student):
    student.get_by_role("combobox").first.select_option("Written digits, two latents")
    expect(live(student)).to_contain_text("Where Q puts each image", timeout=40_000)
    expect(student.get_by_text("over 13 half-steps")).to_be_visible(timeout=20_000)
    live(student).get_by_role("slider", name="half-step").press("End")
    before = live(student).locator("svg.marks").inner_html()
    student.get_by_role("switch", name="tell the digits apart").click()
    page_map = live(student).locator("svg.marks")
    expect(page_map.locator("g.mark-text text", has_text=re.compile(r"^6$")).first).to_be_visible(timeout=10_000)
    assert page_map.inner_html() != before
    expect(student.get_by_role("tabpanel")).to_contain_text("decoded", timeout=10_000)


def test_answers_and_the_task_are_marked(student):
    student.get_by_role("radio", name="Each row's own: nothing is shared.").click()
    expect(student.get_by_text("You said: “Each row's own")).to_be_visible(timeout=10_000)
    student.get_by_role("button", name="Exercises").click()
    fields = student.get_by_role("region", name="Exercises").locator("marimo-number input")
    fields.nth(1).fill("1.477")
    student.keyboard.press("Enter")
    expect(student.get_by_text("Not yet. That is for β = 1")).to_be_visible(timeout=10_000)
    fields.nth(1).fill("0.738")
    student.keyboard.press("Enter")
    expect(student.get_by_text("Right. ELBO_β with noise σ²")).to_be_visible(timeout=10_000)
    expect(student.get_by_text("What makes an encoder poor?")).to_be_visible()
    student.get_by_role("slider", name="encoder: ascent steps").press("End")
    expect(student.get_by_text("Done: sharing costs")).to_be_visible(timeout=20_000)


def test_a_link_restores_the_controls_and_fits_a_phone(new_page, address):
    page = new_page(400, 800)
    page.goto(f"{address}/?decoder=a+line&e=EM%3A+the+posterior+itself&beta=nonsense&seed=99999")
    expect(page.get_by_text("log p(x) = -674.86, ELBO = -674.86")).to_be_visible(timeout=60_000)
    expect(page.locator(".em-live[data-revision] svg").first).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert live(page).bounding_box()["width"] <= 400
    assert page.errors == []
