"""A Chromium that may speak to this machine only, and marimo apps run for as long as a test needs them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from tests.serving import ROOT, served

LOCAL = {"127.0.0.1", "localhost", ""}  # "" is the host of data: and blob: addresses
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def _chromium(playwright) -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Debian's Chromium, or playwright's own. Required when CI is set."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        executable = _chromium(playwright)
        if executable is None:
            message = "no Chromium: install it (apt install chromium) or run `playwright install chromium`"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser) -> Iterator[Callable]:
    """`new_page(width=1280, height=800, **context)`: a page with `.refused` addresses and console `.errors`."""
    contexts = []

    def make(width: int = 1280, height: int = 800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.refused, page.errors = [], []

        def guard(route) -> None:
            if urlsplit(route.request.url).hostname in LOCAL | {None}:
                route.continue_()
                return
            page.refused.append(route.request.url)
            route.abort()

        context.route("**/*", guard)
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page):
    """One page, 1280 x 800."""
    return new_page()


@pytest.fixture(scope="module")
def address(request, marimo_app) -> str:
    """Where the app runs that the test module names: `APP = "02_gaussian_mixture.py"`."""
    return marimo_app(ROOT / "apps" / request.module.APP).url


@pytest.fixture
def student(request, page, address):
    """A page on that app, the module's READY words and CHARTS pictures (3) on it; it must end without an error."""
    from tests.browser.lesson import opened

    yield opened(page, address, request.module.READY, getattr(request.module, "CHARTS", 3))
    assert page.errors == []
    assert page.refused == []


@pytest.fixture(scope="session")
def marimo_app() -> Iterator[Callable[..., SimpleNamespace]]:
    """`marimo_app(path)`: run a notebook, or a folder of them (see `serving.served`), to the end of the tests."""
    with ExitStack() as running:
        yield lambda path, *arguments: running.enter_context(served(path, *arguments))
