"""EM over the workers of a cluster: a block's statistics where the block is, addition on the way, the M-step at home.

Only statistics and parameters travel. The tree of additions is that of `blocks.Pairwise`, so that the sums have the
same bits whichever worker makes which part, and a part that dies with its worker is made again.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from emcore.stream.blocks import Pairwise, Survey, Totals, add_surveys, add_totals, evaluate, survey


def is_distributed(source: Any) -> bool:
    """True for a dask data frame or bag, or a list of delayed blocks."""
    if isinstance(source, list | tuple):
        return bool(source) and all(hasattr(part, "__dask_graph__") for part in source)
    return hasattr(source, "__dask_graph__")


class DaskReader:
    """Goes through the partitions of a dask collection on the workers of a `distributed.Client`.

    Partitions are made anew for every pass, unless they are held by the workers: `source = source.persist()`.
    """

    def __init__(self, source: Any, client: Any, weight: str | None) -> None:
        if not is_distributed(source):
            raise TypeError(
                "client= needs a dask data frame (dask.dataframe.read_parquet), a bag of blocks "
                f"(dask.bag.from_sequence) or a list of delayed blocks, not {type(source).__name__}"
            )
        self._client = _client() if client is None else client
        self._parts = list(source) if isinstance(source, list | tuple) else _partitions(source)
        self._weight = weight

    def survey(self, model: Any, size: int, seed: int) -> Survey | None:
        """Size and sample: each worker sends at most `size` rows of a partition."""
        add = partial(add_surveys, size=size)
        look = partial(_fold, survey, add, weight=self._weight, size=size, seed=seed)
        return self._reduce(look, add, model=model)

    def evaluate(self, model: Any, params: Any, schema: tuple[str, ...], tick: Callable[[int], None]) -> Totals | None:
        """Statistics and log p(x) at `params`."""
        look = partial(_fold, evaluate, add_totals, weight=self._weight, schema=schema)
        return self._reduce(look, add_totals, model=model, params=params)

    def _reduce(self, look: Callable[..., Any], add: Callable[[Any, Any], Any], **shared: Any) -> Any:
        from dask.delayed import delayed

        given = delayed(shared, pure=False, traverse=False)
        visit, join = delayed(partial(_visit, look), pure=False), delayed(add, pure=False)
        tree = Pairwise(join)
        for index, part in enumerate(self._parts):
            tree.add(visit(part, index, given))
        total = tree.total()
        if total is None:
            return None
        future = self._client.compute(total)
        try:
            return future.result()
        except BaseException:  # an interrupt too: leave no work behind
            future.cancel()
            raise


def _partitions(source: Any) -> list[Any]:
    parts = source.to_delayed()
    if getattr(parts, "ndim", 1) > 1 and parts.shape[1] > 1:
        raise ValueError("the columns of the dask array lie in several chunks: rechunk({1: -1}) puts them in one")
    return list(parts.ravel() if hasattr(parts, "ravel") else parts)


def _visit(look: Callable[..., Any], part: Any, index: int, shared: dict[str, Any]) -> Any:
    return look(part, index, **shared)


def _fold(
    look: Callable[..., Any], add: Callable[[Any, Any], Any], part: Any, index: int, **given: Any
) -> Survey | Totals | None:
    """What the blocks of one partition give: a partition of a bag is a list of them, any other is one."""
    tree = Pairwise(add)
    for place, block in enumerate(part if isinstance(part, list) else [part]):
        tree.add(look(block, (index, place), **given))
    return tree.total()


def _client() -> Any:
    try:
        from distributed import get_client

        return get_client()
    except ImportError as error:
        raise ImportError("a dask source needs dask.distributed: pip install 'emcore-learn[dask]'") from error
    except ValueError as error:
        raise ValueError("a dask source needs a cluster: give client=distributed.Client(...)") from error
