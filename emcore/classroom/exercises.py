"""Exercises that mark themselves: a tolerance, and a hint for each likely slip."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Kind = Literal["neutral", "success", "warn"]


class Slip(NamedTuple):
    """A wrong answer that betrays its cause."""

    value: float | str
    hint: str


class Verdict(NamedTuple):
    """What to say of an answer, and how loudly."""

    kind: Kind
    words: str


@dataclass(frozen=True)
class Exercise:
    """A question with one right answer: a number (within `tolerance`) or one of some choices."""

    question: str
    answer: float | str
    right: str  # what to say when it is right
    hint: str  # what to say when it is wrong and no slip explains it
    tolerance: float = 0.0  # absolute, for numbers
    slips: Sequence[Slip] = ()

    @property
    def choices(self) -> list[str]:
        """The right answer and the slips, in an order that gives nothing away; none where the answer is a number."""
        if not isinstance(self.answer, str):
            return []
        texts = [self.answer, *(str(slip.value) for slip in self.slips)]
        try:
            return sorted(texts, key=float, reverse=True)
        except ValueError:
            return sorted(texts)

    def mark(self, given: float | str | None) -> Verdict:
        """Right, wrong with the hint of the slip it looks like, or not yet answered (None)."""
        if given is None or given == "":
            return Verdict("neutral", "")
        if self._same(given, self.answer):
            return Verdict("success", f"Right. {self.right}")
        for slip in self.slips:
            if self._same(given, slip.value):
                return Verdict("warn", f"Not yet. {slip.hint}")
        return Verdict("warn", f"Not yet. {self.hint}")

    def solved(self) -> Verdict:
        """The right answer, and why it is right; its words alone where they say it."""
        answer = self.answer if isinstance(self.answer, str) else f"{self.answer:.6g}"
        said = re.search(rf"(?<![\d.]){re.escape(answer)}(?!\.?\d)", self.right)
        return Verdict("success", self.right if said else f"{answer.rstrip('.')}. {self.right}")

    def _same(self, given: float | str, expected: float | str) -> bool:
        if isinstance(given, str) or isinstance(expected, str):
            return given == expected
        return abs(given - expected) <= self.tolerance


Mark = Callable[[Exercise, Any], Verdict]  # how an answer is marked: `Exercise.mark` where one can be given
