"""Exported pages as a student opens them: from a plain web server or from the disk, and no network at all."""

import http.server
import mimetypes
import re
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from emcore.export.__main__ import photograph
from emcore.export.course import apps_in
from emcore.export.runs import Marimo
from emcore.export.single import LIMIT, write_files
from emcore.export.site import marimo_assets, write_site
from emcore.export.snapshot import check_private

APPS = Path(__file__).resolve().parents[2] / "apps"
NAMES = sorted(path.stem for path in APPS.glob("*.py"))
# A few words of each lesson's answer to its prediction, and of a chart in it.
ANSWERS = {
    "01_the_bound": "On the linkage data from θ = 0.2 the first M-step raises",
    "02_gaussian_mixture": "In this run the gap is",
    "03_where_does_em_end_up": "EM takes both coins to 0.66",
    "04_restricted_q": "It moves, and log p\\(x\\) falls. On two latents",
    "05_how_fast": "The gain is first below 0.0001 after iteration 325",
    "06_how_many": "Its minimum can never rise with k",
    "07_film_tastes": "With liking at 0 the true mean is",
    "08_digits": "Causes are styles that repeat, not classes",
    "09_from_em_to_vae": "In the first run of the VAE the encoder reaches",
    "10_hidden_in_time": "A mixture does not see time",
}
DRAWN = {
    "07_film_tastes": ["Mean stars: truth, seen, model"],
    "08_digits": ["Who claims which label", "agrees best with the labels"],
}
FIND = """() => {
    const find = (root) => [...root.querySelectorAll('*')].flatMap(
        (e) => (e.matches('.em-live') ? [e] : []).concat(e.shadowRoot ? find(e.shadowRoot) : []));
    return find(document);
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Every app as it stands, and the mixture at two settings more, as a site and as single files."""
    folder = tmp_path_factory.mktemp("course")
    site, files = folder / "site", folder / "files"
    site.mkdir()
    files.mkdir()
    runs, more = folder / "runs", folder / "more"
    runs.mkdir()
    more.mkdir()
    rest = [app for app in apps_in(APPS) if app.name != "02_gaussian_mixture"]
    taken = photograph(apps_in(APPS / "02_gaussian_mixture.py"), 2, more) + photograph(rest, 0, runs)
    taken.sort(key=lambda shots: shots[0].app.name)
    write_site(taken, site)
    write_files(taken, files)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", files=files, site=site)
    server.shutdown()


def all_drawn(page):
    page.locator(".em-live[data-revision] svg").first.wait_for(timeout=60_000)
    page.wait_for_function(f"() => ({FIND})().every((e) => e.querySelector('svg.marks') && e.dataset.revision > 0)")
    assert page.locator(".em-live[data-error]").count() == 0


def scrubber_moves(page):
    """The first visible range input in a chart, one step on: some picture must change."""
    slider = page.locator(".em-live input[type=range]:visible").first
    if not slider.count():  # the lesson's scrubber is under its second title
        page.get_by_role("tab").nth(1).click()
        slider.wait_for()
    before = page.evaluate(f"({FIND})().map((e) => e.querySelector('svg.marks')?.innerHTML).join()")
    slider.focus()
    slider.press("ArrowRight" if slider.evaluate("e => e.value !== e.max") else "ArrowLeft")
    page.wait_for_function(
        f"(before) => ({FIND})().map((e) => e.querySelector('svg.marks')?.innerHTML).join() !== before",
        arg=before,
        timeout=15_000,
    )


def untroubled(page):
    assert page.errors == []
    assert page.refused == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_the_site_draws_and_steps(page, course, name):
    page.goto(f"{course.url}/{name}.html")
    all_drawn(page)
    scrubber_moves(page)
    untroubled(page)


@pytest.mark.parametrize("name", NAMES)
def test_a_single_file_draws_and_steps_from_the_disk(page, course, name):
    path = course.files / f"{name}.html"
    assert path.stat().st_size < LIMIT
    page.goto(path.as_uri())
    all_drawn(page)
    scrubber_moves(page)
    for fold in page.locator("summary").all():
        fold.click()
    all_drawn(page)
    untroubled(page)


def readable(page, words):
    return page.get_by_text(words).filter(visible=True)  # marimo keeps a hidden copy of what it folds


def answered(page, fold, name):
    fold.click()
    expect(readable(page, re.compile(ANSWERS[name]))).to_have_count(1)
    expect(page.get_by_text("You said")).to_have_count(0)
    for number, words in enumerate(DRAWN.get(name, [])):
        if number and page.get_by_role("tab").count():
            page.get_by_role("tab", name="Twelve starts").click()
        expect(readable(page, words)).to_have_count(1, timeout=20_000)
    untroubled(page)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_to_the_prediction_is_there_without_python(page, course, name):
    page.goto(f"{course.url}/{name}.html")
    all_drawn(page)
    expect(readable(page, re.compile(ANSWERS[name]))).to_have_count(0)
    second = name == "07_film_tastes"  # the first question there is which film to ask about
    answered(page, page.get_by_role("button", name="The answer", exact=True).nth(int(second)), name)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_in_the_single_file_too(page, course, name):
    page.goto((course.files / f"{name}.html").as_uri())
    all_drawn(page)
    answer = page.locator("details").filter(has_text=re.compile(ANSWERS[name]))
    expect(readable(page, re.compile(ANSWERS[name]))).to_have_count(0)
    answered(page, answer.locator("summary").first, name)


@pytest.mark.parametrize("name", ["02_gaussian_mixture", "06_how_many"])
def test_marimos_own_export_draws_and_steps_too(page, tmp_path, name):
    """As marimo documents it; the assets that its page asks of a network come from the installed marimo."""
    path, assets = tmp_path / "x.html", marimo_assets()
    with Marimo(tmp_path / "log") as marimo:
        assert marimo("export", "html", str(APPS / f"{name}.py"), "-o", str(path)).code == 0
    check_private(name, path.read_text("utf-8"))

    def installed(route):
        file = route.request.url.split("/dist/")[1].split("?")[0]
        route.fulfill(path=assets / file, headers={"Access-Control-Allow-Origin": "*"} | typed(file))

    page.route(re.compile("^https://cdn[.]jsdelivr[.]net/npm/@marimo-team/frontend@"), installed)
    page.goto(path.as_uri())
    all_drawn(page)
    scrubber_moves(page)
    untroubled(page)


def typed(file):
    kind, _ = mimetypes.guess_type(file)
    return {"Content-Type": kind or "application/octet-stream"}


def test_the_front_page_shows_every_lesson(page, course):
    page.goto(f"{course.url}/index.html")
    expect(page.get_by_role("link")).to_have_count(len(NAMES))
    assert page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth === 1200)")
    page.get_by_role("link", name="Who is responsible?").click()
    all_drawn(page)
    untroubled(page)


def test_settings_are_pages_and_dead_controls_say_so(page, course):
    page.goto(f"{course.url}/02_gaussian_mixture.html")
    all_drawn(page)
    bar = page.get_by_role("navigation", name="Precomputed settings")
    components = bar.get_by_label("k", exact=True)
    expect(components).to_have_value("3")
    expect(bar.get_by_label("start", exact=True)).to_have_value("random-rows")
    components.select_option("2")
    page.wait_for_url("**/02_gaussian_mixture-1.html")
    all_drawn(page)
    expect(components).to_have_value("2")
    page.go_back()
    all_drawn(page)
    expect(components).to_have_value("3")
    components.select_option("2")
    page.wait_for_url("**/02_gaussian_mixture-1.html")
    all_drawn(page)
    expect(page.get_by_text("the other controls need the live app").first).to_be_visible()
    expect(page.get_by_text("needs the live app", exact=True).first).to_be_visible()
    expect(page.get_by_role("complementary").get_by_label("covariance", exact=True)).to_be_disabled()
    expect(page.get_by_role("slider", name="components k")).to_be_disabled()
    assert page.evaluate("document.querySelector('h1').getBoundingClientRect().top") > bar.bounding_box()["height"]
    untroubled(page)


def test_settings_of_a_single_file_are_in_it(page, course):
    page.goto((course.files / "02_gaussian_mixture.html").as_uri())
    all_drawn(page)
    expect(page.get_by_text("k = 2").first).to_be_visible()
    components = page.get_by_label("k", exact=True)
    expect(components).to_have_value("3")
    components.focus()
    components.select_option("2")
    page.wait_for_function("document.documentElement.dataset.setting === '1'")
    all_drawn(page)
    expect(components).to_have_value("2")
    expect(components).to_be_focused()
    expect(page.locator(".em-handle")).to_have_count(2)
    scrubber_moves(page)
    page.go_back()
    page.wait_for_function("document.documentElement.dataset.setting === '0'")
    all_drawn(page)
    expect(components).to_have_value("3")
    untroubled(page)


@pytest.mark.parametrize("name", ["02_gaussian_mixture", "08_digits"])
def test_pages_fit_a_phone(new_page, course, name):
    for address in (f"{course.url}/{name}.html", (course.files / f"{name}.html").as_uri()):
        page = new_page(400, 800)
        page.goto(address)
        page.locator(".em-live[data-revision] svg").first.wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        untroubled(page)
