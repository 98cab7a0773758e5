"""One HTML file per app, which opens from a disk with the network off: words, pictures and Vega, no front end."""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from emcore.charts.live import LiveChart
from emcore.export.pages import bar, front_page, inline_picture, leads, text_of
from emcore.export.snapshot import ExportError, Snapshot
from emcore.export.words import plain

LIMIT = 3_000_000  # bytes: what a learning platform or a mail still takes
_DRAWN = re.compile(r'data-model="([^"]+)"')
_KEPT = ("controls", "description", "handle_label", "handles", "height", "link", "params", "quiet", "revision", "shell")


def write_files(snapshots: Sequence[Sequence[Snapshot]], out: Path) -> None:
    """A file for every app, and an index beside them."""
    apps = [taken[0].app for taken in snapshots]
    for taken in snapshots:
        text = single_file(taken)
        if len(text.encode()) > LIMIT:
            raise ExportError(f"{taken[0].app.path.name}: one setting alone takes {len(text.encode()) / 1e6:.1f} MB")
        (out / f"{taken[0].app.name}.html").write_text(text, encoding="utf-8")
    pictures = {app.name: inline_picture(app.thumbnail) for app in apps if app.thumbnail.exists()}
    front = front_page(apps, pictures, lambda app: f"{app.name}.html")
    (out / "index.html").write_text(front, encoding="utf-8")


def single_file(taken: Sequence[Snapshot]) -> str:
    """The app's page with all settings that fit; those that do not are left out from the end, and said so."""
    packed = [_pack(shot, taken) for shot in taken]
    room = LIMIT - len(_frame(taken[:1], ["", ""])) - 20_000
    held = 1
    while held < len(packed) and sum(map(len, packed[: held + 1])) + 400 * held < room:
        held += 1
    if held < len(taken):
        print(f"  {taken[0].app.name}: {len(taken) - held} of {len(taken)} settings left out, to stay under 3 MB")
        taken = taken[:held]
        packed = [_pack(shot, taken) for shot in taken]  # anew: links to what was left out go
    return _frame(taken, packed)


def _frame(taken: Sequence[Snapshot], packed: Sequence[str]) -> str:
    app, words = taken[0].app, words_of(taken[0], taken)
    pages = "".join(f'<script type="text/plain" class="em-page">{page}</script>' for page in packed)
    style = str(LiveChart._css) + text_of("bar.css") + text_of("single.css")
    script = str(LiveChart._esm).replace("export default { render };", "") + text_of("bar.js") + text_of("single.js")
    script = script.replace("</script", "<\\/script")
    return (
        '<!DOCTYPE html>\n<html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f'<meta name="description" content="{escape(app.description)}"><title>{escape(app.title)}</title>'
        f"<style>{style}</style></head>\n<body>{_bar(taken, 0)}<main>{words}</main>{pages}"
        f'<script type="module">{script}</script></body></html>\n'
    )


def words_of(shot: Snapshot, taken: Sequence[Snapshot]) -> str:
    """What the cells show, the settings of the sidebar last."""
    lead = leads(taken, _address)
    cells = [plain(output, lead) for output in shot.outputs()]
    return "".join(sorted(cells, key=lambda cell: cell.startswith('<details class="em-settings">')))


def _pack(shot: Snapshot, taken: Sequence[Snapshot]) -> str:
    """A setting's bar, words and charts, compressed: base64 of gzip of JSON."""
    words = words_of(shot, taken)
    charts = {name: _chart(shot.models[name]) for name in _DRAWN.findall(words)}
    parts = {"bar": _bar(taken, taken.index(shot)), "words": words, "charts": charts}
    text = json.dumps(parts, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _bar(taken: Sequence[Snapshot], place: int) -> str:
    return bar(taken, place, _address, "")


def _address(place: int) -> str:
    return f"#{place}"


def _chart(state: dict[str, Any]) -> dict[str, Any]:
    """What the page draws a chart from."""
    tables = {f"table:{name}": state[f"table:{name}"] for name in state["tables"]}
    return {name: state[name] for name in _KEPT} | {"tables": state["tables"]} | tables
