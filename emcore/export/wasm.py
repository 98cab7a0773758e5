"""marimo's interactive pages, with `emcore` packed inside: the browser fetches Python itself from a network."""

import base64
import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from emcore.export.course import App
from emcore.export.pages import front_page
from emcore.export.snapshot import ExportError, marimo, programs

# What Pyodide ships by itself: pinned to another version it would be asked of an index that has no build of it.
PYODIDE = ("numpy", "scipy", "altair", "polars", "pandas", "narwhals", "pyarrow")
ABSENT = ("vl-convert-python",)  # not built for it, and not needed: the charts carry their Vega
UV = "marimo packs local code by uv, which is not on the PATH: pip install uv, then run this in that environment"
_SAME = r"(?:==|%3D%3D)[\w.+]+"
_PINNED = re.compile(rf"(?:(?<=%22)|\b)({'|'.join(PYODIDE)}){_SAME}")
_UNBUILT = re.compile(rf"(?:\\?\"|%22)(?:{'|'.join(ABSENT)})(?:{_SAME})?(?:\\?\"|%22)(?:,|%2C)?(?: |%20)?")


def write_wasm(apps: Sequence[App], out: Path) -> None:
    """A folder per app, and an index; ExportError where marimo fails or packs no `emcore`."""
    if shutil.which("uv", path=programs()) is None:
        raise ExportError(UV)
    for app in apps:
        folder = out / app.name
        done = marimo("export", "html-wasm", str(app.path), "-o", str(folder), "--mode", "run", "-f", "--no-sandbox")
        page = folder / "index.html"
        if done.returncode or not page.exists():
            raise ExportError(f"{app.path.name}: marimo failed.\n" + "\n".join(done.stdout.splitlines()[-5:]))
        page.write_text(for_pyodide(page.read_text(encoding="utf-8")), encoding="utf-8")
        wheels = list(folder.glob("public/wheels/emcore-*.whl"))
        if len(wheels) != 1:
            raise ExportError(f"{app.path.name}: marimo packed no emcore wheel; run this from the project's folder")
        complete(wheels[0])
        print(f"  {app.name}: interactive, with emcore inside", flush=True)
    (out / "index.html").write_text(front_page(apps, {}, lambda app: f"{app.name}/index.html"), encoding="utf-8")


def for_pyodide(text: str) -> str:
    """The page without the versions of what Pyodide ships, and without what it lacks."""
    return _UNBUILT.sub("", _PINNED.sub(r"\1", text))


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
