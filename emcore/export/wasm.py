"""marimo's interactive pages, with `emcore` packed inside: the browser fetches Python itself from a network."""

import base64
import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from emcore.export.course import App
from emcore.export.pages import front_page, inline_picture, page_name
from emcore.export.runs import Marimo, programs
from emcore.export.snapshot import ExportError

# What Pyodide ships by itself: pinned to another version it would be asked of an index that has no build of it.
PYODIDE = ("numpy", "scipy", "altair", "polars", "pandas", "narwhals", "pyarrow")
ABSENT = ("vl-convert-python",)  # not built for it, and not needed: the charts carry their Vega
UV = "marimo packs local code by uv, which is not on the PATH: pip install uv, then run this in that environment"
INTERACTIVE = "Every control works: the browser fetches Python from a network, which takes a minute the first time."
_WHEEL = re.compile(r"marimo\.[0-9a-f]+-py3-none-any\.whl")
_SHEET = re.compile(r'css_file="([^"]+)"')
_SAME = r"(?:==|%3D%3D)[\w.+]+"
_PINNED = re.compile(rf"(?:(?<=%22)|\b)({'|'.join(PYODIDE)}){_SAME}")
_UNBUILT = re.compile(rf"(?:\\?\"|%22)(?:{'|'.join(ABSENT)})(?:{_SAME})?(?:\\?\"|%22)(?:,|%2C)?(?: |%20)?")


def write_wasm(apps: Sequence[App], out: Path, folder: Path) -> None:
    """A page per app and an index, which share marimo's assets and one wheel; `folder` is for what is needed meanwhile.

    ExportError where marimo fails or packs no `emcore`.
    """
    if shutil.which("uv", path=programs()) is None:
        raise ExportError(UV)
    with Marimo(folder / "marimo.log") as marimo:
        for app in apps:
            page = out / page_name(app, 0)
            done = marimo("export", "html-wasm", str(app.path), "-o", str(page), "--mode", "run", "-f", "--no-sandbox")
            if done.code or not page.exists():
                raise ExportError(f"{app.path.name}: marimo failed.\n{done.last_lines}")
            print(f"  {app.name}: interactive, with emcore inside", flush=True)
    wheels = list(out.glob("public/wheels/emcore-*.whl"))  # of the last app: marimo takes those of the others away
    if len(wheels) != 1:
        raise ExportError("marimo packed no emcore wheel; run this from the project's folder")
    complete(wheels[0])
    for app in apps:
        page = out / page_name(app, 0)
        text = for_pyodide(page.read_text(encoding="utf-8"))
        page.write_text(styled(_WHEEL.sub(wheels[0].name.split("+")[1], text), app), encoding="utf-8")
    (out / "CLAUDE.md").unlink(missing_ok=True)
    pictures = {app.name: inline_picture(app.thumbnail) for app in apps if app.thumbnail.exists()}
    front = front_page(apps, pictures, lambda app: page_name(app, 0), INTERACTIVE)
    (out / "index.html").write_text(front, encoding="utf-8")


def for_pyodide(text: str) -> str:
    """The page without the versions of what Pyodide ships, and without what it lacks."""
    return _UNBUILT.sub("", _PINNED.sub(r"\1", text))


def styled(text: str, app: App) -> str:
    """The page with the notebook's own style sheet, which marimo looks for in the wrong folder here."""
    named = _SHEET.search(app.path.read_text(encoding="utf-8"))
    sheet = app.path.parent / named[1] if named else None
    if sheet is None or not sheet.exists():
        return text
    return text.replace("</head>", f"<style>{sheet.read_text(encoding='utf-8')}</style></head>", 1)


def complete(wheel: Path) -> None:
    """Put the whole package into marimo's wheel: it holds the modules that it saw imported, and no data."""
    with zipfile.ZipFile(wheel) as packed:
        kept = {name: packed.read(name) for name in packed.namelist() if ".dist-info/" in name}
    (record,) = (name for name in kept if name.endswith("/RECORD"))
    files = dict(package_files()) | {name: content for name, content in kept.items() if name != record}
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in (files | {record: "\n".join([*lines, f"{record},,", ""]).encode()}).items():
            packed.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def package_files() -> Iterator[tuple[str, bytes]]:
    """Every file of the package under its place in a wheel, the data sets among them."""
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"emcore/{path.relative_to(package).as_posix()}", path.read_bytes()
    tables = package.parent / "datasets"
    if not (package / "_data").exists():
        for path in sorted(tables.iterdir()):
            yield f"emcore/_data/{path.name}", path.read_bytes()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
