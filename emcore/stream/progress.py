"""How far a fit to a stream has come: a line on the terminal, or a call for every pass."""

import sys
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

_EVERY = 0.2  # seconds between two changes of the line


class StreamProgress(NamedTuple):
    """What a `progress=` function is told after every pass over the rows."""

    iteration: int  # M-steps taken
    log_likelihood: float  # at the params of this pass; online: of the last block, before it was learnt from
    n_rows: int  # read in this pass
    rows_per_second: float


class Meter:
    """Counts rows and time. `progress`: a function, True or False for the line, None for a line on a terminal."""

    def __init__(self, progress: Callable[[StreamProgress], object] | bool | None) -> None:
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise TypeError(f"progress must be True, False or a function of a StreamProgress, not {progress!r}")
        self._call = progress if callable(progress) else None
        self._line = sys.stderr.isatty() if progress is None else progress is True
        self._iteration, self._log_likelihood = 0, float("nan")
        self._n_rows, self._began, self._shown = 0, perf_counter(), 0.0

    def tick(self, n_rows: int) -> None:
        """Rows of a block that is done."""
        self._n_rows += n_rows
        if self._line and perf_counter() - self._shown > _EVERY:
            self._show("")

    def passed(self, iteration: int, log_likelihood: float, n_rows: int | None = None) -> None:
        """A pass over the rows is done."""
        self._iteration, self._log_likelihood = iteration, log_likelihood
        self._n_rows = self._n_rows if n_rows is None else n_rows
        if self._line:
            self._show("")
        if self._call is not None:
            self._call(StreamProgress(iteration, log_likelihood, self._n_rows, self._speed()))
        self._n_rows, self._began = 0, perf_counter()

    def done(self) -> None:
        """Leave the line."""
        if self._line and self._shown:
            self._show("\n")

    def _speed(self) -> float:
        return self._n_rows / max(perf_counter() - self._began, 1e-9)

    def _show(self, end: str) -> None:
        self._shown = perf_counter()
        value = f"   log p(x) {self._log_likelihood:,.3f}" if self._log_likelihood == self._log_likelihood else ""
        speed = f"   {self._n_rows:,} rows, {self._speed():,.0f} rows/s" if self._n_rows else ""
        told = f"iteration {self._iteration}{value}{speed}"
        print(f"\r{told:<79}", end=end, file=sys.stderr, flush=True)
