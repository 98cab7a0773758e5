"""A finished Vega-Lite specification that behaves as an Altair chart, and how several share one scrubber.

Altair checks every part of a chart as it is built and again as it is shown, which for a table per half-step takes
longer than EM does. Here specifications are plain dicts, checked against the schema in the tests.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import altair as alt
import numpy as np

from emcore.charts.theme import config

_COMPOSED = frozenset({"$schema", "config", "datasets", "params", "description", "usermeta"})


class Picture(alt.TopLevelMixin):
    """A chart made of a specification and its named tables; save it, show it, or put it beside (|) or above (&) others.

    `to_dict()` leaves the schema check out unless `validate=True`; JSON is written without indentation.
    """

    def __init__(self, spec: Mapping[str, Any], datasets: Mapping[str, Sequence[Any]]) -> None:
        self._spec = dict(spec)
        self._datasets = dict(datasets)

    def to_dict(
        self,
        validate: bool = False,
        *,
        format: str = "vega-lite",
        ignore: list[str] | None = None,
        context: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The Vega-Lite (or, with format="vega", Vega) specification, with its tables under `datasets`."""
        spec = self.shell() | {"datasets": {name: [*map(_listed, rows)] for name, rows in self._datasets.items()}}
        if validate:
            alt.Root.validate(spec)
        if format == "vega":
            compiler = alt.vegalite_compilers.get()
            assert compiler is not None, "Altair has no compiler from Vega-Lite to Vega"
            return compiler(spec)
        return {key: value for key, value in spec.items() if key not in (ignore or ())}

    def shell(self) -> dict[str, Any]:
        """The specification without its tables, free to be changed."""
        return {"$schema": alt.SCHEMA_URL, "config": config()} | _copied(self._spec)

    @property
    def tables(self) -> Mapping[str, Sequence[Any]]:
        """Rows by the table's name; a cell may be an array where JSON will have a list."""
        return MappingProxyType(self._datasets)

    def to_json(
        self,
        validate: bool = False,
        indent: int | str | None = None,
        sort_keys: bool = False,
        **options: Any,
    ) -> str:
        """`to_dict` as JSON text, as small as it can be unless `indent` asks otherwise."""
        if indent is None:
            options.setdefault("separators", (",", ":"))
        return super().to_json(validate=validate, indent=indent, sort_keys=sort_keys, **options)

    def copy(self, deep: Any = True) -> Self:
        """An independent chart; the tables are shared, for nothing changes them."""
        return type(self)(_copied(self._spec) if deep else self._spec, self._datasets)

    def properties(self, **properties: Any) -> Self:
        """A copy with other top-level properties: title, description, width, height, …"""
        return type(self)(self._spec | properties, self._datasets)

    @property
    def usermeta(self) -> Any:
        """Embedding options, which notebooks set."""
        return self._spec.get("usermeta", alt.Undefined)

    def __setitem__(self, key: str, value: Any) -> None:
        self._spec[key] = value

    def __or__(self, other: alt.TopLevelMixin) -> "Picture":  # type: ignore[override]
        return beside(self, other)

    def __and__(self, other: alt.TopLevelMixin) -> "Picture":  # type: ignore[override]
        return above(self, other)


def _copied(tree: Any) -> Any:
    """What JSON can hold, copied; `copy.deepcopy` takes three times as long."""
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _listed(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {name: cell.tolist() if isinstance(cell, np.ndarray) else cell for name, cell in row.items()}


def beside(*charts: alt.TopLevelMixin) -> Picture:
    """The charts in a row, under one scrubber: parameters of the same name become one."""
    return _composed("hconcat", charts)


def above(*charts: alt.TopLevelMixin) -> Picture:
    """The charts in a column, under one scrubber."""
    return _composed("vconcat", charts)


def _composed(direction: str, charts: Sequence[alt.TopLevelMixin]) -> Picture:
    """Parameters, tables and description move to the top. Raises ValueError where two tables or scrubbers disagree."""
    specs = [chart.to_dict() for chart in charts]
    datasets: dict[str, Any] = {}
    params: dict[str, Any] = {}
    for spec in specs:
        _merge(datasets, spec.get("datasets", {}), "table")
        _merge(params, {param["name"]: param for param in spec.get("params", [])}, "parameter")
    parts = [{key: value for key, value in spec.items() if key not in _COMPOSED} for spec in specs]
    described = [spec["description"] for spec in specs if spec.get("description")]
    top = {"params": list(params.values()), "description": " ".join(described)}
    return Picture({direction: parts} | top, datasets)


def _merge(into: dict[str, Any], more: Mapping[str, Any], what: str) -> None:
    for name, value in more.items():
        if into.setdefault(name, value) != value:
            raise ValueError(
                f"two charts have different {what}s named {name!r}: charts side by side must show the same trace, "
                "the same number of half-steps and the same columns"
            )
