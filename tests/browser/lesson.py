"""What the tests of the apps do on a page: open it, find its pictures, see them change, move its controls."""

import re
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect

_CHANGED = """([index, before]) => {
    const find = (root) => [...root.querySelectorAll('*')].flatMap(
        (e) => (e.matches('.em-live') ? [e] : []).concat(e.shadowRoot ? find(e.shadowRoot) : []));
    const live = find(document)[index];
    return live && live.querySelector('svg.marks')?.innerHTML !== before;
}"""


def opened(page, address, words, charts=3):
    """The page at an address, once so many pictures are drawn and the words can be read."""
    page.goto(address)
    expect(page.locator(".em-live[data-revision] svg.marks").nth(charts - 1)).to_be_visible(timeout=60_000)
    if words:
        expect(page.get_by_text(re.compile(words)).first).to_be_visible(timeout=60_000)
    return page


def live(page, index=0):
    """A chart, by its place on the page."""
    return page.locator(".em-live").nth(index)


def picture(page, index=0):
    """What a chart shows."""
    return live(page, index).locator("svg.marks").inner_html()


def changed(page, before, index=0):
    """Waits until a chart shows anything else."""
    page.wait_for_function(_CHANGED, arg=[index, before], timeout=20_000)


@contextmanager
def changes(page, *indices):
    """All these charts must have changed, or soon change, by the end of the block."""
    before = [picture(page, index) for index in indices]
    yield
    for index, drawing in zip(indices, before, strict=True):
        changed(page, drawing, index)


@contextmanager
def drawn_in_place(page, index=0):
    """The picture's element must be the same one at the end of the block."""
    live(page, index).locator("svg.marks").evaluate("svg => { svg.mine = true; }")
    yield
    assert live(page, index).locator("svg.marks").evaluate("svg => svg.mine === true"), "the picture was drawn anew"


@contextmanager
def without_python(page):
    """Nothing may be asked of the server inside the block."""
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    yield
    assert not [url for url in sent if "/api/" in url], "stepping asked Python"


def scrubber(page, index=0, name="half-step"):
    """The slider under a chart."""
    return live(page, index).get_by_role("slider", name=name)


def aside(page):
    """The controls at the side."""
    return page.get_by_role("complementary")


def choose(page, label, option):
    """An option of a list at the side."""
    aside(page).get_by_label(label, exact=True).select_option(label=option)


def slider(page, name):
    """The slider whose name contains the words."""
    return page.get_by_role("slider", name=re.compile(re.escape(name)))


def reads(page, words, seconds=15):
    """The words can be read on the page within some time; a regular expression may be given."""
    expect(page.get_by_text(words).first).to_be_visible(timeout=1000 * seconds)


def saved(page, name):
    """The text of the file that is downloaded."""
    with page.expect_download() as download:
        page.get_by_text(name, exact=True).click()
    return Path(download.value.path()).read_text("utf-8")


def fits_a_phone(page):
    """Nothing is wider than the screen of 400 pixels."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert live(page).bounding_box()["width"] <= 400
    assert page.errors == []
