"""Links that restore every control: settings read from a query string, clamped, and written to one.

What comes from a link is text that anyone may have typed: it is only ever compared with what a control allows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class Number:
    """A number control: from `low` to `high`, in whole numbers unless `whole` is False."""

    default: float
    low: float
    high: float
    whole: bool = True

    @property
    def initial(self) -> float:
        """The default."""
        return self.default

    def read(self, text: str) -> float:
        """The nearest allowed number; the default where the text is none."""
        try:
            value = float(text)
        except ValueError:
            return self.default
        if not isfinite(value):
            return self.default
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Choice:
    """A control with a few allowed values, the first of them the default unless one is named."""

    options: Sequence[Any]
    default: Any = None

    @property
    def initial(self) -> Any:
        """The default, or the first option."""
        return self.options[0] if self.default is None else self.default

    def read(self, text: str) -> Any:
        """The option whose name is the text; the default where none is."""
        named = {str(option): option for option in self.options}
        return named.get(text, self.initial)


@dataclass(frozen=True)
class Flag:
    """A switch."""

    default: bool = False

    @property
    def initial(self) -> bool:
        """The default."""
        return self.default

    def read(self, text: str) -> bool:
        """True for 1 and true, False for anything else."""
        return text.lower() in ("1", "true")


@dataclass(frozen=True)
class Points:
    """Points placed by hand, written "2.1,55;4.3,80"; () where there are none or the text is no such list."""

    most: int = 8
    initial: tuple[tuple[float, float], ...] = ()

    def read(self, text: str) -> tuple[tuple[float, float], ...]:
        """Up to `most` pairs of finite numbers."""
        try:
            pairs = [tuple(float(part) for part in pair.split(",")) for pair in text.split(";")[: self.most + 1]]
        except ValueError:
            return self.initial
        if len(pairs) > self.most or any(len(pair) != 2 or not all(map(isfinite, pair)) for pair in pairs):
            return self.initial
        return tuple((pair[0], pair[1]) for pair in pairs)

    @staticmethod
    def write(points: Sequence[Sequence[float]]) -> str:
        """The text that `read` reads."""
        return ";".join(",".join(f"{value:.6g}" for value in point) for point in points)


Control = Number | Choice | Flag | Points


def read(query: Mapping[str, Any], controls: Mapping[str, Control]) -> dict[str, Any]:
    """The value of each control: from the query where it is there and allowed, else its default."""
    return {
        name: control.read(str(query[name])) if name in query else control.initial for name, control in controls.items()
    }


def address(query: Mapping[str, Any]) -> dict[str, str]:
    """What a link to the same app must keep of the address: its file, where a folder is served."""
    return {"file": str(query["file"])} if "file" in query else {}


def link(path: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """A query string that restores the settings; `path` holds what the address needs besides (the app's file)."""
    return "?" + urlencode({**path, **settings})
