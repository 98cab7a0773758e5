"""Small tables as Markdown: a page can show them anew without taking a widget away."""

from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows under the names of the first; "" where there are none. Cells must be text of the package's own.

    >>> print(markdown_table([{"k": 1, "sure": "yes"}]))
    | k | sure |
    |---|---|
    | 1 | yes |
    """
    if not rows:
        return ""
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    bars = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([bars[0], "|" + "---|" * len(rows[0]), *bars[1:]])
