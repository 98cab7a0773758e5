"""Checks of params and starts that models without an observation family share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from emcore.families.base import as_field, check_range
from emcore.initialise import METHODS, is_params


def named_fields(params: Any, names: tuple[str, ...], owner: str) -> Mapping[str, Any]:
    """The fields of a params tuple or mapping; ValueError for one that `owner` does not know, TypeError for neither."""
    if not is_params(params):
        raise TypeError(f"params must be a params tuple or a mapping of fields, not {type(params).__name__}")
    fields = params if isinstance(params, Mapping) else params._asdict()
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise ValueError(f"params have fields {unknown} that {owner} does not know; it needs {', '.join(names)}")
    return fields


def simplex_field(fields: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A field of probabilities that sum to 1 over the last axis; ValueError names the place otherwise."""
    array = as_field(fields, name, shape)
    check_range(name, array, 0.0, 1.0)
    total = array.sum(axis=-1)
    off = np.abs(total - 1.0) > 1e-8
    if off.any():
        place = "".join(f"[{i}]" for i in np.argwhere(off)[0]) if total.ndim else ""
        raise ValueError(f"params.{name}{place} must sum to 1, but it sums to {total[off].flat[0]:.10g}")
    return array


def check_family(family: Any) -> None:
    """TypeError for what is no observation family."""
    if isinstance(family, type) or not hasattr(family, "mle"):
        raise TypeError(f"family must be an observation family such as em.Gaussian() or em.Poisson(), not {family!r}")


def check_order(order: Any, k: int) -> np.ndarray:
    """A permutation of 0, …, k - 1; ValueError for anything else."""
    array = np.asarray(order)
    if array.shape != (k,) or sorted(array.tolist()) != list(range(k)):
        raise ValueError(f"order must name each of 0 to {k - 1} once, not {order!r}")
    return array


def check_method(method: str, own: tuple[str, ...] = ()) -> None:
    """ValueError unless `method` names a start: one of the package's, or of the model's own."""
    if method not in METHODS + own:
        known = ", ".join(map(repr, METHODS + own))
        raise ValueError(f"init must be one of {known}, or a params tuple; not {method!r}")
