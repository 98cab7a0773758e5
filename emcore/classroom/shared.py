"""What a class shares: a run is made once, however many students ask for it at the same moment."""

from collections.abc import Callable
from functools import lru_cache, wraps
from threading import RLock
from typing import Any, TypeVar

Made = TypeVar("Made")


def shared(most: int) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """`functools.lru_cache(most)` with one call at a time: who asks for the same waits for it, and has it too.

    Calls that take turns are also answered sooner, but for the last, than calls that share one interpreter.
    """

    def decorate(make: Callable[..., Made]) -> Callable[..., Made]:
        remembered, turn = lru_cache(most)(make), RLock()

        @wraps(remembered)
        def ask(*about: Any, **more: Any) -> Made:
            with turn:
                return remembered(*about, **more)

        return ask

    return decorate
