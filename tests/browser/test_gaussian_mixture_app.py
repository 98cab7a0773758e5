"""The Gaussian-mixture app as a student uses it, in a browser without a network."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

APP = Path(__file__).resolve().parents[2] / "apps" / "02_gaussian_mixture.py"


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


def choose(page, label, option):
    page.get_by_role("complementary").get_by_label(label, exact=True).select_option(label=option)


def plot(page):
    return page.locator(".em-live").first


def picture(page, index=0):
    return page.locator(".em-live").nth(index).locator("svg.marks").inner_html()


def changed(page, before, index=0):
    page.wait_for_function(
        """([index, before]) => {
            const find = (root) => [...root.querySelectorAll('*')].flatMap(
                (e) => (e.matches('.em-live') ? [e] : []).concat(e.shadowRoot ? find(e.shadowRoot) : []));
            const live = find(document)[index];
            return live && live.querySelector('svg.marks')?.innerHTML !== before;
        }""",
        arg=[index, before],
        timeout=15_000,
    )


def test_more_components_change_the_picture_in_place(student):
    plot(student).locator("svg.marks").evaluate("svg => { svg.mine = true; }")
    before = picture(student)
    expect(student.get_by_role("slider", name="initial mean 2")).to_be_visible()
    student.get_by_role("slider", name=re.compile("components")).press("ArrowRight")
    expect(student.get_by_role("slider", name="initial mean 3")).to_be_visible(timeout=15_000)
    changed(student, before)
    assert plot(student).locator("svg.marks").evaluate("svg => svg.mine === true"), "the picture was drawn anew"


def test_the_scrubber_steps_every_chart_without_python(student, address):
    before = [picture(student, index) for index in range(3)]
    sent = []
    student.on("request", lambda request: sent.append(request.url))
    scrubber = plot(student).get_by_role("slider", name="half-step")
    scrubber.focus()
    scrubber.press("ArrowRight")
    expect(plot(student)).to_contain_text("iteration 1, after the M-step")
    for index in range(3):
        changed(student, before[index], index)
    scrubber.press("End")
    expect(plot(student)).to_contain_text("after the M-step")
    assert not [url for url in sent if "/api/" in url], "stepping asked Python"


def test_play_steps_by_itself(student):
    plot(student).get_by_role("button", name="Play").click()
    expect(plot(student)).to_contain_text("iteration 2", timeout=10_000)
    plot(student).get_by_role("button", name="Pause").click()


def test_a_mean_moves_by_mouse_and_by_keyboard_and_is_put_back(student):
    before = picture(student)
    handle = student.get_by_role("slider", name="initial mean 0")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    student.mouse.move(x, y)
    student.mouse.down()
    student.mouse.move(x - 120, y + 90, steps=6)
    student.mouse.up()
    expect(student.get_by_text("you moved a mean")).to_be_visible(timeout=15_000)
    changed(student, before)
    student.get_by_role("button", name="put the means back").click()
    expect(student.get_by_text("you moved a mean")).to_have_count(0, timeout=15_000)
    handle.focus()
    handle.press("Shift+ArrowLeft")
    expect(student.get_by_text("you moved a mean")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize("choice", ["tied", "diag", "spherical"])
def test_every_covariance_draws(student, choice):
    before = picture(student)
    choose(student, "covariance", choice)
    changed(student, before)


@pytest.mark.parametrize("data", ["Iris", "Penguins", "Three groups (made by hand)"])
def test_every_data_set_draws(student, data):
    before = picture(student)
    choose(student, "data", data)
    changed(student, before)


def test_hard_em_reopens_the_gap_and_says_how_it_ended(student):
    before = picture(student)
    student.get_by_role("switch").click()
    changed(student, before)
    expect(student.get_by_text(re.compile("CONVERGED|MAX_ITER|DEGENERATE")).first).to_be_visible()


def test_a_collapse_is_a_callout_and_the_app_lives_on(student):
    """Eight full components on 60 points collapse from many starts: the app says so, and what to try."""
    choose(student, "data", "Three groups (made by hand)")
    slider = student.get_by_role("slider", name=re.compile("components"))
    slider.press("End")
    choose(student, "iterations at most", "300")
    expect(student.get_by_text(re.compile("DEGENERATE.*Try fewer components"))).to_be_visible(timeout=20_000)
    slider.press("Home")
    expect(student.get_by_text("CONVERGED")).to_be_visible(timeout=20_000)


def test_predict_then_reveal(student):
    expect(student.get_by_text("Neal & Hinton")).to_have_count(0)
    student.get_by_role("radio", name=re.compile("opens at each M-step")).click()
    expect(student.get_by_text("Neal & Hinton")).to_be_visible(timeout=10_000)


def test_an_exercise_answered_wrongly_and_rightly(student):
    student.get_by_text("Exercises", exact=True).click()
    field = student.get_by_role("region", name="Exercises").locator("input").first
    field.fill("1.5")
    field.press("Enter")
    expect(student.get_by_text("counted the half-claimed point as a whole one")).to_be_visible(timeout=10_000)
    field.fill("1.333")
    field.press("Enter")
    expect(student.get_by_text("Right. A point counts by its responsibility")).to_be_visible(timeout=10_000)


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
    page = new_page(400, 800)
    page.goto(address)
    expect(page.locator(".em-live[data-revision] svg").first).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert plot(page).bounding_box()["width"] <= 400
    assert page.errors == []
