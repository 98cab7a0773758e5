"""A Chromium that may speak to this machine only, and marimo apps run for as long as a test needs them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(process: subprocess.Popen, url: str, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"marimo did not start:\n{log.read_text()[-3000:]}")


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
def marimo_app(tmp_path_factory) -> Iterator[Callable[..., SimpleNamespace]]:
    """`marimo_app(path)`: run a notebook, or a folder of them; gives `.url`, `.log` (a file) and `.process`."""
    started: list[subprocess.Popen] = []

    def start(path: Path | str, *arguments: str) -> SimpleNamespace:
        port = _free_port()
        log = tmp_path_factory.mktemp("marimo") / "server.log"
        command = [sys.executable, "-m", "marimo", "run", str(path), "--headless", "--port", str(port)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MARIMO_SKIP_UPDATE_CHECK": "1"}
        with log.open("w") as out:
            process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=out, stderr=out, env=environment)
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(process, url, log)
        return SimpleNamespace(url=url, log=log, process=process)

    yield start
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
