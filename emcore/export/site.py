"""The default: marimo's own static pages, served from any web server, with every asset beside them."""

import base64
import hashlib
import importlib.util
import re
import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from html import escape, unescape
from pathlib import Path

from emcore.export.pages import ALONE, NEEDS, bar, front_page, leads, page_name, text_of
from emcore.export.snapshot import Snapshot

_CDN = re.compile(r"https://cdn\.jsdelivr\.net/npm/@marimo-team/frontend@[^/\"']+/dist/")
_SCRIPT = re.compile(r'"data:text/javascript;base64,([A-Za-z0-9+/=]+)"')
_PRELOAD = re.compile(r'\s*<link rel="preload"[^>]*as="image"[^>]*/>')  # pictures of a lost connection
_CONTROL = re.compile(r"(<marimo-(?!download)[\w-]+[^>]*?)data-disabled='false'")
_OUTSIDE = re.compile(
    r"(</marimo-(?:radio|number|button|file|dropdown|slider|switch|text-area)>)(?=</marimo-ui-element>)"
)
_QUERY = re.compile(r'href="\?([^"]*)"')
_SIDEBAR = re.compile(r"(<marimo-sidebar[^>]*>)")


def write_site(snapshots: Sequence[Sequence[Snapshot]], out: Path) -> None:
    """The front page, a page for every setting of every app, and the assets that they share, into a folder."""
    assets = out / "assets"
    assets.mkdir()
    frontend = marimo_assets()
    shutil.copytree(frontend, assets / "marimo", ignore=shutil.ignore_patterns("*.md", "index.html"))
    pictures = {}
    for taken in snapshots:
        app = taken[0].app
        if app.thumbnail.exists():
            shutil.copyfile(app.thumbnail, assets / f"{app.name}.png")
            pictures[app.name] = f"assets/{app.name}.png"
        for index in range(len(taken)):
            text = web_page(taken, index, assets)
            (out / page_name(app, index)).write_text(text, encoding="utf-8")
    apps = [taken[0].app for taken in snapshots]
    front = front_page(apps, pictures, lambda app: page_name(app, 0))
    (out / "index.html").write_text(front, encoding="utf-8")


def marimo_assets() -> Path:
    """The folder of the installed marimo's front end."""
    found = importlib.util.find_spec("marimo")
    if found is None or found.origin is None:
        raise ValueError('marimo is not installed: pip install "emcore-learn[apps]"')
    return Path(found.origin).parent / "_static"


def web_page(taken: Sequence[Snapshot], index: int, assets: Path) -> str:
    """marimo's page, made to ask this site alone, with the bar of settings and dead controls greyed."""
    shot, app = taken[index], taken[index].app
    session = deepcopy(shot.session)
    lead = leads(taken, lambda place: page_name(app, place))
    for cell in session["cells"]:
        for output in cell["outputs"]:
            shown = output.get("data") or {}
            for kind in {"text/html", "text/markdown"} & shown.keys():
                shown[kind] = without_kernel(shown[kind], lead)
    text = _SCRIPT.sub(lambda found: f'"{_shared(found[1], assets)}"', shot.with_session(session))
    text = _PRELOAD.sub("", _CDN.sub("./assets/marimo/", text))
    line = bar(taken, index, lambda place: page_name(app, place), "index.html")
    text = text.replace('content="a marimo app"', f'content="{escape(app.description)}"', 1)
    text = text.replace("</head>", f"<style>{text_of('bar.css')}</style></head>", 1)
    return text.replace("<body>", f"<body>{line}<script>{text_of('bar.js')}</script>", 1)


def without_kernel(html: str, lead: Callable[[str], str | None]) -> str:
    """One cell's output: controls off, with a word on why; links to settings lead to their pages."""
    for _ in range(html.count("data-disabled='false'")):
        html = _CONTROL.sub(r"\1data-disabled='true'", html)
    html = html.replace("data-submit-button-disabled='false'", "data-submit-button-disabled='true'")
    note = f'<small class="em-needs">{NEEDS}</small>'
    if "<marimo-sidebar" in html:
        html = _SIDEBAR.sub(rf'\1<p class="em-needs">{ALONE}</p>', html, count=1)
    else:
        html = _OUTSIDE.sub(rf"\1{note}", html)
    return _QUERY.sub(lambda found: f'href="{lead(unescape(found[1])) or "#"}"', html)


def _shared(packed: str, assets: Path) -> str:
    """A widget's script as a file that all pages share, under the one name that marimo's pages load scripts from."""
    script = base64.b64decode(packed)
    name = f"chart-{hashlib.sha256(script).hexdigest()[:12]}.js"
    shared = assets.parent / "@file" / name
    shared.parent.mkdir(exist_ok=True)
    shared.write_bytes(script)
    return f"./@file/{name}"
