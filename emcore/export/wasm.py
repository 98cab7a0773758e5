"""marimo's interactive pages, with `emcore` packed inside: the browser fetches Python itself from a network."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from emcore.export.course import App
from emcore.export.pages import front_page
from emcore.export.snapshot import ExportError, marimo

# What Pyodide ships by itself: pinned to another version it would be asked of an index that has no build of it.
PYODIDE = ("numpy", "scipy", "altair", "polars", "pandas", "narwhals", "pyarrow")
_PINNED = re.compile(r"\b(" + "|".join(PYODIDE) + r")(?:==|>=|~=)[\w.+]+")
UV = (
    "marimo packs local code by uv, which is not on the PATH: pip install uv, then run this again from that environment"
)


def write_wasm(apps: Sequence[App], out: Path) -> None:
    """A folder per app, and an index; ExportError where marimo fails or `emcore` is not inside."""
    if shutil.which("uv") is None:
        raise ExportError(UV)
    for app in apps:
        folder = out / app.name
        done = marimo("export", "html-wasm", str(app.path), "-o", str(folder), "--mode", "run", "-f", "--no-sandbox")
        page = folder / "index.html"
        if done.returncode or not page.exists():
            raise ExportError(f"{app.path.name}: marimo failed.\n" + "\n".join(done.stdout.splitlines()[-5:]))
        page.write_text(unpinned(page.read_text(encoding="utf-8")), encoding="utf-8")
        if not list(folder.glob("public/wheels/emcore-*.whl")):
            raise ExportError(f"{app.path.name}: marimo packed no emcore wheel; run this from the project's folder")
        print(f"  {app.name}: interactive, with emcore inside", flush=True)
    (out / "index.html").write_text(front_page(apps, {}, lambda app: f"{app.name}/index.html"), encoding="utf-8")


def unpinned(text: str) -> str:
    """The page without the versions of what Pyodide ships."""
    return _PINNED.sub(r"\1", text)
