"""Take the course home: static pages that still move, with no Python and no network.

`python -m emcore.export apps -o site` runs every app as it stands and at each of its precomputed settings, and writes
what it showed. marimo is asked by its command line only; nothing here knows its Python.
"""
