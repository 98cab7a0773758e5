"""Vega, Vega-Lite and vega-embed in one JavaScript module, packed with the package: no network, nothing to build.

Their terms are in static/vega-licence.txt.
`python -m emcore.charts.bundle` makes it anew by vl-convert, for the Vega-Lite that the installed Altair writes.
"""

import gzip
import json
from pathlib import Path

BUNDLE = Path(__file__).parent / "static" / "vega.js.gz"
VERSIONS = Path(__file__).parent / "static" / "vega.json"


def versions() -> dict[str, str]:
    """Which versions of the libraries the bundle holds."""
    return json.loads(VERSIONS.read_text(encoding="utf-8"))


def build() -> None:
    """Write the bundle and its versions (vl-convert takes 90 MB of memory and a second for it)."""
    import altair as alt
    import vl_convert

    vega_lite = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    library = vl_convert.javascript_bundle("export default vegaEmbed;", vl_version=vega_lite)
    BUNDLE.write_bytes(gzip.compress(library.encode(), compresslevel=9, mtime=0))
    held = {
        "vega": vl_convert.get_vega_version(),
        "vega-lite": vega_lite,
        "vega-embed": vl_convert.get_vega_embed_version(),
    }
    VERSIONS.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    build()
