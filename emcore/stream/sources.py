"""Where blocks of rows come from: files, frames, arrays, or any re-iterable; and who goes through them."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emcore.numerics import row_blocks
from emcore.stream.blocks import Pairwise, Survey, Totals, add_surveys, add_totals, evaluate, survey

_ONCE = (
    "source is an iterator, which can be read once, but EM reads it in every iteration: give a list of blocks, or a "
    "function that returns a new iterator (online=em.Stepwise() reads once)"
)


class Reader(Protocol):
    """Goes through all blocks of a source; blocks where the rows are, and returns statistics alone."""

    def survey(self, model: Any, size: int, seed: int) -> Survey | None:
        """Size of the source and a sample of at most `size` rows."""
        ...

    def evaluate(self, model: Any, params: Any, schema: tuple[str, ...], tick: Callable[[int], None]) -> Totals | None:
        """Statistics and log p(x) at `params`; `tick` is told the rows of every block as they are done."""
        ...


class LocalReader:
    """One block in memory at a time, in order."""

    def __init__(self, blocks: Callable[[], Iterator[Any]], weight: str | None) -> None:
        self.blocks = blocks
        self.weight = weight

    def survey(self, model: Any, size: int, seed: int) -> Survey | None:
        """One reading of the source."""
        tree = Pairwise(partial(add_surveys, size=size))
        for part in map(lambda block, i: survey(block, (i, 0), model, self.weight, size, seed), self.blocks(), count()):
            tree.add(part)
        return tree.total()

    def evaluate(self, model: Any, params: Any, schema: tuple[str, ...], tick: Callable[[int], None]) -> Totals | None:
        """One reading of the source."""
        tree = Pairwise(add_totals)
        for part in totals_of(self.blocks(), model, lambda: params, self.weight, schema):
            tree.add(part)
            tick(0 if part is None else part.n_rows)
        return tree.total()


def totals_of(
    blocks: Iterator[Any], model: Any, params: Callable[[], Any], weight: str | None, schema: tuple[str, ...]
) -> Iterator[Totals | None]:
    """The totals of every block at the params of the moment. `map` lets go of a block before it takes the next."""
    return map(lambda block, i: evaluate(block, (i, 0), model, params(), weight, schema), blocks, count())


def open_blocks(source: Any, block_rows: int) -> Callable[[], Iterator[Any]]:
    """A function that starts a new reading of the source. TypeError or ValueError says what cannot be read so."""
    import narwhals as nw

    if isinstance(source, str | PathLike):
        return partial(_of_files, parquet_files(Path(source)), block_rows)
    if isinstance(source, np.ndarray):  # memory-mapped files too
        return partial(_slices, source, block_rows)
    native = nw.from_native(source, pass_through=True)
    if isinstance(native, nw.LazyFrame):
        return partial(_of_lazy_frame, source, block_rows)
    if isinstance(native, nw.DataFrame):
        return partial(_slices, native, block_rows)
    if callable(source):
        return lambda: iter(source())
    if isinstance(source, Iterator):
        raise TypeError(_ONCE)
    if isinstance(source, Iterable):
        return lambda: iter(source)
    raise TypeError(
        "source must be a Parquet file or folder, a polars LazyFrame, an array, a list of blocks or a function that "
        f"returns an iterator of blocks; not {type(source).__name__}"
    )


def parquet_files(path: Path) -> tuple[Path, ...]:
    """The file itself, or the Parquet files of a folder in the order of their names."""
    if path.is_dir():
        files = tuple(sorted(path.rglob("*.parquet")))
        if not files:
            raise ValueError(f"the folder {str(path)!r} holds no file *.parquet")
        return files
    if not path.exists():
        raise FileNotFoundError(f"source {str(path)!r} is no file or folder")
    return (path,)


def _of_files(files: tuple[Path, ...], block_rows: int) -> Iterator[Any]:
    import polars as pl

    for file in files:
        try:
            yield from _of_lazy_frame(pl.scan_parquet(file), block_rows)
        except pl.exceptions.ComputeError as error:
            raise ValueError(f"{str(file)!r} cannot be read as Parquet: {error}; of CSV, give pl.scan_csv") from error


def _of_lazy_frame(frame: Any, block_rows: int) -> Iterator[Any]:
    """Blocks of exactly `block_rows` rows, the last apart, by the streaming engine."""
    if not hasattr(frame, "collect_batches"):  # polars before 1.34: each block a query of its own
        yield from _queries(frame, block_rows)
        return
    import polars as pl

    kept: list[Any] = []  # an engine may give batches of its own size: cut anew, so that sums have the same bits
    for batch in frame.collect_batches(chunk_size=block_rows, maintain_order=True, engine="streaming"):
        if not kept and batch.height == block_rows:
            yield batch
            continue
        kept.append(batch)
        while sum(part.height for part in kept) >= block_rows:
            whole = pl.concat(kept)
            kept = [whole[block_rows:]]
            yield whole[:block_rows]
    if sum(part.height for part in kept):
        yield pl.concat(kept)


def _queries(frame: Any, block_rows: int) -> Iterator[Any]:
    for start in count(0, block_rows):
        block = frame.slice(start, block_rows).collect()
        if block.height:
            yield block
        if block.height < block_rows:
            return


def _slices(table: Any, block_rows: int) -> Iterator[Any]:
    for rows in row_blocks(len(table), block_rows):
        yield table[rows]
